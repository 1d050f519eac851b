/**
 * Bounds what is underway: at most so many messages and so many bytes, though a single message may be larger than the bound on bytes.
 */
export class Window {
  readonly #maxMessages: number
  readonly #maxBytes: number
  #messages = 0
  #bytes = 0
  #waiting: { readonly until: () => boolean; readonly resolve: () => void }[] = []

  constructor(maxMessages: number, maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxMessages = maxMessages
    this.#maxBytes = maxBytes
  }

  /** Whether a message must wait for {@link room}. */
  get full(): boolean {
    return this.#messages >= this.#maxMessages || this.#bytes >= this.#maxBytes
  }

  get messages(): number {
    return this.#messages
  }

  enter(bytes = 0): void {
    this.#messages += 1
    this.#bytes += bytes
  }

  leave(bytes = 0): void {
    this.#messages -= 1
    this.#bytes -= bytes
    if (this.#waiting.length === 0) return
    const due = this.#waiting.filter((waiter) => waiter.until())
    if (due.length === 0) return
    this.#waiting = this.#waiting.filter((waiter) => !due.includes(waiter))
    for (const waiter of due) waiter.resolve()
  }

  /** Resolves once the window is not full. */
  room(): Promise<void> {
    return this.#wait(() => !this.full)
  }

  /** Resolves once nothing is underway. */
  empty(): Promise<void> {
    return this.#wait(() => this.#messages === 0)
  }

  #wait(until: () => boolean): Promise<void> {
    if (until()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ until, resolve }))
  }
}
