const FIRST = 2
const LAST = 0xffff_fffe

/** The even stream ids, which the server opens (design §5.5). An id is not given out again while it is open. */
export class ServerStreams {
  readonly #isOpen: (streamId: number) => boolean
  #next: number
  /** Every id was given out once. */
  #wrapped = false

  /**
   * @param isOpen whether an id that was given out before is still in use.
   * @param first Even; where to begin, 2 by default.
   */
  constructor(isOpen: (streamId: number) => boolean, first: number = FIRST) {
    this.#isOpen = isOpen
    this.#next = first
  }

  /** The next id that is not open. The limits on conversations and requests keep most of the two billion free. */
  take(): number {
    while (this.#wrapped && this.#isOpen(this.#next)) this.#advance()
    const streamId = this.#next
    this.#advance()
    return streamId
  }

  #advance(): void {
    if (this.#next === LAST) {
      this.#next = FIRST
      this.#wrapped = true
    } else this.#next += 2
  }
}
