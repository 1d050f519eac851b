import {
  DeliveryBlock,
  readSequence,
  type SubscribeSettings,
  type Subscription,
  SubscriptionQueue,
} from '../bus/index.ts'
import type { FrameBatch } from '../codec/index.ts'
import { Deferred } from '../deferred.ts'
import type { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { Capability, CONFIRM, Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { timeoutError, waitFor } from '../waiting.ts'
import type { ClientCore, Restorable } from './client-core.ts'
import type { Connection } from './connection.ts'
import { Credit } from './credit.ts'
import { errorFromPeer } from './peer-error.ts'
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

/** One subscription over all connections of the bus: it subscribes again on each, and its deliveries are counted from 1 on each. */
class RemoteSubscription implements StreamOwner, Restorable {
  readonly channel: string
  readonly queue: SubscriptionQueue<unknown>
  readonly #core: ClientCore
  readonly #settings: SubscribeSettings<unknown>
  #phase: Phase = 'detached'
  #connection: Connection | null = null
  #stream = 0
  #subscriptionId = 0n
  /** Counts the connections that it was live on: deliveries of an earlier one move no window of this one. */
  #epoch = 0
  #credit: Credit | null = null
  /** Payload bytes of waiting deliveries that the connection was told of; only without credits. */
  #reportedBytes = 0
  #attached: Deferred<boolean> | null = null
  #confirmed: Deferred<void> | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(core: ClientCore, channel: string, payload: PayloadKind, settings: SubscribeSettings<unknown>) {
    this.channel = channel
    this.#core = core
    this.#settings = settings
    const { handler, maxInFlight, accept, signal } = settings
    this.queue = new SubscriptionQueue<unknown>({
      channel,
      payload,
      maxInFlight,
      accept,
      signal,
      handler,
      onAccept: (position, epoch) => {
        if (epoch === this.#epoch) this.#credit?.accepted(position)
      },
      onTake: () => this.#reportWaiting(),
      onClose: () => this.#close(),
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
    this.#attached = attached
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    this.#phase = 'opening'
    this.#startTimer()
    const { acceptedSchemas, maxInFlight } = this.#settings
    const { channel } = this
    connection.write({ type: 'Subscribe', flags: 0, streamId: this.#stream, channel, acceptedSchemas, maxInFlight })
    return attached.promise
  }

  receive(batch: FrameBatch, row: number, count: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.Deliver) {
      if (this.#phase === 'live') this.#deliver(batch, row, count)
    } else if (type === FrameType.SubscribeAck) this.#opened(batch.id(row))
    else if (type === FrameType.SubscribeError) {
      const frame = batch.frame(row)
      // Once it is live, a server that gives no code means that it gave this subscriber up (spec post-0.2.1 §4.1).
      const unknownCode = this.#phase === 'live' ? 'SUBSCRIPTION_SHED' : 'REMOTE_ERROR'
      if (frame.type === 'SubscribeError') this.#fail(errorFromPeer(frame, unknownCode), 'deliver')
    } else if (type === FrameType.Unsubscribe) this.#over()
  }

  lost(error: LiminalError): void {
    this.#connection = null
    if (this.#phase === 'closing' || error.code === 'CLOSED') {
      this.#over()
      return
    }
    this.#detach()
    this.#phase = 'detached'
    // Who was subscribed once stays so until the bus gives up; the time limit is for the first answer.
    if (this.#epoch > 0) this.#stopTimer()
  }

  end(error: LiminalError): void {
    this.#fail(error, error.code === 'CLOSED' ? 'drop' : 'deliver')
  }

  #opened(subscriptionId: bigint): void {
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
    if (connection.granted(Capability.CREDITS)) this.#credit = new Credit(this.#settings.maxInFlight, this.#accept)
    this.#reportWaiting()
    this.queue.opened()
    this.#attached?.resolve(true)
    this.#attached = null
  }

  #deliver(batch: FrameBatch, row: number, count: number): void {
    const { bytes, columns } = batch
    const first = HEAD_WIDTH + row * ROW_WIDTH
    this.queue.push(new DeliveryBlock(this.queue, bytes, this.#epoch, null), columns, first, count, 0)
    this.#credit?.received(readSequence(bytes, columns[first + (count - 1) * ROW_WIDTH + Column.ID]))
    this.#reportWaiting()
  }

  readonly #accept = (sequence: number): void => {
    const connection = this.#connection
    if (this.#phase !== 'live' || !connection?.open) return
    connection.write({
      type: 'Accept',
      flags: 0,
      streamId: this.#stream,
      referencedMessageId: String(sequence),
    })
  }

  /** A server without credits sends whatever is published: the connection is read no further while too much of it waits here. */
  #reportWaiting(): void {
    const connection = this.#connection
    if (connection === null || this.#credit !== null) return
    const change = this.queue.pendingBytes - this.#reportedBytes
    this.#reportedBytes += change
    if (change !== 0) connection.deliveriesWaiting(change)
  }

  /** The subscriber wants no more. */
  async #close(): Promise<void> {
    this.#core.restorables.delete(this)
    const connection = this.#connection
    const live = this.#phase === 'live'
    this.#stopTimer()
    this.#detach()
    if (!connection?.open || (this.#phase !== 'live' && this.#phase !== 'opening')) return this.#over()
    this.#phase = 'closing'
    // Without an answer to its Subscribe there is no id to unsubscribe yet; nobody waits for that.
    if (!live) return
    const confirmed = new Deferred<void>()
    this.#confirmed = confirmed
    this.#unsubscribe(connection)
    const { requestTimeoutMs } = this.#core.settings
    const what = `Unsubscribing from '${this.channel}'`
    // A server that does not confirm in time changes nothing: what it still sends is ignored.
    await waitFor(confirmed.promise, { timeoutMs: requestTimeoutMs, what }).catch(() => {})
    this.#over()
  }

  #unsubscribe(connection: Connection): void {
    const confirms = connection.granted(Capability.CONFIRMATIONS)
    const flags = confirms ? CONFIRM : 0
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
    this.#detach()
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.#confirmed?.resolve()
  }

  /** What it has on the connection beside its stream. */
  #detach(): void {
    this.#credit?.stop()
    this.#credit = null
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
      this.#detach()
      this.#phase = 'closing'
    }, requestTimeoutMs)
    this.#timer.unref()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
