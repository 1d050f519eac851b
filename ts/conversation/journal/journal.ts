import type { EventStore, StoreKey, StoreWrite } from '../../durability/index.ts'
import { describeStoreKey, eventBatch, eventsOf } from '../../durability/index.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import { decodeJournalEvent, encodeJournalEvent, type JournalEvent, UnreadableEvent } from './journal-event.ts'
import { ImpossibleEvent, JournalState } from './journal-state.ts'

/** Events after which a snapshot takes the place of those before it. */
export const SNAPSHOT_EVERY = 256
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 5_000

/** What a conversation is found by in its store. */
export interface ConversationName {
  readonly subject: string
  readonly key: string
}

/** Events that wait to be written together. */
interface Entry {
  readonly event: JournalEvent
  readonly bytes: Uint8Array
  /** Whether it is tried again while the store fails: what it says has happened already. */
  readonly persists: boolean
  readonly resolve: () => void
  readonly reject: (error: LiminalError) => void
}

/**
 * The journal of one durable conversation, and the state that it adds up to: an event changes the state once it is stored. One write is underway at a time; what comes
 * meanwhile is the next one.
 */
export class Journal {
  readonly name: ConversationName
  readonly state: JournalState
  readonly #store: EventStore
  readonly #stream: StoreKey
  readonly #snapshot: StoreKey
  /** Of the stream, and of the snapshots. */
  #next: bigint
  #nextSnapshot: bigint
  /** Since the last snapshot. */
  #events: number
  #waiting: Entry[] = []
  #underway: Promise<void> | null = null
  #retry: NodeJS.Timeout | null = null
  #retryMs = FIRST_RETRY_MS
  /** Whether its last event was given: nothing may follow. */
  #isEnding = false
  /** What ended it: nothing is written any more. */
  #error: LiminalError | null = null

  private constructor(store: EventStore, name: ConversationName, read: ReadJournal) {
    this.#store = store
    this.name = name
    this.state = read.state
    this.#stream = streamOf(name)
    this.#snapshot = snapshotOf(name)
    this.#next = read.next
    this.#nextSnapshot = read.nextSnapshot
    this.#events = read.events
  }

  /** A journal that nothing was written to. */
  static create(store: EventStore, name: ConversationName): Journal {
    return new Journal(store, name, { state: new JournalState(), next: 0n, nextSnapshot: 0n, events: 0 })
  }

  /** Reads a journal: its snapshot, and what came after. `null` if there is none. @throws LiminalError `STORE_CORRUPT` for one that cannot be understood. */
  static async open(store: EventStore, name: ConversationName): Promise<Journal | null> {
    const state = new JournalState()
    const nextSnapshot = await replay(store, snapshotOf(name), state)
    const stream = streamOf(name)
    const { first } = await store.state(stream)
    const next = await replay(store, stream, state)
    if (next === 0n && nextSnapshot === 0n) return null
    checkBegun(name, state)
    return new Journal(store, name, { state, next, nextSnapshot, events: Number(next - first) })
  }

  /** Whether there is more of it than its end. */
  get isKept(): boolean {
    return this.#next > 0n
  }

  /**
   * Stores an event, and resolves once it is stored and part of the state.
   * @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`: nothing was kept. `SEQUENCE_CONFLICT`: somebody else goes on with this conversation.
   */
  append(event: JournalEvent): Promise<void> {
    return this.#add(event, false)
  }

  /** The same for what has happened already: tried again until the store takes it, or the journal is closed. @throws LiminalError `SEQUENCE_CONFLICT`, or what the journal was closed with. */
  persist(event: JournalEvent): Promise<void> {
    return this.#add(event, true)
  }

  /**
   * Puts the end of a conversation that is closed in place of its journal, to be forgotten at a time.
   * @param expiry the value that says so.
   */
  async finish(expiry: StoreKey): Promise<void> {
    await this.#store.write([
      ...this.#snapshotChanges().changes,
      { type: 'remove', stream: this.#stream },
      { type: 'set', key: expiry, value: new Uint8Array(0) },
    ])
  }

  /** Resolves when nothing is underway to the store. What is tried again later is not. */
  async idle(): Promise<void> {
    while (this.#underway !== null) await this.#underway
  }

  /** Writes what waits, once more if it has to, and nothing afterwards. Resolves when nothing is underway any more. */
  async close(error: LiminalError): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    this.#pump()
    await this.idle()
    this.#fail(error)
  }

  #add(event: JournalEvent, persists: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const error = this.#error ?? (this.#isEnding ? this.#overError() : null)
      if (error !== null) {
        reject(error)
        return
      }
      this.#isEnding = event.is === 'closed'
      this.#waiting.push({ event, bytes: encodeJournalEvent(event), persists, resolve, reject })
      this.#pump()
    })
  }

  #overError(): LiminalError {
    return new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.name.subject}' is over.`)
  }

  #pump(): void {
    if (this.#underway !== null || this.#waiting.length === 0 || this.#error !== null) return
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    const entries = this.#waiting
    this.#waiting = []
    this.#underway = this.#write(entries).finally(() => {
      this.#underway = null
      if (this.#retry === null) this.#pump()
    })
  }

  async #write(entries: readonly Entry[]): Promise<void> {
    const events = eventBatch(entries.map(({ bytes }) => bytes))
    try {
      await this.#store.write([{ type: 'append', stream: this.#stream, expected: this.#next, events }])
    } catch (thrown) {
      this.#failed(entries, toLiminalError(thrown))
      return
    }
    this.#retryMs = FIRST_RETRY_MS
    this.#next += BigInt(entries.length)
    this.#events += entries.length
    for (const { event, resolve, reject } of entries) {
      try {
        this.state.apply(event)
        resolve()
      } catch (cause) {
        const message = `The conversation '${this.name.key}' with '${this.name.subject}' has written what cannot be: an '${event.is}' event.`
        const error = new LiminalError('INTERNAL', message, { cause })
        reject(error)
        this.#fail(error)
      }
    }
    if (this.#events >= SNAPSHOT_EVERY && this.state.closed === null) await this.#compact()
  }

  /** What fails now is tried again with the next event. */
  async #compact(): Promise<void> {
    const { changes, count } = this.#snapshotChanges()
    try {
      await this.#store.write([...changes, { type: 'truncate', stream: this.#stream, before: this.#next }])
    } catch (thrown) {
      const error = toLiminalError(thrown)
      if (!error.retryable) this.#fail(error)
      return
    }
    this.#nextSnapshot += BigInt(count)
    this.#events = 0
  }

  #snapshotChanges(): { readonly changes: readonly StoreWrite[]; readonly count: number } {
    const events = Array.from(this.state.snapshot(), encodeJournalEvent)
    const stream = this.#snapshot
    const expected = this.#nextSnapshot
    const changes: StoreWrite[] = [
      { type: 'append', stream, expected, events: eventBatch(events) },
      { type: 'truncate', stream, before: expected },
    ]
    return { changes, count: events.length }
  }

  #failed(entries: readonly Entry[], error: LiminalError): void {
    if (!error.retryable) {
      // What was not written comes first: it was there first.
      this.#waiting = [...entries, ...this.#waiting]
      this.#fail(error)
      return
    }
    const kept = entries.filter(({ persists }) => persists)
    for (const { persists, reject } of entries) if (!persists) reject(error)
    if (kept.length === 0) return
    this.#waiting = [...kept, ...this.#waiting]
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.#pump()
    }, this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS)
  }

  #fail(error: LiminalError): void {
    this.#error ??= error
    const waiting = this.#waiting
    this.#waiting = []
    for (const { reject } of waiting) reject(this.#error)
  }
}

interface ReadJournal {
  readonly state: JournalState
  readonly next: bigint
  readonly nextSnapshot: bigint
  readonly events: number
}

/** The stream of a conversation's events. */
export function streamOf({ subject, key }: ConversationName): StoreKey {
  return { kind: 'conversation', parts: [subject, key] }
}

/** The stream of a conversation's snapshots: only the last one is there. */
export function snapshotOf({ subject, key }: ConversationName): StoreKey {
  return { kind: 'snapshot', parts: [subject, key] }
}

/** Applies all events of a stream, page by page. Returns its next sequence. */
async function replay(store: EventStore, stream: StoreKey, state: JournalState): Promise<bigint> {
  for (let from = 0n; ; ) {
    const { batches, next } = await store.read(stream, from)
    if (batches.length === 0) return next
    for (const batch of batches) {
      for (const { sequence, payload } of eventsOf(batch)) replayOne(stream, sequence, payload, state)
    }
    from = next
  }
}

function replayOne(stream: StoreKey, sequence: bigint, bytes: Uint8Array, state: JournalState): void {
  try {
    state.apply(decodeJournalEvent(bytes))
  } catch (thrown) {
    if (!(thrown instanceof UnreadableEvent) && !(thrown instanceof ImpossibleEvent)) throw thrown
    const message = `Event ${sequence} of the journal ${describeStoreKey(stream)} cannot be used: ${thrown.message}. Restore the store from a copy, or remove this journal.`
    throw new LiminalError('STORE_CORRUPT', message, { cause: thrown })
  }
}

function checkBegun(name: ConversationName, state: JournalState): void {
  try {
    void state.opened
  } catch (cause) {
    const message = `The journal ${describeStoreKey(streamOf(name))} has no beginning. Restore the store from a copy, or remove it.`
    throw new LiminalError('STORE_CORRUPT', message, { cause })
  }
}
