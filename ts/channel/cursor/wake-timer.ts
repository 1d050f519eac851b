import { MAX_TIMEOUT_MS } from '../../waiting.ts'

/** One timer for the earliest of many times. It does not keep the process alive. */
export class WakeTimer {
  readonly #wake: () => void
  #timer: NodeJS.Timeout | null = null
  #at = Number.POSITIVE_INFINITY

  constructor(wake: () => void) {
    this.#wake = wake
  }

  /** Wakes at this time (on the clock of `performance.now()`) or before. */
  set(at: number): void {
    if (at >= this.#at) return
    this.clear()
    this.#at = at
    this.#timer = setTimeout(
      () => {
        this.clear()
        this.#wake()
      },
      Math.min(MAX_TIMEOUT_MS, Math.max(1, Math.ceil(at - performance.now()))),
    )
    this.#timer.unref()
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#at = Number.POSITIVE_INFINITY
  }
}
