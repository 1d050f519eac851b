import { onAbort } from '../abort-watch.ts'
import { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { textOf } from '../thrown.ts'
import { abortedError } from '../waiting.ts'
import {
  type Consumer,
  type DeliverySource,
  HandlerConsumer,
  IteratorConsumer,
  type SourceOutcome,
} from './consumers.ts'
import type { DeliveryBlock, DeliveryOwner, PackedDelivery, RejectOptions } from './delivery.ts'
import { DeliveryRing } from './delivery-ring.ts'
import { sayHandlerFailed } from './diagnostics.ts'
import { Outcome } from './outcome.ts'
import { QueuedSubscription } from './queued-subscription.ts'
import type { Delivery, DeliveryHandler, Subscription } from './subscription.ts'

export interface SubscriptionQueueOptions<T> {
  readonly channel: string
  readonly payload: PayloadKind
  /** Deliveries handed out and not yet accepted, at most. At least 1. */
  readonly maxInFlight: number
  /** See SubscribeOptions.accept. Without meaning where there is a handler. */
  readonly accept: 'auto' | 'explicit' | 'each'
  /** Ends the subscription, like its `close()`. */
  readonly signal?: AbortSignal | undefined
  /** `null`: deliveries are taken by the async iterator. */
  readonly handler: DeliveryHandler<T> | null
  /** Hears each step of what is accepted: everything up to the delivery of this mark, epoch and ordinal; with `accept: 'each'` that one alone. */
  readonly onAccept: ((mark: number, epoch: number, ordinal: number) => void) | null
  /** Hears that a delivery was handed back; what is accepted later does not include it. `null`: to hand it back is to accept it. */
  readonly onReject?: ((mark: number, epoch: number, ordinal: number, options: RejectOptions) => void) | null
  /** Hears that a delivery takes longer. */
  readonly onExtend?: ((mark: number, epoch: number) => void) | null
  /** Writes down how far was accepted. `null`: nobody does. */
  readonly onCheckpoint?: (() => Promise<void>) | null
  /** Hears what is handed out, before the subscriber has it. */
  readonly onHandOut?: ((deliveries: readonly PackedDelivery<T>[]) => void) | null
  /** Hears that {@link SubscriptionQueue.pending} fell. */
  readonly onTake: (() => void) | null
  /**
   * Ends the subscription where it comes from: the subscriber left it, or its handler threw (`'died'`), and one of the deliveries that it had may be why. Called once, when the subscriber ended it or its handler threw; never after
   * {@link SubscriptionQueue.fail}, and not for a signal that was aborted from the start: {@link SubscriptionQueue.open} is `false` then. The subscriber's `close()`
   * waits for its promise.
   */
  readonly onClose: (how: 'left' | 'died') => void | Promise<void>
}

/** Deliveries of a cursor that were handed out and not answered at most, also long after their leases: their marks are kept. */
export const MOST_UNANSWERED = 65_536

const NOTHING: readonly never[] = []
/** Numbers that are remembered of a delivery: ordinal, mark, epoch. */
const REMEMBERED = 3

/** Taking deliveries in; handing out the rest before the error; or over. */
type State = { readonly is: 'open' } | { readonly is: 'failing'; readonly error: unknown } | SourceOutcome

/**
 * The deliveries of one subscription, between where they come from and who takes them: the async iterator or the handler. The same for the bus in the process
 * and for a remote one. It has no cap of its own: whoever pushes looks at {@link pending} and {@link pendingBytes} first.
 */
export class SubscriptionQueue<T> implements DeliveryOwner, DeliverySource<T> {
  readonly channel: string
  readonly payload: PayloadKind
  readonly acceptsAutomatically: boolean
  /** What the subscriber holds. */
  readonly subscription: Subscription<T>
  readonly #options: SubscriptionQueueOptions<T>
  readonly #consumer: Consumer
  #started = false
  readonly #ready = new Outcome()
  readonly #closed = new Outcome()
  readonly #ring = new DeliveryRing<T>()
  #state: State = { is: 'open' }
  #wasReady = false
  #handedOut = 0
  #accepted = 0
  #lastMark = 0
  #lastEpoch = 0
  /** Of what is handed out and not accepted. With `accept: 'each'`: all of it, by ordinal. */
  readonly #outstanding = new Set<number>()
  /**
   * Without that, where anything can be handed back: ordinal, mark and epoch of each delivery that is handed out and neither accepted nor handed back, oldest first. What was handed back takes no
   * room and is never named as accepted.
   */
  readonly #handed: number[] = []
  readonly #acceptsEach: boolean
  #closing: Promise<void> | null = null
  #stopWatching: (() => void) | null = null
  readonly #abort = (): void => {
    const { signal } = this.#options
    if (signal !== undefined) this.#end(abortedError(signal, `The subscription to '${this.channel}'`))
  }

  constructor(options: SubscriptionQueueOptions<T>) {
    this.#options = options
    this.channel = options.channel
    this.payload = options.payload
    this.acceptsAutomatically = options.accept === 'auto'
    this.#acceptsEach = options.accept === 'each' && options.handler === null
    let iterator: IteratorConsumer<T> | null = null
    if (options.handler === null) {
      iterator = new IteratorConsumer(this)
      this.#consumer = iterator
    } else {
      this.#consumer = new HandlerConsumer(this, options.handler)
    }
    this.subscription = new QueuedSubscription(this, iterator, this.#ready, this.#closed)
    if (options.signal?.aborted) this.#abort()
    else if (options.signal !== undefined) this.#stopWatching = onAbort(options.signal, this.#abort)
    this.#started = true
  }

  /** Deliveries that wait to be handed out. */
  get pending(): number {
    return this.#ring.size
  }

  /** Their payload bytes. */
  get pendingBytes(): number {
    return this.#ring.bytes
  }

  /** Whether deliveries are still taken in. */
  get open(): boolean {
    return this.#state.is === 'open'
  }

  /** Deliveries that were taken in so far and not discarded: the ordinal of the newest. */
  get pushed(): number {
    return this.#handedOut + this.#ring.size
  }

  /** Drops the deliveries that wait to be handed out: they will come again. */
  discard(): void {
    if (this.#state.is === 'open') this.#ring.clear()
  }

  /** The mark and the epoch of the delivery that was handed out last; both 0 before the first. */
  get lastHandedOut(): { readonly mark: number; readonly epoch: number } {
    return { mark: this.#lastMark, epoch: this.#lastEpoch }
  }

  /** Makes `ready()` resolve: what is published from now on arrives. */
  opened(): void {
    this.#wasReady = true
    this.#ready.resolve()
  }

  /** Takes deliveries in, in order; drops them if the subscription is over. See DeliveryRing.push. */
  push(block: DeliveryBlock, columns: Int32Array, at: number, count: number, shift: number): void {
    if (this.#state.is !== 'open') return
    this.#ring.push(block, columns, at, count, shift)
    this.#consumer.wake()
  }

  /**
   * Ends the subscription from where it comes from: nothing more is taken in, and `closed` rejects at once. What was taken in before is still handed out, and the
   * iterator throws the error behind it; with `'drop'` it is not, and the iterator throws at once.
   */
  fail(error: unknown, rest: 'deliver' | 'drop' = 'deliver'): void {
    if (this.#state.is !== 'open') return
    if (rest === 'drop') this.#ring.clear()
    this.#state = { is: this.#ring.size === 0 ? 'failed' : 'failing', error }
    this.#leave(error)
    if (rest === 'deliver') this.#warnIfUnseen(error)
    this.#consumer.wake()
  }

  /** Ends the subscription from the subscriber's side: what was not handed out is dropped, `closed` resolves. Idempotent. */
  end(): Promise<void> {
    return this.#end(
      new LiminalError('CLOSED', `The subscription to '${this.channel}' was closed before it was ready.`),
    )
  }

  /** See DeliverySource. */
  handlerFailed(error: unknown): void {
    sayHandlerFailed(this.channel, error)
    if (this.#state.is !== 'open') {
      // Its end is settled already, with another reason.
      this.#ring.clear()
      this.#warn('the handler of a subscription that had ended threw', error, '')
      return
    }
    this.#ring.clear()
    this.#state = { is: 'failed', error }
    this.#leave(error)
    this.#warnIfUnseen(error)
    this.#closeSource('died')
  }

  /** See DeliveryOwner. */
  accept(delivery: PackedDelivery<unknown>): void {
    const { ordinal } = delivery
    if (this.#acceptsEach) {
      if (!this.#outstanding.delete(ordinal)) return
      this.#options.onAccept?.(delivery.mark, delivery.epoch, ordinal)
    } else if (ordinal > this.#accepted) this.#acceptUpTo(ordinal, delivery.mark, delivery.epoch)
    else return
    if (this.#ring.size > 0) this.#consumer.wake()
  }

  /** See DeliveryOwner. */
  reject(delivery: PackedDelivery<unknown>, options: RejectOptions): void {
    const { ordinal } = delivery
    const { onReject } = this.#options
    if (onReject === null || onReject === undefined) {
      this.accept(delivery)
      return
    }
    if (!this.#isOutstanding(ordinal)) return
    if (this.#acceptsEach) this.#outstanding.delete(ordinal)
    else this.#handed.splice((this.#handedUpTo(ordinal) - 1) * REMEMBERED, REMEMBERED)
    onReject(delivery.mark, delivery.epoch, ordinal, options)
    if (this.#ring.size > 0) this.#consumer.wake()
  }

  /** See DeliveryOwner. */
  extend(delivery: PackedDelivery<unknown>): void {
    if (this.#isOutstanding(delivery.ordinal)) this.#options.onExtend?.(delivery.mark, delivery.epoch)
  }

  /** Writes down how far was accepted. @throws LiminalError `CLOSED`, or what ended the subscription. */
  async checkpoint(): Promise<void> {
    if (this.#state.is === 'failed' || this.#state.is === 'failing') throw this.#state.error
    if (this.#state.is === 'closed') {
      throw new LiminalError('CLOSED', `The subscription to '${this.channel}' is closed; it was written down then.`)
    }
    await this.#options.onCheckpoint?.()
  }

  /** See DeliverySource. */
  acceptAll(): void {
    if (this.#handedOut > this.#accepted) this.#acceptUpTo(this.#handedOut, this.#lastMark, this.#lastEpoch)
  }

  /** See DeliverySource. */
  take(): Delivery<T> | undefined {
    if (this.#takeable === 0) return undefined
    const delivery = this.#ring.takeOne(this.#handedOut + 1)
    if (this.#remembers) this.#handed.push(delivery.ordinal, delivery.mark, delivery.epoch)
    this.#options.onHandOut?.([delivery])
    this.#handOut(1, delivery)
    return delivery
  }

  /** See DeliverySource. */
  takeBatch(most: number): readonly Delivery<T>[] {
    const count = Math.min(most, this.#takeable)
    if (count === 0) return NOTHING
    const batch = this.#ring.take(count, this.#handedOut + 1)
    if (this.#remembers) for (const { ordinal, mark, epoch } of batch) this.#handed.push(ordinal, mark, epoch)
    this.#options.onHandOut?.(batch)
    this.#handOut(count, batch[count - 1])
    return batch
  }

  /** See DeliverySource. */
  get outcome(): SourceOutcome | null {
    return this.#state.is === 'closed' || this.#state.is === 'failed' ? this.#state : null
  }

  /** How many deliveries may be handed out now. */
  get #takeable(): number {
    return Math.min(this.#ring.size, this.#options.maxInFlight - this.#inFlight)
  }

  /** Deliveries that are handed out and not answered. */
  get #inFlight(): number {
    if (this.#acceptsEach) return this.#outstanding.size
    return this.#remembers ? this.#handed.length / REMEMBERED : this.#handedOut - this.#accepted
  }

  #isOutstanding(ordinal: number): boolean {
    if (this.#acceptsEach) return this.#outstanding.has(ordinal)
    if (!this.#remembers) return ordinal > this.#accepted
    return this.#handed[(this.#handedUpTo(ordinal) - 1) * REMEMBERED] === ordinal
  }

  /** How many of the deliveries that are remembered have an ordinal up to this one. */
  #handedUpTo(ordinal: number): number {
    let [low, high] = [0, this.#handed.length / REMEMBERED]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#handed[middle * REMEMBERED] <= ordinal) low = middle + 1
      else high = middle
    }
    return low
  }

  #handOut(count: number, last: PackedDelivery<T>): void {
    if (this.#acceptsEach) for (let index = 1; index <= count; index++) this.#outstanding.add(this.#handedOut + index)
    this.#handedOut += count
    // Not the delivery itself: it would keep its bytes alive.
    this.#lastMark = last.mark
    this.#lastEpoch = last.epoch
    if (this.#state.is === 'failing' && this.#ring.size === 0) this.#state = { is: 'failed', error: this.#state.error }
    this.#options.onTake?.()
  }

  #acceptUpTo(ordinal: number, mark: number, epoch: number): void {
    this.#accepted = ordinal
    if (!this.#remembers) {
      this.#options.onAccept?.(mark, epoch, ordinal)
      return
    }
    const end = this.#handedUpTo(ordinal) * REMEMBERED
    if (end === 0) return
    const [lastMark, lastEpoch] = this.#handed.slice(end - 2, end)
    this.#handed.splice(0, end)
    this.#options.onAccept?.(lastMark, lastEpoch, ordinal)
  }

  get #remembers(): boolean {
    return !this.#acceptsEach && this.#options.onReject !== null && this.#options.onReject !== undefined
  }

  #end(whyNotReady: LiminalError): Promise<void> {
    if (this.#closing !== null) return this.#closing
    const wasOpen = this.#state.is === 'open'
    this.#ring.clear()
    if (this.#state.is !== 'failed') this.#state = { is: 'closed' }
    if (wasOpen) {
      this.#closed.resolve()
      this.#leave(whyNotReady)
    }
    const closing = wasOpen ? this.#closeSource('left') : Promise.resolve()
    this.#closing = closing
    this.#consumer.wake()
    return closing
  }

  #closeSource(how: 'left' | 'died'): Promise<void> {
    const closing = this.#tellSource(how)
    // Not everybody who ends a subscription waits for the end: a signal does not, nor does a handler that threw.
    closing.catch(() => {})
    return closing
  }

  async #tellSource(how: 'left' | 'died'): Promise<void> {
    if (this.#started) await this.#options.onClose(how)
  }

  #leave(error: unknown): void {
    this.#stopWatching?.()
    this.#ready.reject(error)
    this.#closed.reject(error)
  }

  /** A handler's subscription that fails unseen would just go silent. */
  #warnIfUnseen(error: unknown): void {
    if (this.#options.handler === null) return
    const wasReady = this.#wasReady
    // The subscriber may not even have the subscription yet: it gets this turn to look.
    setImmediate(() => {
      if (this.#closed.watched || (!wasReady && this.#ready.watched)) return
      this.#warn('the subscription has ended', error, "Watch its 'closed' promise to handle this.")
    })
  }

  #warn(what: string, error: unknown, advice: string): void {
    process.emitWarning(`Channel '${this.channel}': ${what} (${textOf(error)}). ${advice}`.trimEnd(), {
      type: 'LiminalWarning',
      code: 'LIMINAL_SUBSCRIPTION_ENDED',
    })
  }
}
