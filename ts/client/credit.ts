/** When to tell the server that deliveries were accepted: its window moves by what it is told, and every telling is a frame. */
export class Credit {
  readonly #window: number
  readonly #half: number
  readonly #send: (sequence: number) => void
  #received = 0
  #accepted = 0
  #told = 0
  #scheduled = false
  #live = true

  /** @param send tells the server that everything up to `sequence` is accepted. */
  constructor(window: number, send: (sequence: number) => void) {
    this.#window = window
    this.#half = Math.ceil(window / 2)
    this.#send = send
  }

  received(sequence: number): void {
    this.#received = sequence
    this.#tell()
  }

  accepted(sequence: number): void {
    if (sequence <= this.#accepted) return
    this.#accepted = sequence
    this.#tell()
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
    if (free >= this.#half) this.#flush()
    else if (free > 0 && this.#received - this.#told >= this.#window && !this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
  }

  #flush(): void {
    if (!this.#live || this.#accepted === this.#told) return
    this.#told = this.#accepted
    this.#send(this.#told)
  }
}
