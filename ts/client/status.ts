import type { ServerAddress } from './url.ts'

/** What a remote bus is at: told apart by `type`. */
export type ConnectionState =
  /** The first attempt is underway. */
  | { readonly type: 'connecting' }
  /** Everything works. `capabilities` are the extension bits that the server granted. */
  | { readonly type: 'connected'; readonly address: ServerAddress; readonly capabilities: number }
  /** The connection is gone. Followed by `reconnecting` or `closed`. */
  | { readonly type: 'disconnected'; readonly error: Error }
  /** The next attempt, counted from 1, starts in `delayMs`. */
  | { readonly type: 'reconnecting'; readonly attempt: number; readonly delayMs: number }
  /** Over for good: `null` after `close()`, else what ended it. */
  | { readonly type: 'closed'; readonly error: Error | null }

/** What happened on the way: every change of state, and what became of subscriptions, responders and workers after a reconnect. */
export type ConnectionStatus =
  | ConnectionState
  /** These channels' subscriptions deliver again. What was published in between is lost to them; sequences start at 1 again. */
  | { readonly type: 'resubscribed'; readonly channels: readonly string[] }
  /** These durable channels' subscriptions deliver again, from where they were: nothing is missing. */
  | { readonly type: 'resumed'; readonly channels: readonly string[] }
  /** The server refused to register a responder; its subject is not served by this bus any more. */
  | { readonly type: 'responder-refused'; readonly subject: string; readonly error: Error }
  /** The server refused a worker, which ends it. */
  | { readonly type: 'worker-refused'; readonly identity: string; readonly taskQueue: string; readonly error: Error }
  /** The server has not answered the registration of a worker in time. It may still do so; the next connection is asked again. */
  | { readonly type: 'worker-unanswered'; readonly identity: string; readonly taskQueue: string; readonly error: Error }
  /** A second worker of this bus took the place of the first, which ends it: a connection has one registration. */
  | {
      readonly type: 'worker-replaced'
      readonly identity: string
      readonly taskQueue: string
      readonly by: { readonly identity: string; readonly taskQueue: string }
    }

/** Events that a reader may lag behind before it misses the oldest. */
const READER_CAPACITY = 256

/** The status of one bus, for any number of readers. */
export class StatusFeed {
  #state: ConnectionState = { type: 'connecting' }
  readonly #readers = new Set<Reader>()

  /** The last state told. */
  get state(): ConnectionState {
    return this.#state
  }

  /** Tells a new state. Nothing follows `closed`. */
  enter(state: ConnectionState): void {
    if (this.#state.type === 'closed') return
    this.#state = state
    this.tell(state)
  }

  /** Tells something that is not a state. */
  tell(status: ConnectionStatus): void {
    for (const reader of this.#readers) reader.push(status)
  }

  /** The current state, then every change. Ends after `closed`. A reader that lags behind 256 events misses the oldest ones. */
  read(): AsyncIterableIterator<ConnectionStatus> {
    const reader = new Reader((gone) => this.#readers.delete(gone))
    this.#readers.add(reader)
    reader.push(this.#state)
    return reader
  }
}

type Taken = IteratorResult<ConnectionStatus, undefined>

class Reader implements AsyncIterableIterator<ConnectionStatus> {
  readonly #leave: (reader: Reader) => void
  #events: ConnectionStatus[] = []
  #waiting: ((taken: Taken) => void)[] = []
  #over = false

  constructor(leave: (reader: Reader) => void) {
    this.#leave = leave
  }

  push(status: ConnectionStatus): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) waiting({ value: status, done: false })
    else {
      if (this.#events.length === READER_CAPACITY) this.#events.shift()
      this.#events.push(status)
    }
    if (status.type === 'closed') this.#finish()
  }

  next(): Promise<Taken> {
    const event = this.#events.shift()
    if (event !== undefined) return Promise.resolve({ value: event, done: false })
    if (this.#over) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<Taken> {
    this.#events = []
    this.#finish()
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #finish(): void {
    this.#over = true
    this.#leave(this)
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve({ value: undefined, done: true })
  }
}
