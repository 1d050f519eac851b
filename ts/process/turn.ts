/** Messages that the processes of one system receive before timers and sockets get their turn. */
const TURN_BUDGET = 1_024

/** What waits for the next turn. */
export interface Held {
  /** The next turn has begun. */
  resume(): void
}

/**
 * Lets the event loop go round. Promises alone never let it: two processes that only answer each other would starve every timer and socket. Once the budget is
 * spent nobody receives anything before the next turn.
 */
export class Turn {
  #spent = 0
  #held: Held[] = []

  /** Whether another message may be received in this turn; counts it if so. */
  spend(): boolean {
    if (this.#spent >= TURN_BUDGET) return false
    this.#spent++
    return true
  }

  /** Resumes `held` in the next turn. */
  hold(held: Held): void {
    this.#held.push(held)
    if (this.#held.length === 1) setImmediate(() => this.#begin())
  }

  #begin(): void {
    const held = this.#held
    this.#held = []
    this.#spent = 0
    for (const one of held) one.resume()
  }
}
