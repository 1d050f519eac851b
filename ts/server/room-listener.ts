import type { Output } from './output.ts'

/** Whose room a {@link RoomListener} hears of: a sink of a session. */
export interface RoomOwner {
  /** See Sink. */
  room(): number
  /** Whether there is room once the outbox has drained. */
  readonly onlyWaitsForDrain: boolean
  /** The outbox has drained. */
  drained(): void
}

/** Whoever reads a log for a sink of a session and found no room: is told of it once, as soon as there is some. */
export class RoomListener {
  readonly #output: Output
  readonly #owner: RoomOwner
  #listener: (() => void) | null = null
  #awaitsDrain = false

  constructor(output: Output, owner: RoomOwner) {
    this.#output = output
    this.#owner = owner
  }

  /** See Sink.onRoom. */
  listen(listener: () => void): void {
    this.#listener = listener
    if (this.#owner.onlyWaitsForDrain) this.awaitDrain()
  }

  /** There may be room. */
  tell(): void {
    const listener = this.#listener
    if (listener === null) return
    if (this.#owner.room() > 0) {
      this.#listener = null
      listener()
    } else if (this.#owner.onlyWaitsForDrain) this.awaitDrain()
  }

  /** Has the owner told once the outbox has drained. */
  awaitDrain(): void {
    if (this.#awaitsDrain) return
    this.#awaitsDrain = true
    this.#output.whenDrained(() => {
      this.#awaitsDrain = false
      this.#owner.drained()
    })
  }

  /** Nobody is told any more. */
  end(): void {
    this.#listener = null
  }
}
