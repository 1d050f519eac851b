/** Whose unacknowledged publishes are to be confirmed. */
export interface Confirmable {
  /** Everything sent so far is what the next {@link confirm} is about. */
  mark(): void
  /** What was marked has reached the server. Returns whether anything unconfirmed is left. */
  confirm(): boolean
}

/** A connection, as far as it matters here. */
export interface Pinging {
  readonly open: boolean
  /** `onPong` is called once the server has dealt with everything that was written before. */
  ping(onPong: () => void): void
}

/** How often a busy sender asks, in milliseconds. */
const INTERVAL_MS = 1_000

/**
 * Finds out what became of `send`, which nobody answers: a Pong says that the server dealt with all that was written before its Ping. Without this, a lost
 * connection could not tell how much went with it. One Ping a second at most, none while nothing is sent.
 */
export class SendConfirmation {
  readonly #connection: Pinging
  readonly #lanes = new Set<Confirmable>()
  #timer: NodeJS.Timeout | null = null
  /** A Ping is underway. What it is about is marked, and no other may mark anew before its Pong. */
  #asking = false

  constructor(connection: Pinging) {
    this.#connection = connection
  }

  /** The lane has something unconfirmed. */
  watch(lane: Confirmable): void {
    this.#lanes.add(lane)
    this.#schedule()
  }

  /** The lane, or the connection, is gone. */
  forget(lane: Confirmable): void {
    this.#lanes.delete(lane)
    if (this.#lanes.size > 0 || this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
  }

  #schedule(): void {
    if (this.#timer !== null || this.#asking || this.#lanes.size === 0) return
    this.#timer = setTimeout(() => this.#ask(), INTERVAL_MS)
    this.#timer.unref()
  }

  #ask(): void {
    this.#timer = null
    if (!this.#connection.open) return
    const asked = [...this.#lanes]
    for (const lane of asked) lane.mark()
    this.#asking = true
    this.#connection.ping(() => {
      this.#asking = false
      for (const lane of asked) if (this.#lanes.has(lane) && !lane.confirm()) this.#lanes.delete(lane)
      this.#schedule()
    })
  }
}
