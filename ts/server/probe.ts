const FIRST_MS = 20
const LAST_MS = 1_000

/**
 * Tells a peer that has closed only its sending side from one that is gone: both look the same until something is written to them, and the second
 * write to one that is gone fails. Writes ever more rarely, for as long as an answer is being made.
 */
export class Probe {
  readonly #write: () => void
  #timer: NodeJS.Timeout | null = null
  #delayMs = FIRST_MS

  constructor(write: () => void) {
    this.#write = write
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#write()
      this.#delayMs = Math.min(LAST_MS, this.#delayMs * 2)
      this.start()
    }, this.#delayMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
