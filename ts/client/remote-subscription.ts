import {
  DeliveryBlock,
  MOST_UNANSWERED,
  partsOfMark,
  type SubscribeSettings,
  type Subscription,
  SubscriptionQueue,
} from '../bus/index.ts'
import type { FrameBatch } from '../codec/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import {
  ACCEPT_CHECKPOINT,
  Capability,
  CONFIRM,
  Column,
  FrameType,
  HEAD_WIDTH,
  ROW_WIDTH,
  SUBSCRIBE_TERMS,
  SUBSCRIBED_LOGGED,
  UNSUBSCRIBE_DIED,
  withSubscribeTerms,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { timeoutError, waitFor } from '../waiting.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { DeliveryAnswers } from './delivery-answers.ts'
import { errorFromPeer } from './peer-error.ts'
import { requireDurable } from './require.ts'
import type { Restorable } from './restorable.ts'
import type { StreamOwner } from './streams.ts'

/** Subscribes on a remote bus. What prevents it ends the subscription: `ready()`, `closed` and the iterator say so. */
export function subscribeRemotely(
  core: ClientCore,
  channel: string,
  payload: PayloadKind,
  settings: SubscribeSettings<unknown>,
): Subscription<unknown> {
  core.assertOpen(`Subscribing to '${channel}'`)
  return new RemoteSubscription(core, channel, payload, settings).queue.subscription
}

type Phase = 'detached' | 'opening' | 'live' | 'closing' | 'over'

/**
 * One subscription over all connections of the bus: it subscribes again on each. Without a log its deliveries are counted from 1 on each, and what was published in between is lost. With one
 * it goes on behind the delivery that was handed out last, and with a cursor where the cursor is.
 */
class RemoteSubscription implements StreamOwner, Restorable {
  readonly channel: string
  readonly queue: SubscriptionQueue<unknown>
  resumed = false
  readonly #core: ClientCore
  readonly #settings: SubscribeSettings<unknown>
  #phase: Phase = 'detached'
  #connection: Connection | null = null
  #stream = 0
  #subscriptionId = 0n
  /** Counts the connections that it was live on: deliveries of an earlier one move no window of this one. */
  #epoch = 0
  /** Since which of them its deliveries have positions, without a break; 0: they have none. */
  #loggedSince = 0
  /** Where a subscription without a cursor goes on; `null`: as its settings say. */
  #resumeAt: bigint | null = null
  #answers: DeliveryAnswers | null = null
  /** Payload bytes of waiting deliveries that the connection was told of; only without credits. */
  #reportedBytes = 0
  #attached: Deferred<boolean> | null = null
  #confirmed: Deferred<void> | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(core: ClientCore, channel: string, payload: PayloadKind, settings: SubscribeSettings<unknown>) {
    this.channel = channel
    this.#core = core
    this.#settings = settings
    const { handler, maxInFlight, accept, cursor, signal } = settings
    this.queue = new SubscriptionQueue<unknown>({
      channel,
      payload,
      // The server gives no more than the window of a cursor, in which a lease that ended makes room.
      maxInFlight: cursor === null ? maxInFlight : MOST_UNANSWERED,
      accept,
      signal,
      handler,
      onAccept: (mark, epoch, ordinal) => {
        if (epoch === this.#epoch) this.#answers?.accepted(mark, ordinal)
      },
      onReject:
        cursor === null
          ? null
          : (mark, epoch, _ordinal, options) => {
              if (epoch === this.#epoch) this.#answers?.rejected(mark, options)
            },
      onExtend: (mark, epoch) => {
        if (epoch === this.#epoch) this.#answers?.extended(mark)
      },
      onCheckpoint: cursor === null ? null : () => this.#checkpoint(),
      onHandOut:
        cursor === null
          ? null
          : (deliveries) => {
              const { mark, epoch } = deliveries[deliveries.length - 1]
              if (epoch === this.#epoch) this.#answers?.handedOut(mark)
            },
      onTake: () => this.#reportWaiting(),
      onClose: (how) => this.#close(how),
    })
    // The queue ends itself in a moment.
    if (signal?.aborted) return
    core.restorables.add(this)
    this.#startTimer()
    const { connection } = core
    if (connection !== null) void this.attach(connection)
  }

  attach(connection: Connection): Promise<boolean> {
    const attached = new Deferred<boolean>()
    try {
      this.#subscribe(connection)
    } catch (thrown) {
      this.#fail(toLiminalError(thrown), 'deliver')
      return Promise.resolve(false)
    }
    this.#attached = attached
    this.#phase = 'opening'
    this.#startTimer()
    return attached.promise
  }

  receive(batch: FrameBatch, row: number, count: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const type = batch.columns[at + Column.TYPE]
    if (type === FrameType.Deliver) {
      if (this.#phase === 'live') this.#deliver(batch, row, count)
    } else if (type === FrameType.SubscribeAck) this.#opened(batch.id(row), batch.columns[at + Column.FLAGS])
    else if (type === FrameType.Accept || type === FrameType.Reject) this.#heard(batch, row)
    else if (type === FrameType.SubscribeError) {
      const frame = batch.frame(row)
      // Once it is live, a server that gives no code means that it gave this subscriber up (spec post-0.2.1 §4.1).
      const unknownCode = this.#phase === 'live' ? 'SUBSCRIPTION_SHED' : 'REMOTE_ERROR'
      // What a cursor has handed out here and was not taken is handed out again, elsewhere.
      const rest = this.#settings.cursor === null ? 'deliver' : 'drop'
      if (frame.type === 'SubscribeError') this.#fail(errorFromPeer(frame, unknownCode), rest)
    } else if (type === FrameType.Unsubscribe) this.#over()
  }

  lost(error: LiminalError): void {
    this.#connection = null
    if (this.#phase === 'closing' || error.code === 'CLOSED') {
      this.#over()
      return
    }
    this.#detach(error)
    this.#phase = 'detached'
    if (this.#loggedSince > 0) this.#rewind()
    // Who was subscribed once stays so until the bus gives up; the time limit is for the first answer.
    if (this.#epoch > 0) this.#stopTimer()
  }

  end(error: LiminalError): void {
    this.#answers?.flush()
    this.#fail(error, error.code === 'CLOSED' ? 'drop' : 'deliver')
  }

  #subscribe(connection: Connection): void {
    const { acceptedSchemas, maxInFlight, cursor, accept, handler } = this.#settings
    const from = this.#resumeAt === null ? this.#settings.from : { position: this.#resumeAt }
    const isDurable = connection.granted(Capability.DURABLE)
    if (this.#settings.from !== 'latest' || cursor !== null) {
      requireDurable(
        connection,
        `Subscribing to '${this.channel}' ${cursor === null ? 'from a position' : 'as a cursor'}`,
      )
    }
    const leasing = cursor === null ? null : ({ ...cursor, leaseBegins: 'taken' } as const)
    const terms = { from, cursor: leasing, acceptsEach: accept === 'each' && handler === null }
    const channel = isDurable ? withSubscribeTerms(this.channel, terms) : this.channel
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    const flags = isDurable ? SUBSCRIBE_TERMS : 0
    connection.write({ type: 'Subscribe', flags, streamId: this.#stream, channel, acceptedSchemas, maxInFlight })
  }

  #opened(subscriptionId: bigint, flags: number): void {
    this.#subscriptionId = subscriptionId
    const connection = this.#connection
    if (connection === null) return
    if (this.#phase === 'closing') {
      this.#unsubscribe(connection)
      return
    }
    if (this.#phase !== 'opening') return
    this.#phase = 'live'
    this.#epoch++
    this.#stopTimer()
    const isLogged = connection.granted(Capability.DURABLE) && (flags & SUBSCRIBED_LOGGED) !== 0
    this.resumed = isLogged && this.#loggedSince > 0
    if (!isLogged) this.#loggedSince = 0
    else if (this.#loggedSince === 0) this.#loggedSince = this.#epoch
    const { maxInFlight, cursor, accept, handler } = this.#settings
    this.#answers = new DeliveryAnswers(connection, {
      channel: this.channel,
      stream: this.#stream,
      window: maxInFlight,
      logged: isLogged,
      cursor: cursor !== null,
      limitsAttempts: cursor?.maxAttempts !== undefined,
      acceptsEach: accept === 'each' && handler === null,
      before: this.queue.pushed,
    })
    this.#reportWaiting()
    this.queue.opened()
    this.#attached?.resolve(true)
    this.#attached = null
  }

  #deliver(batch: FrameBatch, row: number, count: number): void {
    const { bytes, columns } = batch
    const first = HEAD_WIDTH + row * ROW_WIDTH
    const positions = this.#loggedSince > 0 ? 'frames' : null
    this.queue.push(new DeliveryBlock(this.queue, bytes, this.#epoch, null, positions), columns, first, count, 0)
    this.#answers?.received(this.queue.pushed)
    this.#reportWaiting()
  }

  /** The server speaks of the log: a checkpoint was written down or not, or where the subscription begins in it. */
  #heard(batch: FrameBatch, row: number): void {
    const frame = batch.frame(row)
    if (this.#phase !== 'live' || (frame.type !== 'Accept' && frame.type !== 'Reject')) return
    if ((frame.flags & ACCEPT_CHECKPOINT) !== 0) this.#answers?.checkpointAnswered(frame)
    else if (
      frame.type === 'Accept' &&
      this.#settings.cursor === null &&
      this.#loggedSince > 0 &&
      /^\d{1,20}$/.test(frame.referencedMessageId)
    ) {
      this.#resumeAt = BigInt(frame.referencedMessageId)
    }
  }

  /** What waits is dropped, and asked for again: behind what was handed out last, or by the cursor. */
  #rewind(): void {
    this.queue.discard()
    const { mark, epoch } = this.queue.lastHandedOut
    if (this.#settings.cursor === null && epoch >= this.#loggedSince)
      this.#resumeAt = BigInt(partsOfMark(mark).sequence)
  }

  /** What was accepted over a connection that is gone cannot be told any more. */
  async #checkpoint(): Promise<void> {
    const answers = this.#answers
    if (answers !== null && this.#phase === 'live') await answers.checkpoint(this.#core.settings.requestTimeoutMs)
    else if (this.#epoch > 0) throw connectionLost(this.channel)
  }

  /** A server without credits sends whatever is published: the connection is read no further while too much of it waits here. */
  #reportWaiting(): void {
    const connection = this.#connection
    if (connection === null || this.#answers?.isPaced === true) return
    const change = this.queue.pendingBytes - this.#reportedBytes
    this.#reportedBytes += change
    if (change !== 0) connection.deliveriesWaiting(change)
  }

  /** The subscriber wants no more. */
  async #close(how: 'left' | 'died'): Promise<void> {
    this.#core.restorables.delete(this)
    const connection = this.#connection
    const live = this.#phase === 'live'
    this.#stopTimer()
    this.#answers?.flush()
    this.#detach(closedHere(this.channel))
    if (!connection?.open || (this.#phase !== 'live' && this.#phase !== 'opening')) return this.#over()
    this.#phase = 'closing'
    // Without an answer to its Subscribe there is no id to unsubscribe yet; nobody waits for that.
    if (!live) return
    const confirmed = new Deferred<void>()
    this.#confirmed = confirmed
    this.#unsubscribe(connection, how)
    const { requestTimeoutMs } = this.#core.settings
    const what = `Unsubscribing from '${this.channel}'`
    // A server that does not confirm in time changes nothing: what it still sends is ignored.
    await waitFor(confirmed.promise, { timeoutMs: requestTimeoutMs, what }).catch(() => {})
    this.#over()
  }

  #unsubscribe(connection: Connection, how: 'left' | 'died' = 'left'): void {
    const confirms = connection.granted(Capability.CONFIRMATIONS)
    const died = how === 'died' && this.#settings.cursor !== null ? UNSUBSCRIBE_DIED : 0
    const flags = (confirms ? CONFIRM : 0) | died
    connection.write({ type: 'Unsubscribe', flags, streamId: this.#stream, subscriptionId: this.#subscriptionId })
    if (!confirms) this.#over()
  }

  #fail(error: LiminalError, rest: 'deliver' | 'drop'): void {
    this.#over()
    this.queue.fail(error, rest)
  }

  /** Takes itself off the connection, for good. */
  #over(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#core.restorables.delete(this)
    this.#stopTimer()
    this.#detach(closedHere(this.channel))
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.#confirmed?.resolve()
  }

  /** What it has on the connection beside its stream. */
  #detach(error: LiminalError): void {
    this.#answers?.stop(error)
    this.#answers = null
    if (this.#reportedBytes !== 0) this.#connection?.deliveriesWaiting(-this.#reportedBytes)
    this.#reportedBytes = 0
    this.#attached?.resolve(false)
    this.#attached = null
  }

  #startTimer(): void {
    this.#stopTimer()
    const { requestTimeoutMs } = this.#core.settings
    this.#timer = setTimeout(() => {
      const connection = this.#connection
      const opening = this.#phase === 'opening' && connection?.open
      this.queue.fail(timeoutError(requestTimeoutMs, `Subscribing to '${this.channel}'`), 'drop')
      if (!opening) return this.#over()
      // The answer may still come, with the id that it takes to unsubscribe.
      this.#core.restorables.delete(this)
      this.#detach(closedHere(this.channel))
      this.#phase = 'closing'
    }, requestTimeoutMs)
    this.#timer.unref()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

function closedHere(channel: string): LiminalError {
  return new LiminalError('CLOSED', `The subscription to '${channel}' was closed.`)
}

function connectionLost(channel: string): LiminalError {
  const text = `The connection of the subscription to '${channel}' was lost. What it had not said of its deliveries is delivered again.`
  return new LiminalError('CONNECTION_LOST', text)
}
