import { LiminalError } from '../errors.ts'
import { tooLarge } from '../payload.ts'
import type { Exit, PassiveProcess, ProcessSystem } from '../process/index.ts'
import { Column, NO_SCHEMA } from '../protocol/index.ts'
import type { Schema } from '../schema/index.ts'
import { sayPublishRefused } from './diagnostics.ts'
import { type ChannelSubscription, FanOut } from './fan-out.ts'
import { type IdempotencyLimits, IdempotencyWindow, type RememberedPublish, windowKey } from './idempotency-window.ts'
import type { MessageIds } from './message-ids.ts'
import { rowOffset, withPayload } from './one-message-run.ts'
import type { MessageRun, PublishObserver, Sink } from './run.ts'

/** What a channel shares with the others of its registry. */
export interface ChannelSurroundings {
  readonly messageIds: MessageIds
  /** The next subscription id, unique in the bus. */
  nextSubscriptionId(): bigint
  readonly idempotency: IdempotencyLimits
  /** Bytes of the largest envelope. */
  readonly maxMessageBytes: number
  /** Where the processes of channels live. */
  readonly processes: ProcessSystem
  /** The process of a channel was ended from outside, and the channel with it. */
  killed(channel: ChannelCore): void
}

/**
 * One channel: takes runs of messages, and delivers them to its subscriptions (design §8, without durability).
 *
 * Everything here is synchronous. A publish is done when {@link publishRun} returns, and nothing of it happens later.
 */
export class ChannelCore {
  readonly name: string
  /** Its number in the registry's name table. */
  readonly id: number
  /** What payloads must look like; `null`: anything, and nobody looks. */
  readonly schema: Schema | null
  /** 32 bytes; zero without a schema. */
  readonly schemaId: Uint8Array
  /** When it is killed, the channel is closed with `CHANNEL_CLOSED`, and made anew when it is next used. */
  readonly process: PassiveProcess
  readonly #surroundings: ChannelSurroundings
  readonly #fanOut: FanOut
  readonly #window: IdempotencyWindow
  #closed = false

  /** @throws LiminalError `LIMIT_EXCEEDED`, `CLOSED`: there can be no process for it. */
  constructor(name: string, id: number, schema: Schema | null, surroundings: ChannelSurroundings) {
    this.process = surroundings.processes.spawnPassive({ name: 'channel', onExit: (exit) => this.#exited(exit) })
    this.name = name
    this.id = id
    this.schema = schema
    this.schemaId = schema?.id ?? NO_SCHEMA
    this.#surroundings = surroundings
    this.#fanOut = new FanOut(name)
    this.#window = new IdempotencyWindow(surroundings.idempotency)
  }

  get closed(): boolean {
    return this.#closed
  }

  get subscriberCount(): number {
    return this.#fanOut.size
  }

  /**
   * Publishes the messages of a run, in order: open? schema and defaults, size, idempotency, fan-out in subscription order, and the outcome to the
   * observer. A message that is refused leaves no trace and does not stop those behind it.
   */
  publishRun(run: MessageRun, observer: PublishObserver): void {
    if (this.#closed) {
      const error = this.#closedError()
      for (let left = run.count; left > 0; left--) this.#refuse(error, observer)
    } else if (
      this.schema === null &&
      run.columns[rowOffset(run.first) + Column.KEY_LENGTH] < 0 &&
      this.#span(run) <= this.#surroundings.maxMessageBytes
    ) {
      const firstMessageId = this.#surroundings.messageIds.take(run.count)
      observer.accepted(firstMessageId, run.count, this.#fanOut.deliver(run, this.schemaId))
    } else {
      this.#publishRows(run, this.schema, observer)
    }
  }

  /**
   * What publishers wait for before they publish more: settles when every subscription that is behind has caught up, or is waited for no longer. `null`, and
   * that fast, if none is behind.
   */
  hold(): Promise<void> | null {
    return this.#fanOut.hold()
  }

  /** Adds a subscription. @throws LiminalError `CHANNEL_CLOSED`. */
  subscribe(sink: Sink): ChannelSubscription {
    if (this.#closed) throw this.#closedError()
    return this.#fanOut.add(this.#surroundings.nextSubscriptionId(), sink)
  }

  /** Ends all subscriptions, by default with `CHANNEL_CLOSED`; publishes are refused from now on. Idempotent. */
  close(error: LiminalError = this.#closedError()): void {
    if (this.#closed) return
    this.#closed = true
    this.#window.clear()
    this.#fanOut.end(error)
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
    let claims: RememberedPublish[] = []
    const flush = (until: number): void => {
      if (until > start) this.#publishFresh({ bytes, columns, first: start, count: until - start }, claims, observer)
      claims = []
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
        continue
      }
      const keyLength = columns[row + Column.KEY_LENGTH]
      let claim: RememberedPublish | null = null
      if (keyLength >= 0) {
        const key = windowKey(bytes, columns[row + Column.KEY], keyLength)
        const original = this.#window.find(key)
        if (original !== undefined) {
          // The original may be a row of this very run: publish it first, so that its fate is known.
          flush(index)
          observer.duplicate(original.messageId, original.deliveredTo)
          continue
        }
        claim = this.#window.remember(key)
      }
      if (payload === null) {
        if (claim !== null) claims.push(claim)
      } else {
        flush(index)
        this.#publishFresh(withPayload(run, row, payload), claim === null ? [] : [claim], observer)
      }
    }
    flush(end)
  }

  /** Delivers messages that passed all checks. `claims` are those of the rows' idempotency keys: one for each row, or none at all. */
  #publishFresh(run: MessageRun, claims: readonly RememberedPublish[], observer: PublishObserver): void {
    const firstMessageId = this.#surroundings.messageIds.take(run.count)
    for (let index = 0; index < claims.length; index++) claims[index].messageId = firstMessageId + BigInt(index)
    const deliveredTo = this.#fanOut.deliver(run, this.schemaId)
    for (const claim of claims) claim.deliveredTo = deliveredTo
    observer.accepted(firstMessageId, run.count, deliveredTo)
  }

  #refuse(error: LiminalError, observer: PublishObserver): void {
    sayPublishRefused(this.name, error)
    observer.refused(error)
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
