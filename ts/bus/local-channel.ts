import { type ChannelCore, oneMessageRun, type PublishObserver, rowOffset } from '../channel/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { encodePayload, type PayloadKind } from '../payload.ts'
import { Column } from '../protocol/index.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import type { Channel, PublishOptions, Receipt, SendCounts, SendOptions, WaitOptions } from './bus.ts'
import { checkOpen, checkSize, type LocalContext } from './local-context.ts'
import { subscribeLocally } from './local-subscription.ts'
import { checkPublishOptions, checkSendOptions, checkWaitOptions } from './publish-options.ts'
import { subscribeArguments } from './subscribe-arguments.ts'
import type { DeliveryHandler, SubscribeOptions, Subscription } from './subscription.ts'
import { nextTurn, spendTurn } from './turn.ts'

/** Hears the fate of one publish: at once, or of a durable channel later. */
class OnePublish implements PublishObserver {
  readonly publisher = null
  receipt: Receipt | null = null
  error: LiminalError | null = null
  #waiting: Deferred<Receipt> | null = null

  /** Settles with the fate. */
  settled(): Promise<Receipt> {
    this.#waiting ??= new Deferred()
    return this.#waiting.promise
  }

  accepted(messageId: bigint, _count: number, deliveredTo: number, position: bigint | null): void {
    this.#settle({ messageId, position, delivered: deliveredTo > 0, deliveredTo, duplicate: false })
  }

  duplicate(messageId: bigint, deliveredTo: number | null, position: bigint | null): void {
    this.#settle({ messageId, position, delivered: (deliveredTo ?? 0) > 0, deliveredTo, duplicate: true })
  }

  refused(error: LiminalError): void {
    this.error = error
    this.#waiting?.reject(error)
  }

  #settle(receipt: Receipt): void {
    this.receipt = receipt
    this.#waiting?.resolve(receipt)
  }
}

/** Hears the fate of what was sent without waiting for it. */
class SendObserver implements PublishObserver {
  readonly publisher = null
  sent = 0
  failed = 0
  lastError: Error | null = null

  accepted(): void {}

  duplicate(): void {}

  refused(error: LiminalError): void {
    this.failed++
    this.lastError = error
  }
}

/** A handle on a channel of a bus in this process. */
export class LocalChannel<T> implements Channel<T> {
  readonly name: string
  readonly #context: LocalContext
  readonly #payload: PayloadKind
  readonly #sends = new SendObserver()
  #core: ChannelCore | null = null

  constructor(context: LocalContext, name: string, payload: PayloadKind) {
    this.name = name
    this.#context = context
    this.#payload = payload
  }

  get sendCounts(): SendCounts {
    const { sent, failed, lastError } = this.#sends
    return { sent, failed, lastError }
  }

  async publish(value: T, options: PublishOptions = {}): Promise<Receipt> {
    checkPublishOptions(options)
    checkOpen(this.#context)
    const { timeoutMs, signal } = options
    const what = `The publish to '${this.name}'`
    throwIfAborted(signal, what)

    const publish = new OnePublish()
    const core = this.#publish(value, options, publish)
    if (publish.error !== null) throw publish.error
    if (publish.receipt === null)
      return await waitFor(publish.settled(), { timeoutMs, signal, what: `${what}, which may be stored all the same,` })

    // It is published, whatever happens to the wait: that only slows the publisher down.
    const hold = core.hold()
    if (hold !== null) await waitFor(hold, { timeoutMs, signal, what }).catch(ignoreEndOfHold)
    if (spendTurn(1)) await nextTurn()
    return publish.receipt
  }

  send(value: T, options: SendOptions = {}): void {
    checkSendOptions(options)
    checkOpen(this.#context)
    if (this.#known()?.hold()) {
      const message = `Subscribers of '${this.name}' are behind; nothing was sent. Await ready() and send again.`
      throw new LiminalError('OUTBOX_FULL', message)
    }
    try {
      this.#publish(value, options, this.#sends)
    } catch (error) {
      // What a remote bus would learn later, if at all, is counted here too.
      if (!(error instanceof LiminalError) || !COUNTED.has(error.code)) throw error
      this.#sends.refused(error)
    }
    this.#sends.sent++
  }

  async ready(options: WaitOptions = {}): Promise<void> {
    checkWaitOptions(options)
    const what = `Waiting for room to send to '${this.name}'`
    throwIfAborted(options.signal, what)
    checkOpen(this.#context)
    const hold = this.#known()?.hold() ?? null
    if (hold !== null) await waitFor(hold, { timeoutMs: options.timeoutMs, signal: options.signal, what })
    checkOpen(this.#context)
  }

  subscribe(options?: SubscribeOptions): Subscription<T>
  subscribe(handler: DeliveryHandler<T>, options?: SubscribeOptions): Subscription<T>
  subscribe(first?: DeliveryHandler<T> | SubscribeOptions, second?: SubscribeOptions): Subscription<T> {
    const settings = subscribeArguments(first, second)
    checkOpen(this.#context)
    return subscribeLocally(this.#context, this.name, this.#payload, settings)
  }

  #publish(value: T, { causal, idempotencyKey }: SendOptions, observer: PublishObserver): ChannelCore {
    const run = oneMessageRun(encodePayload(value, this.#payload), causal ?? null, idempotencyKey ?? null)
    // Key included: a connection has to carry that too. What a schema adds is the channel's to count.
    checkSize(this.#context, run.bytes.length - run.columns[rowOffset(run.first) + Column.ENVELOPE])
    const core = this.#known() ?? this.#context.core.channels.get(this.name)
    this.#core = core
    core.publishRun(run, observer)
    return core
  }

  /** The channel as last looked up, unless it was closed since. */
  #known(): ChannelCore | null {
    return this.#core === null || this.#core.closed ? null : this.#core
  }
}

/** Failures of a send that are counted and not thrown. */
const COUNTED: ReadonlySet<string> = new Set(['CHANNEL_NOT_FOUND', 'CHANNEL_CLOSED'])

function ignoreEndOfHold(error: unknown): void {
  const ended = error instanceof LiminalError && (error.code === 'TIMEOUT' || error.code === 'ABORTED')
  if (!ended) throw error
}
