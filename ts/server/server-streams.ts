const FIRST = 2
const LAST = 0xffff_fffe

/** The even stream ids, which the server opens (design §5.5). An id is not given out again while it is open. */
export class ServerStreams {
  readonly #open = new Set<number>()
  #next: number

  /** @param first Even; where to begin, 2 by default. */
  constructor(first: number = FIRST) {
    this.#next = first
  }

  get size(): number {
    return this.#open.size
  }

  /** Opens the next stream that is not open. The limits on conversations and requests keep most of the four billion free. */
  open(): number {
    while (this.#open.has(this.#next)) this.#advance()
    const streamId = this.#next
    this.#open.add(streamId)
    this.#advance()
    return streamId
  }

  close(streamId: number): void {
    this.#open.delete(streamId)
  }

  #advance(): void {
    this.#next = this.#next === LAST ? FIRST : this.#next + 2
  }
}
