/** The end-to-end window: messages published and not yet reported by every subscriber are limited, the same way for every system. */
export class Window {
  readonly #size: number
  #through = 0
  #opened: Promise<void> | null = null
  #open: () => void = () => undefined

  constructor(size: number) {
    this.#size = size
  }

  /** How many messages may be published, `next` being the first of them. */
  room(next: number): number {
    return this.#through + this.#size - next
  }

  /** Resolves with the next report. */
  opened(): Promise<void> {
    this.#opened ??= new Promise((resolve) => {
      this.#open = resolve
    })
    return this.#opened
  }

  /** Every subscriber has all messages before this one. */
  reported(through: number): void {
    this.#through = Math.max(this.#through, through)
    this.#opened = null
    this.#open()
  }
}
