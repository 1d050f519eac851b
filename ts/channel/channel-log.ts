import { Deferred } from '../deferred.ts'
import type { EventStore, MessageStamp, StoreKey, StoreWrite } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import { Answers } from './answers.ts'
import type { BatchClaims } from './batch-claims.ts'
import { type ClaimSource, claimRun, isKeyed } from './claims.ts'
import { type BatchSize, Collected } from './collected.ts'
import { sayAppendFailed, sayLogReadFailed } from './diagnostics.ts'
import { LogClaims } from './log-claims.ts'
import { firstMessages, type LoggedRun, type LogLimits, runsOf } from './log-reading.ts'
import { type LoggedMessage, messageIn } from './logged-message.ts'
import type { MessageIds } from './message-ids.ts'
import { RecentRuns } from './recent-runs.ts'
import type { MessageRun, PublishObserver } from './run.ts'

/** Of the newest messages that readers at the end of a log find in memory. */
const RECENT_BYTES = 1024 * 1024
/** Past so many bytes that wait for the commit underway, publishers are asked to wait. */
const HOLD_BYTES = 8 * 1024 * 1024
/** Past so many, they are refused. */
const MOST_BYTES = 64 * 1024 * 1024

/** Of a record of the store, about: who reads a few messages has all of their record checked. */
const RECORD_BYTES = 256 * 1024
/** Read at once to look a message up. */
const LOOKED_UP_MESSAGES = 1_024
const LOOKED_UP_BYTES = 256 * 1024

/** What commits at the end of this turn. */
let due: ChannelLog[] = []

/** Takes a run that was stored to its subscriptions, and returns how many took it. */
export type DeliverLogged = (run: MessageRun, schemaId: Uint8Array, position: bigint) => number

export interface ChannelLogOptions {
  readonly store: EventStore
  readonly messageIds: MessageIds
  readonly claims: ClaimSource
  /** Milliseconds that idempotency keys are remembered. */
  readonly claimsTtlMs: number
}

/**
 * The log of a durable channel: messages in the order in which they were published, which is that in which they are delivered (design §8). It outlives the channel's process.
 *
 * What is published while a commit is underway is collected and becomes the next one, so a commit carries as many messages as came during the one before. Only once they are stored are they
 * delivered and their publishers answered, in log order.
 */
export class ChannelLog {
  /** The channel. */
  readonly name: string
  readonly store: EventStore
  readonly stream: StoreKey
  readonly #claims: LogClaims
  readonly #source: ClaimSource
  readonly #messageIds: MessageIds
  readonly #answers = new Answers(() => this.#answered())
  readonly #recent = new RecentRuns(RECENT_BYTES)
  readonly #listeners = new Set<(next: bigint) => void>()
  #lookedUp: readonly LoggedRun[] = []
  #deliver: DeliverLogged = () => 0
  #first: bigint
  #next: bigint
  /** What waits for the commit that is underway; each of one schema. */
  #collected: Collected[] = []
  #collectedBytes = 0
  #lastBatch: BatchSize | null = null
  #committing = false
  #scheduled = false
  #closed = false
  #lastTimestamp = 0
  #removing: Promise<void> = Promise.resolve()
  #idle: Deferred<void> | null = null
  #room: Deferred<void> | null = null

  private constructor(name: string, options: ChannelLogOptions, first: bigint, next: bigint) {
    this.name = name
    this.store = options.store
    this.stream = { kind: 'channel', parts: [name] }
    this.#source = options.claims
    this.#claims = new LogClaims(name, options.claims, options.store, options.claimsTtlMs)
    this.#messageIds = options.messageIds
    this.#first = first
    this.#next = next
  }

  /** Opens the log of a channel where it was left. @throws LiminalError `STORE_CORRUPT`, `STORE_FAILED`, `CLOSED`. */
  static async open(name: string, options: ChannelLogOptions): Promise<ChannelLog> {
    const { first, next } = await options.store.state({ kind: 'channel', parts: [name] })
    const log = new ChannelLog(name, options, first, next)
    const last = next > first ? await log.message(next - 1n) : null
    if (last !== null) {
      // Time goes on where it was, also where the clock was set back meanwhile.
      log.#lastTimestamp = last.timestamp
      options.messageIds.startAfter(last.messageId)
    }
    await log.#claims.restore()
    return log
  }

  /** The oldest message that is there; {@link next} if there is none. */
  get first(): bigint {
    return this.#first
  }

  /** The position of the message that is delivered next: all before it can be read. */
  get next(): bigint {
    return this.#next
  }

  /** Nothing more comes. */
  get closed(): boolean {
    return this.#closed
  }

  /** Says where messages go once they are stored: to the channel, which may be made anew while its log stays. */
  attach(deliver: DeliverLogged): void {
    this.#deliver = deliver
  }

  /** Takes messages that passed all checks. The observer hears of them when they are stored, or are found to repeat others. */
  publish(run: MessageRun, schemaId: Uint8Array, observer: PublishObserver): void {
    if (this.#closed || this.#collectedBytes > MOST_BYTES) {
      const error = this.#closed ? this.#closedError() : this.#busyError()
      for (let left = run.count; left > 0; left--) this.refuse(error, observer)
      return
    }
    const collected = this.#collecting(schemaId)
    if (!isKeyed(run)) {
      this.#append(run, collected, observer)
      return
    }
    claimRun(this.#source, run, collected.claims.owner, {
      fresh: (part, claims, from) => {
        collected.claims.add(claims, from, part.count, collected.batch.count)
        this.#append(part, collected, observer)
      },
      duplicate: (index, claims, at) => {
        const find = this.#claims.finder(run, index, claims, at, (position) => this.message(position))
        this.#answers.add({ is: 'duplicate', observer, find })
      },
      refused: (error) => this.#answers.add({ is: 'refused', observer, error }),
    })
    this.#answers.tell()
  }

  /** Tells an observer of a refusal, behind the answers of earlier publishes. */
  refuse(error: LiminalError, observer: PublishObserver): void {
    this.#answers.add({ is: 'refused', observer, error })
    this.#answers.tell()
  }

  /** What publishers wait for while too much waits for its commit; `null` if they need not. */
  hold(): Promise<void> | null {
    if (this.#collectedBytes <= HOLD_BYTES) return this.store.hold()
    this.#room ??= new Deferred()
    return this.#room.promise
  }

  /** Resolves once every publish so far was answered. */
  idle(): Promise<void> {
    if (!this.#answers.pending) return Promise.resolve()
    this.#idle ??= new Deferred()
    return this.#idle.promise
  }

  /** Calls back after each fan-out, in the same turn. Returns what stops it. */
  onAppended(listener: (next: bigint) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Messages from a position on, from memory if they are recent. One before the oldest begins with the oldest; at {@link next} there are none.
   * @throws LiminalError `STORE_CORRUPT`, `STORE_FAILED`, `CLOSED`.
   */
  async read(position: bigint, { maxMessages, maxBytes }: LogLimits): Promise<readonly LoggedRun[]> {
    const from = position < this.#first ? this.#first : position
    const most = Math.min(maxMessages, Number(this.#next - from))
    if (most <= 0) return []
    const recent = this.#recent.from(from)
    if (recent.length > 0) return firstMessages(recent, { maxMessages: most, maxBytes })
    const { batches } = await this.store.read(this.stream, from, { maxEvents: most, maxBytes })
    return firstMessages(
      batches.flatMap((batch) => runsOf(batch, this.name)),
      { maxMessages: most, maxBytes },
    )
  }

  /** One message; `null` if it is not there any more, or not yet. @throws LiminalError as {@link read}. */
  async message(position: bigint): Promise<LoggedMessage | null> {
    if (position < this.#first || position >= this.#next) return null
    // Those that are looked up are mostly neighbours: what a publisher repeats after it lost its connection.
    const known = messageIn(this.#lookedUp, position)
    if (known !== null) return known
    this.#lookedUp = await this.read(position, { maxMessages: LOOKED_UP_MESSAGES, maxBytes: LOOKED_UP_BYTES })
    return messageIn(this.#lookedUp, position)
  }

  /** The position of the first message that was stored at a time or later; {@link next} if there is none. */
  async positionAt(timeMs: number): Promise<bigint> {
    const position = await this.store.sequenceAt(this.stream, timeMs)
    return position > this.#next ? this.#next : position
  }

  /** Removes the messages before a position, at most those before {@link next}. Returns how many there were. @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `CLOSED`. */
  removeBefore(position: bigint): Promise<bigint> {
    // One after the other: each counts from where the one before has left.
    const removing = this.#removing.then(() => this.#removeBefore(position))
    this.#removing = removing.then(
      () => {},
      () => {},
    )
    return removing
  }

  /** Refuses what comes from now on; resolves once everything before was answered and the fates of the last keys are written. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await this.idle()
    for (const listener of this.#listeners) listener(this.#next)
    this.#listeners.clear()
    await this.#removing
    try {
      await this.#claims.close()
    } catch (thrown) {
      // Of what was published with a key, nobody will know how many it reached: that is all that is lost.
      sayAppendFailed(this.name, toLiminalError(thrown))
    }
  }

  /** Forgets what is stored of idempotency keys whose time is over. */
  expireClaims(): Promise<void> {
    return this.#claims.expire()
  }

  async #removeBefore(position: bigint): Promise<bigint> {
    const before = position > this.#next ? this.#next : position
    const { first } = this
    if (before <= first) return 0n
    // Readers keep away from it at once: the store has removed it before it says so.
    this.#first = before
    this.#recent.clear()
    this.#lookedUp = []
    try {
      await this.store.write([{ type: 'truncate', stream: this.stream, before }])
    } catch (error) {
      this.#first = first
      throw error
    }
    return before - first
  }

  #append(run: MessageRun, collected: Collected, observer: PublishObserver): void {
    const { batch, schemaId } = collected
    const messageId = this.#messageIds.take(run.count)
    const offset = batch.count
    const before = batch.length
    batch.add(run, this.#stamp(messageId, observer.publisher), schemaId)
    this.#collectedBytes += batch.length - before
    this.#answers.add({ is: 'stored', observer, commit: collected, messageId, count: run.count, offset })
    if (this.#scheduled || this.#committing) return
    this.#scheduled = true
    if (due.push(this) === 1) setImmediate(ChannelLog.#endTurn)
  }

  /** One callback for all logs: their writes are handed over together. */
  static #endTurn(): void {
    const logs = due
    due = []
    for (const log of logs) {
      log.#scheduled = false
      log.#commit()
    }
  }

  #stamp(messageId: bigint, publisher: Uint8Array | null): MessageStamp {
    // A clock that is set back does not turn messages around.
    this.#lastTimestamp = Math.max(this.#lastTimestamp, Date.now())
    const messageIdHigh = Number(messageId >> 32n)
    const messageIdLow = Number(messageId & 0xffff_ffffn)
    return { messageIdHigh, messageIdLow, timestamp: this.#lastTimestamp, publisher }
  }

  #collecting(schemaId: Uint8Array): Collected {
    const last = this.#collected.at(-1)
    if (last !== undefined && last.schemaId === schemaId) return last
    const collected = new Collected(this.#source.nextOwner(), schemaId, this.#lastBatch)
    this.#collected.push(collected)
    return collected
  }

  #commit(): void {
    if (this.#committing || this.#collectedBytes === 0) return
    const batches: { readonly collected: Collected; readonly claims: BatchClaims; readonly first: bigint }[] = []
    const changes: StoreWrite[] = []
    let expected = this.#next
    for (const collected of this.#collected) {
      if (collected.batch.count === 0) continue
      batches.push({ collected, claims: collected.claims, first: expected })
      for (const events of collected.batch.events(RECORD_BYTES)) {
        changes.push({ type: 'append', stream: this.stream, expected, events })
        expected += BigInt(events.ends.length)
      }
    }
    const claims = this.#claims.changes(batches)
    this.#collected = []
    this.#collectedBytes = 0
    this.#room?.resolve()
    this.#room = null
    this.#committing = true
    this.#write([...changes, ...claims]).then(
      () => {
        this.#claims.written(claims)
        for (const { collected } of batches) this.#stored(collected)
        this.#settled()
      },
      async (thrown: unknown) => {
        const error = toLiminalError(thrown)
        if (error.code === 'SEQUENCE_CONFLICT') await this.#findEnd()
        this.#failed(batches, error)
      },
    )
  }

  /** Somebody else has written to the log: goes on behind that. Only a store without a lock lets it happen. */
  async #findEnd(): Promise<void> {
    try {
      const { next } = await this.store.state(this.stream)
      this.#next = next
      await this.#claims.findEnd()
    } catch (thrown) {
      sayLogReadFailed(this.name, toLiminalError(thrown))
    }
  }

  /** A store that is full of what others write has room for this soon. */
  async #write(changes: readonly StoreWrite[]): Promise<void> {
    for (;;) {
      try {
        await this.store.write(changes)
        return
      } catch (error) {
        const hold = error instanceof LiminalError && error.code === 'STORE_BUSY' ? this.store.hold() : null
        if (hold === null) throw error
        await hold
      }
    }
  }

  #stored(collected: Collected): void {
    const { batch, claims, schemaId } = collected
    this.#lastBatch = { length: batch.length, count: batch.count }
    const first = this.#next
    const run = batch.run()
    this.#recent.push({ run, first, schemaId })
    const deliveredTo = this.#deliver(run, schemaId, first)
    this.#next += BigInt(batch.count)
    this.#claims.complete(claims, first, deliveredTo)
    collected.outcome = { is: 'stored', first, deliveredTo }
  }

  #failed(batches: readonly { readonly collected: Collected }[], error: LiminalError): void {
    sayAppendFailed(this.name, error)
    for (const { collected } of batches) {
      this.#claims.release(collected.claims)
      collected.outcome = { is: 'failed', error }
    }
    this.#settled()
  }

  #settled(): void {
    this.#committing = false
    this.#answers.tell()
    for (const listener of this.#listeners) listener(this.#next)
    this.#commit()
  }

  #answered(): void {
    this.#lookedUp = []
    this.#idle?.resolve()
    this.#idle = null
  }

  #closedError(): LiminalError {
    return new LiminalError('CHANNEL_CLOSED', `Channel '${this.name}' is closed.`)
  }

  #busyError(): LiminalError {
    const message = `Channel '${this.name}' has ${this.#collectedBytes} bytes that wait for the disk, and takes no more. Publish again later.`
    return new LiminalError('STORE_BUSY', message)
  }
}
