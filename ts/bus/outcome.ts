/** How something ends, once: a promise that may be left alone without an unhandled rejection, because nobody has to look at it. */
export class Outcome {
  readonly #promise: Promise<void>
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #watched = false

  constructor() {
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever takes the promise still gets the rejection; this only says that nobody must.
    this.#promise.catch(() => {})
  }

  /** The promise, for whoever wants to know. */
  watch(): Promise<void> {
    this.#watched = true
    return this.#promise
  }

  /** Whether anybody took the promise. */
  get watched(): boolean {
    return this.#watched
  }

  /** Settles well. Without effect if settled. */
  resolve(): void {
    this.#resolve()
  }

  /** Settles with an error. Without effect if settled. */
  reject(error: unknown): void {
    this.#reject(error)
  }
}
