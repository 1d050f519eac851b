import { Deferred } from '../deferred.ts'

/** A time that runs from now, and that can only be made shorter. */
export class Grace {
  readonly #over = new Deferred<void>()
  #endsAt = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  constructor(milliseconds: number) {
    this.shorten(milliseconds)
  }

  /** Resolves when it is over. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Has it end so many milliseconds from now, unless it ends before. */
  shorten(milliseconds: number): void {
    const endsAt = performance.now() + milliseconds
    if (endsAt >= this.#endsAt) return
    this.#endsAt = endsAt
    this.stop()
    if (milliseconds === 0) this.#over.resolve()
    else this.#timer = setTimeout(() => this.#over.resolve(), milliseconds)
  }

  /** Nobody waits for its end any more. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
