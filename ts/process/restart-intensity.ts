import { Deque } from '../deque.ts'

/** Counts restarts in a window that slides. */
export class RestartIntensity {
  readonly #maxRestarts: number
  readonly #periodMs: number
  readonly #restarts = new Deque<number>()

  /** @param maxRestarts that `periodMs` milliseconds may see. */
  constructor(maxRestarts: number, periodMs: number) {
    this.#maxRestarts = maxRestarts
    this.#periodMs = periodMs
  }

  /** Whether one more restart is within the limit; counts it if so. @param now milliseconds of a clock that never goes back. */
  allows(now: number): boolean {
    for (let oldest = this.#restarts.at(0); oldest !== undefined; oldest = this.#restarts.at(0)) {
      if (now - oldest < this.#periodMs) break
      this.#restarts.shift()
    }
    if (this.#restarts.size >= this.#maxRestarts) return false
    this.#restarts.push(now)
    return true
  }
}
