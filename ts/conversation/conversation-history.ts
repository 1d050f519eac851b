/** One thing that happened in a conversation. */
export interface ConversationEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly is: 'joined' | 'request' | 'message' | 'reply' | 'failed' | 'left' | 'crashed' | 'handed-back' | 'rerouted'
  /** The attempt that it is about; 0 where it is about none. */
  readonly attempt: number
}

/** The latest things that happened in a conversation; the oldest are forgotten. Contents are not kept. */
export class ConversationHistory {
  readonly #capacity: number
  readonly #events: ConversationEvent[] = []
  #next = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  add(is: ConversationEvent['is'], attempt: number, at = Date.now()): void {
    this.#events[this.#next] = { at, is, attempt }
    this.#next = (this.#next + 1) % this.#capacity
  }

  /** Oldest first. */
  list(): ConversationEvent[] {
    return [...this.#events.slice(this.#next), ...this.#events.slice(0, this.#next)]
  }
}
