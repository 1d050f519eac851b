import type { Connection } from './connection.ts'

/** Whose unacknowledged publishes are to be confirmed. */
export interface Confirmable {
  /** Everything sent so far is what the next {@link confirm} is about. */
  mark(): void
  /** What was marked has reached the server. Returns whether anything unconfirmed is left. */
  confirm(): boolean
}

/** How often a busy sender asks, in milliseconds. */
const INTERVAL_MS = 1_000

/**
 * Finds out what became of `send`, which nobody answers: a Pong says that the server dealt with all that was written before its Ping. Without this, a lost
 * connection could not tell how much went with it. One Ping a second at most, none while nothing is sent.
 */
export class SendConfirmation {
  readonly #connection: Connection
  readonly #lanes = new Set<Confirmable>()
  #timer: NodeJS.Timeout | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** The lane has something unconfirmed. */
  watch(lane: Confirmable): void {
    this.#lanes.add(lane)
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => this.#ask(), INTERVAL_MS)
    this.#timer.unref()
  }

  /** The lane, or the connection, is gone. */
  forget(lane: Confirmable): void {
    this.#lanes.delete(lane)
    if (this.#lanes.size > 0 || this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
  }

  #ask(): void {
    if (!this.#connection.open) return
    const asked = [...this.#lanes]
    for (const lane of asked) lane.mark()
    this.#connection.ping(() => {
      this.#timer = null
      for (const lane of asked) if (!lane.confirm()) this.#lanes.delete(lane)
      for (const lane of this.#lanes) this.watch(lane)
    })
  }
}
