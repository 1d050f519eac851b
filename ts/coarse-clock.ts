/** Ticks within one span. */
const TICKS = 16

/**
 * Deadlines for things that are too many for a timer each: a deadline is a tick number, never early, and late by two ticks at most; a tick is a sixteenth of the span, in
 * whole milliseconds. Beside that a tick is late by as much as the event loop is. The clock stands still while nobody needs it.
 */
export class CoarseClock {
  readonly #spanMs: number
  readonly #intervalMs: number
  readonly #onTick: (tick: number) => boolean
  #tick = 0
  #timer: NodeJS.Timeout | null = null
  /** Whether somebody asked for a deadline since the last tick began. */
  #isAsked = false

  /** @param onTick returns whether anything still waits for a deadline. */
  constructor(spanMs: number, onTick: (tick: number) => boolean) {
    this.#spanMs = spanMs
    // Node cuts fractions off: what is counted has to be what is waited for.
    this.#intervalMs = Math.max(1, Math.ceil(spanMs / TICKS))
    this.#onTick = onTick
  }

  /** The tick at which `ms` from now are over; by default one span. */
  deadline(ms: number = this.#spanMs): number {
    this.#isAsked = true
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
    this.#isAsked = false
    // Who comes while the tick is told may not have been counted.
    if (!this.#onTick(this.#tick) && !this.#isAsked) this.stop()
  }
}
