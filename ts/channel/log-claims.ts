import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  CLAIM_WORDS,
  ClaimRows,
  ClaimStatus,
  type EventStore,
  eventBatch,
  eventsOf,
  type StoreKey,
  type StoreWrite,
} from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { Column } from '../protocol/index.ts'
import type { Original } from './answers.ts'
import type { BatchClaims } from './batch-claims.ts'
import { type ClaimEvent, readClaimEvent, writeClaimEvent } from './claim-events.ts'
import { type ClaimSource, claimTime } from './claims.ts'
import type { LoggedMessage } from './logged-message.ts'
import { rowOffset } from './one-message-run.ts'
import { RestoredKeys, UNKNOWN } from './restored-keys.ts'
import type { MessageRun } from './run.ts'
import { TimeMarks } from './time-marks.ts'

/** Read at once while a log is opened. */
const PAGE_EVENTS = 1_024
const PAGE_BYTES = 256 * 1024

/**
 * The idempotency keys of a durable channel. Claims themselves are only in memory: with a message the hash of its key is stored, in the same commit, so a restart finds the keys of the messages
 * that were stored, and no others (design §8).
 */
export class LogClaims {
  readonly #channel: string
  readonly #source: ClaimSource
  readonly #store: EventStore
  readonly #stream: StoreKey
  /** Of the claims stream. */
  #next = 0n
  readonly #marks: TimeMarks
  /** What became of stored messages; goes with the next commit. */
  #fates: ClaimEvent[] = []

  constructor(channel: string, source: ClaimSource, store: EventStore, ttlMs: number) {
    this.#channel = channel
    this.#source = source
    this.#store = store
    this.#stream = { kind: 'claims', parts: [channel] }
    this.#marks = new TimeMarks(ttlMs)
  }

  /**
   * Puts the keys that were stored lately back into the index. All that the stream has is read, whatever the store's timestamps say: the clock may have been set back.
   * @throws LiminalError `STORE_CORRUPT`, `STORE_FAILED`.
   */
  async restore(): Promise<void> {
    const { first, next } = await this.#store.state(this.#stream)
    this.#next = next
    const keys = new RestoredKeys(this.#source.index)
    for (let at = first; at < next; ) {
      const page = await this.#store.read(this.#stream, at, { maxEvents: PAGE_EVENTS, maxBytes: PAGE_BYTES })
      for (const batch of page.batches) {
        for (const { sequence, payload } of eventsOf(batch)) {
          const event = readClaimEvent(payload, `Event ${sequence} of the keys of channel '${this.#channel}'`)
          if (event.is === 'keys') this.#marks.add(sequence + 1n, keys.stored(event.position, event.hashes, event.at))
          else keys.fate(event.position, event.deliveredTo)
        }
      }
      at = page.next
      // A million keys are a second of work: others have their turn.
      await nextTurn()
    }
    keys.finish()
  }

  /** Goes on at the end of the stream, wherever that is. */
  async findEnd(): Promise<void> {
    this.#next = (await this.#store.state(this.#stream)).next
  }

  /** What is written with a commit whose batches begin at these positions. Call {@link written} when it was. */
  changes(batches: readonly { readonly claims: BatchClaims; readonly first: bigint }[]): StoreWrite[] {
    const events = [...this.#fates]
    const at = claimTime()
    for (const { claims, first } of batches) {
      for (const { position, hashes } of claims.hashes(first)) events.push({ is: 'keys', position, at, hashes })
    }
    if (events.length === 0) return []
    return [
      { type: 'append', stream: this.#stream, expected: this.#next, events: eventBatch(events.map(writeClaimEvent)) },
    ]
  }

  /** The changes of the last call of {@link changes} are stored. */
  written(changes: readonly StoreWrite[]): void {
    for (const change of changes) {
      if (change.type === 'append') this.#next += BigInt(change.events.ends.length)
    }
    if (changes.length > 0) this.#marks.add(this.#next, claimTime())
    this.#fates = []
  }

  /** A batch was stored and delivered. */
  complete(claims: BatchClaims, first: bigint, deliveredTo: number): void {
    if (claims.count === 0) return
    claims.complete(this.#source.index, first, Math.min(deliveredTo, UNKNOWN - 1))
    for (const position of claims.positions(first)) this.#fates.push({ is: 'fate', position, deliveredTo })
  }

  /** A batch failed. */
  release(claims: BatchClaims): void {
    if (claims.count > 0) claims.release(this.#source.index)
  }

  /**
   * Prepares to find the original of a row that repeats a key, when everything before it is settled.
   *
   * @param index Of the row.
   * @param at Of its claim.
   * @param message Reads a message of the log.
   */
  finder(
    run: MessageRun,
    index: number,
    claims: ClaimRows,
    at: number,
    message: (position: bigint) => Promise<LoggedMessage | null>,
  ): () => Promise<Original> {
    const row = rowOffset(index)
    const keyAt = run.columns[row + Column.KEY]
    // Copies: both are lent for one call.
    const key = run.bytes.slice(keyAt, keyAt + run.columns[row + Column.KEY_LENGTH])
    const claim = new ClaimRows(1)
    claim.words.set(claims.words.subarray(at * CLAIM_WORDS, (at + 1) * CLAIM_WORDS))
    return () => this.#find(key, claim, message)
  }

  /** Forgets what is stored of keys whose time is over. */
  async expire(): Promise<void> {
    const before = this.#marks.passed(claimTime())
    if (before === null) return
    await this.#store.write([{ type: 'truncate', stream: this.#stream, before }])
    this.#marks.forget(before)
  }

  /** Writes down what became of the last messages. */
  async close(): Promise<void> {
    const changes = this.changes([])
    if (changes.length === 0) return
    await this.#store.write(changes)
    this.written(changes)
  }

  async #find(
    key: Uint8Array,
    claim: ClaimRows,
    message: (position: bigint) => Promise<LoggedMessage | null>,
  ): Promise<Original> {
    this.#source.index.look(claim, 0, 1, claimTime())
    if (claim.status(0) !== ClaimStatus.COMPLETED) {
      // Its original has failed, and is not in the way any more.
      const text = `The first publish with this idempotency key on channel '${this.#channel}' was not stored. Publish again.`
      throw new LiminalError('STORE_FAILED', text)
    }
    const position = claim.value(0)
    const deliveredTo = claim.deliveredTo(0) === UNKNOWN ? null : claim.deliveredTo(0)
    const original = await message(position)
    // Removed meanwhile, by retention or a purge: its key cannot be compared, and nothing says more of it.
    if (original === null) return { messageId: 0n, deliveredTo, position }
    if (original.key === null || Buffer.compare(original.key, key) !== 0) {
      const text = `The idempotency key has the same 128-bit hash as that of message ${position} of channel '${this.#channel}'. Nothing was published. Publish with another key.`
      throw new LiminalError('INVALID_ARGUMENT', text)
    }
    return { messageId: original.messageId, deliveredTo, position }
  }
}
