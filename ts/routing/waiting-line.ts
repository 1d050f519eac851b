import type { Dispatch } from './dispatch.ts'
import { LinkedList } from './linked-list.ts'

/** What a {@link WaitingLine} asks of its owner. */
export interface WaitingLineOwner {
  /** Whether another dispatch may be asked about now. */
  hasRoom(): boolean
  /** Asks about a dispatch again. It stays in the line unless it is taken out. */
  ask(dispatch: Dispatch): void
}

/** The dispatches of a group for which the routing function had nobody, oldest first, and the order in which they are asked about again. */
export class WaitingLine {
  readonly list = new LinkedList<Dispatch>()
  readonly #owner: WaitingLineOwner
  #openings = 0
  #isWaking = false
  #wakeAgain = false

  constructor(owner: WaitingLineOwner) {
    this.#owner = owner
  }

  /** How often something happened that may give dispatches a consumer. */
  get openings(): number {
    return this.#openings
  }

  /** Something happened that may give dispatches a consumer: all may be asked about again. */
  open(): void {
    this.#openings++
    this.wake()
  }

  /** Asks about those that were not asked about since the last opening, the oldest first, while there is room. */
  wake(): void {
    if (this.#isWaking) {
      this.#wakeAgain = true
      return
    }
    this.#isWaking = true
    do {
      this.#wakeAgain = false
      let link = this.list.first
      while (link !== null && this.#owner.hasRoom()) {
        const { value: dispatch, next } = link
        if (!dispatch.isAsking && dispatch.askedAt !== this.#openings) this.#owner.ask(dispatch)
        // Consumers run within a delivery and may change the line: begin anew, those asked about already are passed over.
        link = next === null || next.list === this.list ? next : this.list.first
      }
    } while (this.#wakeAgain)
    this.#isWaking = false
  }
}
