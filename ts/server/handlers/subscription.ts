import type { ChannelSubscription } from '../../channel/index.ts'
import type { FrameBatch } from '../../codec/index.ts'
import { LiminalError, ProtocolError } from '../../errors.ts'
import type { Accept, Subscribe } from '../../protocol/index.ts'
import { Capability, ReasonCode } from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'
import { QueueBudget } from '../queue-budget.ts'
import { SessionSubscription } from '../subscription.ts'

interface Entry {
  readonly subscription: SessionSubscription
  /** Its place in the channel. */
  readonly registration: ChannelSubscription
}

/** Subscribe, Unsubscribe and Accept: the live subscriptions of one session, each on a stream of its own. */
export class Subscriptions {
  readonly #context: SessionContext
  readonly #budget: QueueBudget
  readonly #byStream = new Map<number, Entry>()
  readonly #byId = new Map<bigint, Entry>()

  constructor(context: SessionContext) {
    this.#context = context
    this.#budget = new QueueBudget(context.options.limits.queueBytesPerConnection)
  }

  get size(): number {
    return this.#byStream.size
  }

  /** Bytes of deliveries that wait for credit. */
  get queueBytes(): number {
    return this.#budget.bytes
  }

  subscribe(frame: Subscribe): void {
    try {
      this.#subscribe(frame)
    } catch (thrown) {
      this.#refuse(frame.streamId, toLiminalError(thrown))
    }
  }

  /** An id that is not a subscription of this session is as good as unsubscribed. */
  unsubscribe(batch: FrameBatch, row: number): void {
    const entry = this.#byId.get(batch.id(row))
    if (entry !== undefined) {
      this.#forget(entry)
      this.#end(entry)
    }
    this.#context.confirm(batch, row)
    this.#context.settled()
  }

  /** Advisory in 1.0 and ignored there; with credits the number of the last delivery taken, cumulative. */
  accept(frame: Accept): void {
    if (!this.#context.granted(Capability.CREDITS) || !/^\d{1,16}$/.test(frame.referencedMessageId)) return
    this.#byStream.get(frame.streamId)?.subscription.accept(Number(frame.referencedMessageId))
  }

  closeAll(): void {
    const entries = [...this.#byStream.values()]
    this.#byStream.clear()
    this.#byId.clear()
    for (const entry of entries) this.#end(entry)
  }

  #subscribe(frame: Subscribe): void {
    const { bus, options, output, refusing } = this.#context
    if (refusing !== null) throw refusing
    if (this.#byStream.has(frame.streamId)) throw streamInUse(frame.streamId)
    const most = options.limits.subscriptionsPerConnection
    if (this.#byStream.size >= most) {
      throw new LiminalError('LIMIT_EXCEEDED', `A connection may hold ${most} subscriptions; unsubscribe one first.`)
    }
    const channel = bus.channels.get(frame.channel)
    const selectedSchema = options.codec.negotiateSchema(channel.schemaId, frame.acceptedSchemas)
    const subscription = new SessionSubscription(this.#context, {
      channel: channel.name,
      streamId: frame.streamId,
      window: this.#context.granted(Capability.CREDITS) ? frame.maxInFlight : null,
      connectionBudget: this.#budget,
      onEnded: (ended, error) => this.#ended(ended, error),
    })
    const entry: Entry = { subscription, registration: channel.subscribe(subscription) }
    const subscriptionId = entry.registration.id
    this.#byStream.set(frame.streamId, entry)
    this.#byId.set(subscriptionId, entry)
    output.reply({ type: 'SubscribeAck', flags: 0, streamId: frame.streamId, subscriptionId, selectedSchema })
  }

  /** Ended from this side: shed, or the channel closed. The channel has let go of it already. */
  #ended(subscription: SessionSubscription, error: LiminalError): void {
    const entry = this.#byStream.get(subscription.streamId)
    if (entry?.subscription === subscription) this.#forget(entry)
    this.#refuse(subscription.streamId, error)
    this.#context.settled()
  }

  #forget(entry: Entry): void {
    this.#byStream.delete(entry.subscription.streamId)
    this.#byId.delete(entry.registration.id)
  }

  #end(entry: Entry): void {
    entry.subscription.close()
    entry.registration.unsubscribe()
  }

  #refuse(streamId: number, error: LiminalError): void {
    this.#context.output.reply({ type: 'SubscribeError', flags: 0, streamId, ...this.#context.refusal(error) })
  }
}

function streamInUse(streamId: number): ProtocolError {
  const text = `Stream ${streamId} carries a live subscription; open another one on a stream of its own.`
  return new ProtocolError('InvalidStateTransition', ReasonCode.InvalidStateTransition, text)
}
