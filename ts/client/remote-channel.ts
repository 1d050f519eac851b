import {
  type Channel,
  checkPublishOptions,
  checkSendOptions,
  checkWaitOptions,
  type DeliveryHandler,
  type PublishOptions,
  type Receipt,
  type SendCounts,
  type SendOptions,
  type SubscribeOptions,
  type Subscription,
  subscribeArguments,
  type WaitOptions,
} from '../bus/index.ts'
import type { PayloadKind } from '../payload.ts'
import { encodeValue } from '../payload-text.ts'
import { toLiminalError } from '../thrown.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import type { ClientCore } from './client-core.ts'
import type { PublishLane } from './publish-lane.ts'
import { PublishRequest } from './publish-request.ts'
import { subscribeRemotely } from './remote-subscription.ts'
import type { SendLane } from './send-lane.ts'

/** A channel of a remote bus. */
export class RemoteChannel implements Channel<unknown> {
  readonly name: string
  readonly #core: ClientCore
  readonly #payload: PayloadKind
  readonly #publishes: PublishLane
  readonly #sends: SendLane

  constructor(core: ClientCore, name: string, payload: PayloadKind, publishes: PublishLane, sends: SendLane) {
    this.name = name
    this.#core = core
    this.#payload = payload
    this.#publishes = publishes
    this.#sends = sends
  }

  publish(value: unknown, options?: PublishOptions): Promise<Receipt> {
    if (options?.timeoutMs !== undefined || options?.signal !== undefined) return this.#publishWithin(value, options)
    return new Promise((resolve, reject) => {
      if (options !== undefined) checkPublishOptions(options)
      const payload = encodeValue(value, this.#payload)
      this.#core.submit(new PublishRequest(this.#publishes, payload, options, this.#core.deadline(), resolve, reject))
    })
  }

  send(value: unknown, options?: SendOptions): void {
    if (options !== undefined) checkSendOptions(options)
    this.#sends.send(encodeValue(value, this.#payload), options?.causal ?? null, options?.idempotencyKey ?? null)
  }

  async ready(options: WaitOptions = {}): Promise<void> {
    checkWaitOptions(options)
    throwIfAborted(options.signal, `Waiting for room to send to '${this.name}'`)
    await this.#core.whenRoom(`Waiting for room to send to '${this.name}'`, options)
  }

  get sendCounts(): SendCounts {
    return this.#sends.counts
  }

  subscribe(options?: SubscribeOptions): Subscription<unknown>
  subscribe(handler: DeliveryHandler<unknown>, options?: SubscribeOptions): Subscription<unknown>
  subscribe(first?: DeliveryHandler<unknown> | SubscribeOptions, second?: SubscribeOptions): Subscription<unknown> {
    return subscribeRemotely(this.#core, this.name, this.#payload, subscribeArguments(first, second))
  }

  /** The rarer form: with limits that need a timer or a listener of their own. */
  async #publishWithin(value: unknown, options: PublishOptions): Promise<Receipt> {
    checkPublishOptions(options)
    const { timeoutMs, signal } = options
    const publishes = this.#publishes
    throwIfAborted(signal, publishes.what)
    const payload = encodeValue(value, this.#payload)
    let request: PublishRequest | undefined
    const receipt = new Promise<Receipt>((resolve, reject) => {
      const deadline = timeoutMs === undefined ? this.#core.deadline() : Number.POSITIVE_INFINITY
      request = new PublishRequest(publishes, payload, options, deadline, resolve, reject)
      this.#core.submit(request)
    })
    try {
      return await waitFor(receipt, { timeoutMs, signal, what: publishes.what })
    } catch (thrown) {
      const error = toLiminalError(thrown)
      request?.abandon(error)
      throw error
    }
  }
}
