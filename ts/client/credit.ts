/** When to tell the server that deliveries were accepted: its window moves by what it is told, and every telling is a frame. */
export class Credit {
  readonly #window: number
  readonly #half: number
  readonly #send: (mark: number) => void
  readonly #prompt: boolean
  #received = 0
  #accepted = 0
  /** What the last accepted delivery is told by. */
  #mark = 0
  #told = 0
  #scheduled = false
  #live = true

  /**
   * @param send tells the server that everything up to the delivery of this mark is accepted.
   * @param prompt whether every turn's acceptances are told at its end: a cursor moves on by them, and leases expire without them.
   */
  constructor(window: number, send: (mark: number) => void, prompt = false) {
    this.#window = window
    this.#half = Math.ceil(window / 2)
    this.#send = send
    this.#prompt = prompt
  }

  /** So many deliveries came so far. */
  received(count: number): void {
    this.#received = count
    this.#tell()
  }

  /** So many of them are accepted, the last of which has this mark. */
  accepted(count: number, mark: number = count): void {
    if (count <= this.#accepted) return
    this.#accepted = count
    this.#mark = mark
    this.#tell()
  }

  /** Tells what has not been told. */
  flush(): void {
    if (!this.#live || this.#accepted === this.#told) return
    this.#told = this.#accepted
    this.#send(this.#mark)
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#live = false
  }

  /**
   * At once when half of the window is free. Less than that is told only if the server has to stand still for it, and then once a turn, so that a slow consumer
   * does not cost a frame for each delivery.
   */
  #tell(): void {
    const free = this.#accepted - this.#told
    if (free >= this.#half) this.flush()
    else if (free > 0 && (this.#prompt || this.#received - this.#told >= this.#window) && !this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.flush()
      })
    }
  }
}
