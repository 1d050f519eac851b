import type { SyncPolicy } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { tooLarge } from '../payload.ts'
import type { Exit, PassiveProcess, ProcessSystem } from '../process/index.ts'
import { Column, NO_SCHEMA } from '../protocol/index.ts'
import type { Schema } from '../schema/index.ts'
import type { ChannelLog } from './channel-log.ts'
import { type ClaimSource, isKeyed } from './claims.ts'
import type { CheckpointPolicy, CursorRegistry, DeadLetter } from './cursor/index.ts'
import { CursorSubscription } from './cursor-subscription.ts'
import { deadLetterChannel } from './dead-letters.ts'
import { sayPublishRefused } from './diagnostics.ts'
import { type ChannelSubscription, FanOut } from './fan-out.ts'
import { publishClaimed } from './live-claims.ts'
import { LogFanOut } from './log-fan-out.ts'
import { type LogStart, positionOf } from './log-subscription.ts'
import type { MessageIds } from './message-ids.ts'
import { rowOffset, withPayload } from './one-message-run.ts'
import type { MessageRun, PublishObserver, Sink } from './run.ts'

/** What a channel shares with the others of its registry. */
export interface ChannelSurroundings {
  readonly messageIds: MessageIds
  /** The next subscription id, unique in the bus. */
  nextSubscriptionId(): bigint
  /** Where the idempotency keys of a channel are claimed. */
  claimSource(channel: string): ClaimSource
  /** Bytes of the largest envelope. */
  readonly maxMessageBytes: number
  /** Where the processes of channels live. */
  readonly processes: ProcessSystem
  /** The process of a channel was ended from outside, and the channel with it. */
  killed(channel: ChannelCore): void
}

/** How a subscription wants its cursor; what is left out has its default. See CursorOptions of the bus. */
export interface CursorDemand {
  readonly name: string
  /** Where a cursor begins that is new. */
  readonly start: LogStart
  readonly maxInFlight: number
  readonly checkpoint?: CheckpointPolicy | undefined
  readonly leaseMs?: number | undefined
  /** Default `'delivered'`: when the sink takes a delivery. `'seen'`: when CursorSubscription.seen says so. */
  readonly leaseBegins?: 'delivered' | 'seen' | undefined
  readonly maxAttempts?: number | undefined
  readonly deadLetter?: string | undefined
  /** Hears of the subscription as soon as it has the cursor, which is before that is written down: a disk that is full may take long. */
  readonly acquired?: ((subscription: CursorSubscription) => void) | undefined
}

/** What a durable channel has that outlives its process. */
export interface ChannelStorage {
  readonly sync: SyncPolicy
  readonly log: ChannelLog
  readonly cursors: CursorRegistry
  /** Makes sure that a dead-letter channel is there. @throws LiminalError `NOT_SUPPORTED`: it is not durable; what declaring it throws. */
  prepareDeadLetters(name: string): Promise<void>
  /** Puts a message into a dead-letter channel. */
  bury(letter: DeadLetter, to: string): Promise<void>
}

/**
 * One channel: takes runs of messages, and delivers them to its subscriptions (design §8).
 *
 * Without a log everything here is synchronous: a publish is done when {@link publishRun} returns, and nothing of it happens later. With one, messages are checked at once, and delivered and
 * answered when they are stored.
 */
export class ChannelCore {
  readonly name: string
  /** Its number in the registry's name table. */
  readonly id: number
  /** What payloads must look like; `null`: anything, and nobody looks. */
  readonly schema: Schema | null
  /** 32 bytes; zero without a schema. */
  readonly schemaId: Uint8Array
  /** Where its messages are stored; `null`: it is not durable. */
  readonly log: ChannelLog | null
  readonly storage: ChannelStorage | null
  /** When it is killed, the channel is closed with `CHANNEL_CLOSED`, and made anew when it is next used. */
  readonly process: PassiveProcess
  readonly #surroundings: ChannelSurroundings
  readonly #fanOut: FanOut
  readonly #logFanOut: LogFanOut | null
  readonly #claims: ClaimSource
  readonly #cursors = new Set<CursorSubscription>()
  #closed = false

  /** @throws LiminalError `LIMIT_EXCEEDED`, `CLOSED`: there can be no process for it. */
  constructor(
    name: string,
    id: number,
    schema: Schema | null,
    storage: ChannelStorage | null,
    surroundings: ChannelSurroundings,
  ) {
    this.process = surroundings.processes.spawnPassive({
      name: 'channel',
      about: () => name,
      onExit: (exit) => this.#exited(exit),
    })
    this.name = name
    this.id = id
    this.schema = schema
    this.schemaId = schema?.id ?? NO_SCHEMA
    this.#surroundings = surroundings
    this.#fanOut = new FanOut(name)
    this.#claims = surroundings.claimSource(name)
    const log = storage === null ? null : storage.log
    this.log = log
    this.storage = storage
    this.#logFanOut = log === null ? null : new LogFanOut(log)
    // Who owns a cursor gets it from the log, like a subscription that is behind.
    log?.attach((run, schemaId, position) => {
      return (this.#logFanOut?.deliver(run, schemaId, position) ?? 0) + this.#cursors.size
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  get subscriberCount(): number {
    return this.#fanOut.size + (this.#logFanOut?.size ?? 0) + this.#cursors.size
  }

  /**
   * Publishes the messages of a run, in order: open? schema and defaults, size, idempotency, fan-out in subscription order, and the outcome to the
   * observer. A message that is refused leaves no trace and does not stop those behind it.
   */
  publishRun(run: MessageRun, observer: PublishObserver): void {
    if (this.#closed) {
      const error = this.#closedError()
      for (let left = run.count; left > 0; left--) this.#refuse(error, observer)
    } else if (this.schema === null && this.#span(run) <= this.#surroundings.maxMessageBytes) {
      this.#publishChecked(run, observer)
    } else {
      this.#publishRows(run, this.schema, observer)
    }
  }

  /**
   * What publishers wait for before they publish more: settles when every subscription that is behind has caught up, or is waited for no longer. `null`, and
   * that fast, if none is behind.
   */
  hold(): Promise<void> | null {
    return this.log === null ? this.#fanOut.hold() : this.log.hold()
  }

  /**
   * Adds a subscription. Nothing is delivered before this has returned.
   *
   * @param start Where it begins in the log. Default: with what is published from now on.
   * @throws LiminalError `CHANNEL_CLOSED`; `NOT_SUPPORTED`: the channel has no log to begin anywhere in.
   */
  subscribe(sink: Sink, start: LogStart = 'latest'): ChannelSubscription {
    if (this.#closed) throw this.#closedError()
    const id = this.#surroundings.nextSubscriptionId()
    if (this.#logFanOut !== null) return this.#logFanOut.add(id, sink, start)
    if (start !== 'latest') throw this.#notDurable('A subscription can begin only with what is published from now on.')
    return this.#fanOut.add(id, sink)
  }

  /**
   * Subscribes with a named cursor: takes it from whoever owns it. Deliveries come once it is written down who owns it now.
   *
   * @param sink gets `CURSOR_FENCED` when the cursor is taken away.
   * @throws LiminalError `CHANNEL_CLOSED`; `NOT_SUPPORTED`: the channel is not durable; `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `STORE_CORRUPT`, `STORE_FAILED`, `STORE_FULL`.
   */
  async subscribeCursor(sink: Sink, demand: CursorDemand): Promise<CursorSubscription> {
    if (this.#closed) throw this.#closedError()
    if (this.storage === null) throw this.#notDurable('It has no cursors.')
    const { log, cursors, bury, prepareDeadLetters } = this.storage
    const { name, maxInFlight, checkpoint, leaseMs, leaseBegins, maxAttempts } = demand
    const to = demand.deadLetter ?? deadLetterChannel(this.name)
    if (to === this.name) {
      const message = `deadLetter must be another channel: '${to}' would get its own dead letters back for ever.`
      throw new LiminalError('INVALID_ARGUMENT', message)
    }
    // Now, and not when the first message has failed: whoever subscribes can still do something about it.
    if (maxAttempts !== undefined) await prepareDeadLetters(to)
    const start = await positionOf(log, demand.start)
    if (this.#closed) throw this.#closedError()
    const cursor = cursors.findOrCreate(name, start)
    const leave = (left: CursorSubscription): void => {
      this.#cursors.delete(left)
    }
    const session = cursor.acquire({
      target: {
        deliver: (run, schemaId, logged) => sink.deliver(run, schemaId, logged),
        hold: () => sink.hold(),
        room: () => sink.room(),
        onRoom: (listener) => sink.onRoom(listener),
        end: (error) => {
          leave(subscription)
          sink.end(error)
        },
      },
      fenced: (error) => {
        leave(subscription)
        sink.end(error)
      },
      maxInFlight,
      checkpoint,
      leaseMs,
      leaseBegins,
      maxAttempts,
      deadLetter: maxAttempts === undefined ? undefined : (letter) => bury(letter, to),
    })
    const subscription = new CursorSubscription(this.#surroundings.nextSubscriptionId(), session, leave)
    this.#cursors.add(subscription)
    demand.acquired?.(subscription)
    await session.ready
    return subscription
  }

  /** Ends all subscriptions, by default with `CHANNEL_CLOSED`; publishes are refused from now on. Idempotent. */
  close(error: LiminalError = this.#closedError()): void {
    if (this.#closed) return
    this.#closed = true
    this.#fanOut.end(error)
    this.#logFanOut?.end(error)
    for (const subscription of [...this.#cursors]) subscription.end(error)
    this.process.end()
  }

  #exited({ reason }: Exit): void {
    if (this.#closed) return
    this.#surroundings.killed(this)
    const message = `Channel '${this.name}' was ended from outside (${reason.is}).`
    this.close(new LiminalError('CHANNEL_CLOSED', message, { cause: reason }))
  }

  /** Bytes from the first envelope of a run to the end of the last: none of them is larger. */
  #span({ columns, first, count }: MessageRun): number {
    const last = rowOffset(first + count - 1)
    return (
      columns[last + Column.PAYLOAD] +
      columns[last + Column.PAYLOAD_LENGTH] -
      columns[rowOffset(first) + Column.ENVELOPE]
    )
  }

  /** Row by row: neighbours that go through as they are stay together as one run. */
  #publishRows(run: MessageRun, schema: Schema | null, observer: PublishObserver): void {
    const { bytes, columns } = run
    const most = this.#surroundings.maxMessageBytes
    const end = run.first + run.count
    let start = run.first
    const flush = (until: number): void => {
      if (until > start) this.#publishChecked({ bytes, columns, first: start, count: until - start }, observer)
      start = until + 1
    }
    for (let index = run.first; index < end; index++) {
      const row = rowOffset(index)
      let payload: Uint8Array | null = null
      if (schema !== null) {
        const at = columns[row + Column.PAYLOAD]
        try {
          payload = schema.apply(bytes.subarray(at, at + columns[row + Column.PAYLOAD_LENGTH]))
        } catch (error) {
          flush(index)
          this.#refuse(asRefusal(error, this.name), observer)
          continue
        }
      }
      const payloadLength = payload?.length ?? columns[row + Column.PAYLOAD_LENGTH]
      const envelopeLength = columns[row + Column.PAYLOAD] - columns[row + Column.ENVELOPE] + payloadLength
      if (envelopeLength > most) {
        flush(index)
        this.#refuse(tooLarge(envelopeLength, most), observer)
      } else if (payload !== null) {
        flush(index)
        this.#publishChecked(withPayload(run, row, payload), observer)
      }
    }
    flush(end)
  }

  /** Publishes messages that passed all checks. */
  #publishChecked(run: MessageRun, observer: PublishObserver): void {
    if (this.log !== null) {
      this.log.publish(run, this.schemaId, observer)
    } else if (isKeyed(run)) {
      publishClaimed(this.#claims, run, observer, (part) => this.#deliver(part))
    } else {
      const { messageId, deliveredTo } = this.#deliver(run)
      observer.accepted(messageId, run.count, deliveredTo, null)
    }
  }

  #deliver(run: MessageRun): { readonly messageId: bigint; readonly deliveredTo: number } {
    const messageId = this.#surroundings.messageIds.take(run.count)
    return { messageId, deliveredTo: this.#fanOut.deliver(run, this.schemaId, null) }
  }

  #refuse(error: LiminalError, observer: PublishObserver): void {
    sayPublishRefused(this.name, error)
    // Of a channel with a log the answers of earlier publishes may be still to come.
    if (this.log === null) observer.refused(error)
    else this.log.refuse(error, observer)
  }

  #notDurable(what: string): LiminalError {
    const message = `Channel '${this.name}' is not durable. ${what} Declare it with durable: true on a bus with a dataDir.`
    return new LiminalError('NOT_SUPPORTED', message)
  }

  #closedError(): LiminalError {
    return new LiminalError('CHANNEL_CLOSED', `Channel '${this.name}' is closed.`)
  }
}

function asRefusal(error: unknown, channel: string): LiminalError {
  if (error instanceof LiminalError) return error
  return new LiminalError('INTERNAL', `The payload could not be checked against the schema of channel '${channel}'.`, {
    cause: error,
  })
}
