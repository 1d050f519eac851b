/** Ticks within one span. */
const TICKS = 16

/**
 * Deadlines for things that are too many for a timer each: a deadline is a tick number, never early, and late by a sixteenth of the span at most, or by two where
 * it is no multiple of that. The clock stands still while nobody needs it.
 */
export class CoarseClock {
  readonly #intervalMs: number
  readonly #onTick: (tick: number) => boolean
  #tick = 0
  #timer: NodeJS.Timeout | null = null

  /** @param onTick returns whether anything still waits for a deadline. */
  constructor(spanMs: number, onTick: (tick: number) => boolean) {
    this.#intervalMs = Math.max(1, spanMs / TICKS)
    this.#onTick = onTick
  }

  /** The tick at which `ms` from now are over; by default one span. */
  deadline(ms: number = TICKS * this.#intervalMs): number {
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#advance(), this.#intervalMs)
      this.#timer.unref()
    }
    // The running tick may be nearly over.
    // A small integer, which no object has to be made for.
    return this.#tick + (Math.ceil(ms / this.#intervalMs) | 0) + 1
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #advance(): void {
    this.#tick++
    if (!this.#onTick(this.#tick)) this.stop()
  }
}
