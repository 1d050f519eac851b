import { MOST_UNANSWERED } from '../../bus/index.ts'
import { type ChannelCore, type CursorSubscription, MOST_IN_FLIGHT } from '../../channel/index.ts'
import type { FrameBatch } from '../../codec/index.ts'
import { Deferred } from '../../deferred.ts'
import { LiminalError, ProtocolError } from '../../errors.ts'
import type { Accept, CursorTerms, Defer, Reject, Subscribe, SubscribeTerms } from '../../protocol/index.ts'
import {
  Capability,
  CONFIRM,
  Column,
  HEAD_WIDTH,
  ReasonCode,
  ROW_WIDTH,
  readSubscribeTerms,
  SUBSCRIBE_TERMS,
  SUBSCRIBED_LOGGED,
  UNSUBSCRIBE_DIED,
} from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'
import { SessionLogSubscription } from '../log-subscription.ts'
import { QueueBudget } from '../queue-budget.ts'
import { SessionSubscription } from '../subscription.ts'

/** A live subscription, on its stream. */
interface Entry {
  readonly streamId: number
  /** `null` while its cursor is being taken. */
  subscriptionId: bigint | null
  readonly subscription: SessionSubscription | SessionLogSubscription
  /** Takes it out of its channel, or gives its cursor up: its peer leaves it, or died. */
  leave: (how: 'left' | 'died') => Promise<void>
}

/** Subscribe, Unsubscribe, and what is said of deliveries: the live subscriptions of one session, each on a stream of its own. */
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

  /** What an orderly end waits for a while for: bytes that wait for credit, and deliveries that cursors await answers to. */
  get pending(): number {
    let unanswered = 0
    for (const { subscription } of this.#byStream.values()) {
      if (subscription instanceof SessionLogSubscription) unanswered += subscription.unanswered
    }
    return this.#budget.bytes + unanswered
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
    if (entry?.subscription instanceof SessionLogSubscription) {
      const flags = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.FLAGS]
      const confirms = (flags & CONFIRM) !== 0
      const frame = batch.frame(row)
      this.#forget(entry)
      void this.#end(entry, (flags & UNSUBSCRIBE_DIED) === 0 ? 'left' : 'died').then(() => {
        if (confirms && this.#context.granted(Capability.CONFIRMATIONS)) this.#context.output.converse(frame)
        this.#context.settled()
      })
      return
    }
    if (entry !== undefined) {
      this.#forget(entry)
      void this.#end(entry, 'left')
    }
    this.#context.confirm(batch, row)
    this.#context.settled()
  }

  /** Advisory in 1.0 and ignored there; with credits what was taken, as its subscription understands it. Only a cursor is handed anything back. */
  answered(frame: Accept | Reject | Defer): void {
    if (!this.#context.granted(Capability.CREDITS)) return
    const subscription = this.#byStream.get(frame.streamId)?.subscription
    if (frame.type === 'Accept') subscription?.accept(frame)
    else if (subscription instanceof SessionLogSubscription) subscription.reject(frame)
  }

  /** Ends all of them: the peer leaves in order or is told to, or it died, and what its subscribers had in hand may be why. */
  closeAll(how: 'left' | 'died'): void {
    const entries = [...this.#byStream.values()]
    this.#byStream.clear()
    this.#byId.clear()
    for (const entry of entries) void this.#end(entry, how)
  }

  #subscribe(frame: Subscribe): void {
    const { bus, options, refusing } = this.#context
    if (refusing !== null) throw refusing
    if (this.#byStream.has(frame.streamId)) throw streamInUse(frame.streamId)
    const most = options.limits.subscriptionsPerConnection
    if (this.#byStream.size >= most) {
      throw new LiminalError('LIMIT_EXCEEDED', `A connection may hold ${most} subscriptions; unsubscribe one first.`)
    }
    const { channel: name, terms } = this.#termsOf(frame)
    const channel = bus.channels.get(name)
    const selectedSchema = options.codec.negotiateSchema(channel.schemaId, frame.acceptedSchemas)
    if (terms !== null && terms.cursor !== null) this.#own(frame, channel, selectedSchema, terms, terms.cursor)
    else if (terms !== null && channel.log !== null) this.#follow(frame, channel, selectedSchema, terms)
    else this.#listen(frame, channel, selectedSchema, terms)
  }

  /** `null`: the peer says none, and knows of none. */
  #termsOf(frame: Subscribe): { readonly channel: string; readonly terms: SubscribeTerms | null } {
    const has = (frame.flags & SUBSCRIBE_TERMS) !== 0 && this.#context.granted(Capability.DURABLE)
    return has ? readSubscribeTerms(frame.channel) : { channel: frame.channel, terms: null }
  }

  /** A subscription that counts its deliveries: all there are without a log. */
  #listen(frame: Subscribe, channel: ChannelCore, selectedSchema: Uint8Array, terms: SubscribeTerms | null): void {
    const subscription = new SessionSubscription(this.#context, {
      channel: channel.name,
      streamId: frame.streamId,
      window: this.#window(frame),
      connectionBudget: this.#budget,
      onEnded: (ended, error) => this.#ended(ended, error),
    })
    const place = channel.subscribe(subscription, terms?.from ?? 'latest')
    this.#add(frame, subscription, place.id, async () => place.unsubscribe())
    this.#acknowledge(frame, place.id, selectedSchema, 0)
  }

  /** A subscription to a log. */
  #follow(frame: Subscribe, channel: ChannelCore, selectedSchema: Uint8Array, terms: SubscribeTerms): void {
    const { streamId } = frame
    const subscription = this.#logSubscription(frame, channel, terms)
    // Where the latest is: what is stored and not delivered yet is still to come.
    const begin = channel.log?.next ?? 0n
    const place = channel.subscribe(subscription, terms.from)
    this.#add(frame, subscription, place.id, async () => place.unsubscribe())
    this.#acknowledge(frame, place.id, selectedSchema, SUBSCRIBED_LOGGED)
    if (terms.from === 'latest') {
      this.#context.output.reply({ type: 'Accept', flags: 0, streamId, referencedMessageId: begin.toString() })
    }
    subscription.start(null)
  }

  /** A subscription that owns a cursor: it is acknowledged once it does. */
  #own(
    frame: Subscribe,
    channel: ChannelCore,
    selectedSchema: Uint8Array,
    terms: SubscribeTerms,
    cursor: CursorTerms,
  ): void {
    const { options } = this.#context
    if (!options.deliver || !this.#context.granted(Capability.CREDITS)) {
      throw new LiminalError(
        'NOT_SUPPORTED',
        'A cursor needs deliveries and credits, and this connection has not both.',
      )
    }
    const subscription = this.#logSubscription(frame, channel, terms)
    const entry = this.#add(frame, subscription, null, async () => {})
    const isHere = (): boolean => this.#byStream.get(frame.streamId) === entry
    const acquired = new Deferred<CursorSubscription | null>()
    const taking = channel.subscribeCursor(subscription, {
      ...cursor,
      start: terms.from,
      maxInFlight: frame.maxInFlight,
      leaseBegins: cursor.leaseBegins === 'taken' ? 'seen' : 'delivered',
      acquired: (owned) => acquired.resolve(owned),
    })
    // Not until that is written down: a disk that is full would keep it from ending.
    entry.leave = async (how) => (await acquired.promise)?.close(how)
    taking.then(
      (owned) => {
        if (!isHere()) return
        entry.subscriptionId = owned.id
        this.#byId.set(owned.id, entry)
        this.#acknowledge(frame, owned.id, selectedSchema, SUBSCRIBED_LOGGED)
        subscription.start(owned)
      },
      (thrown: unknown) => {
        acquired.resolve(null)
        if (isHere()) this.#ended(subscription, toLiminalError(thrown))
      },
    )
  }

  #logSubscription(frame: Subscribe, channel: ChannelCore, terms: SubscribeTerms): SessionLogSubscription {
    return new SessionLogSubscription(this.#context, {
      channel: channel.name,
      streamId: frame.streamId,
      window: this.#window(frame, terms.cursor === null ? MOST_UNANSWERED : MOST_IN_FLIGHT),
      acceptsEach: terms.acceptsEach,
      tellsTaken: terms.cursor?.leaseBegins === 'taken',
      onEnded: (ended, error) => this.#ended(ended, error),
    })
  }

  #window(frame: Subscribe, most = Number.POSITIVE_INFINITY): number | null {
    return this.#context.granted(Capability.CREDITS) ? Math.min(frame.maxInFlight, most) : null
  }

  #add(
    { streamId }: Subscribe,
    subscription: SessionSubscription | SessionLogSubscription,
    subscriptionId: bigint | null,
    leave: () => Promise<void>,
  ): Entry {
    const entry: Entry = { streamId, subscriptionId, subscription, leave }
    this.#byStream.set(streamId, entry)
    if (subscriptionId !== null) this.#byId.set(subscriptionId, entry)
    return entry
  }

  #acknowledge({ streamId }: Subscribe, subscriptionId: bigint, selectedSchema: Uint8Array, flags: number): void {
    this.#context.output.reply({ type: 'SubscribeAck', flags, streamId, subscriptionId, selectedSchema })
  }

  /** Ended from this side: shed, its cursor taken, or the channel closed. The channel has let go of it already. */
  #ended(subscription: SessionSubscription | SessionLogSubscription, error: LiminalError): void {
    const entry = this.#byStream.get(subscription.streamId)
    if (entry?.subscription === subscription) this.#forget(entry)
    this.#refuse(subscription.streamId, error)
    this.#context.settled()
  }

  #forget(entry: Entry): void {
    this.#byStream.delete(entry.streamId)
    if (entry.subscriptionId !== null) this.#byId.delete(entry.subscriptionId)
  }

  async #end(entry: Entry, how: 'left' | 'died'): Promise<void> {
    entry.subscription.close()
    // What a cursor could not write down it says by diagnostics, and tries again as long as the bus lives.
    await entry.leave(how).catch(() => {})
  }

  #refuse(streamId: number, error: LiminalError): void {
    this.#context.output.reply({ type: 'SubscribeError', flags: 0, streamId, ...this.#context.refusal(error) })
  }
}

function streamInUse(streamId: number): ProtocolError {
  const text = `Stream ${streamId} carries a live subscription; open another one on a stream of its own.`
  return new ProtocolError('InvalidStateTransition', ReasonCode.InvalidStateTransition, text)
}
