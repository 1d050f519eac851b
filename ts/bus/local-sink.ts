import { type MessageRun, rowOffset, type Sink } from '../channel/index.ts'
import { LiminalError } from '../errors.ts'
import { Congestion } from '../pressure/index.ts'
import { Column } from '../protocol/index.ts'
import { DeliveryBlock } from './delivery.ts'
import { saySubscriptionShed } from './diagnostics.ts'
import type { SubscriptionQueue } from './subscription-queue.ts'

/** How far a subscription in this process may fall behind, and how long publishers wait for it. */
export interface SubscriptionQueueLimits {
  /** Deliveries that wait to be handed out, at most. Default 65,536. */
  readonly maxDeliveries?: number
  /** Their payload bytes, at most. Default 64 MiB. */
  readonly maxBytes?: number
  /** Milliseconds that publishers wait at a time, at most, for a subscription that is half full. Default 1,000. */
  readonly holdMs?: number
  /** Milliseconds without any delivery taken after which they wait no longer. Default 100. */
  readonly stallMs?: number
}

/** Bytes of a block that deliveries are copied into: less than one typed array each, and little is kept alive by a delivery that is kept. */
const BLOCK_BYTES = 16 * 1024

/** The end of a channel's fan-out at a subscription in this process: a bounded queue. */
export class LocalSink<T> implements Sink {
  readonly #queue: SubscriptionQueue<T>
  readonly #maxDeliveries: number
  readonly #maxBytes: number
  readonly #congestion: Congestion
  #block: DeliveryBlock
  #blockUsed = 0

  constructor(queue: SubscriptionQueue<T>, limits: SubscriptionQueueLimits) {
    this.#queue = queue
    this.#block = new DeliveryBlock(queue, new Uint8Array(0), 0, null)
    this.#maxDeliveries = limits.maxDeliveries ?? 65_536
    this.#maxBytes = limits.maxBytes ?? 64 * 1024 * 1024
    // The level is the fuller of the two measures, as a fraction.
    this.#congestion = new Congestion({
      highWater: 1 / 2,
      lowWater: 1 / 8,
      holdMs: limits.holdMs ?? 1_000,
      stallMs: limits.stallMs ?? 100,
    })
  }

  /** See Sink. A run is always taken by an empty queue, whatever its size. */
  deliver(run: MessageRun, schemaId: Uint8Array): boolean {
    const queue = this.#queue
    if (!queue.open) return false
    const { columns } = run
    const first = rowOffset(run.first)
    const last = rowOffset(run.first + run.count - 1)
    const start = columns[first + Column.ENVELOPE]
    const end = columns[last + Column.PAYLOAD] + columns[last + Column.PAYLOAD_LENGTH]
    // The run's bytes include the headers between its envelopes: never too little.
    if (
      queue.pending > 0 &&
      (queue.pending + run.count > this.#maxDeliveries || queue.pendingBytes + (end - start) > this.#maxBytes)
    ) {
      this.#shed()
      return false
    }
    const shift = this.#keep(run.bytes, start, end, schemaId) - start
    queue.push(this.#block, columns, first, run.count, shift)
    this.update()
    return true
  }

  /** See Sink. */
  hold(): Promise<void> | null {
    return this.#congestion.hold()
  }

  /** See Sink. */
  end(error: LiminalError): void {
    this.#queue.fail(error, error.code === 'CLOSED' ? 'drop' : 'deliver')
    this.close()
  }

  /** Looks at the queue again, after something was taken from it. */
  update(): void {
    const { pending, pendingBytes } = this.#queue
    this.#congestion.update(Math.max(pending / this.#maxDeliveries, pendingBytes / this.#maxBytes))
  }

  /** Lets publishers go: the subscription is over. */
  close(): void {
    this.#congestion.close()
  }

  /** Copies bytes that are lent for one call, and returns where in `#block` they are now. */
  #keep(source: Uint8Array, start: number, end: number, schemaId: Uint8Array): number {
    const length = end - start
    const { bytes } = this.#block
    if (length > bytes.length - this.#blockUsed) {
      // The first block is small: most subscriptions of a bus with many are quiet.
      const size = Math.max(bytes.length === 0 ? 1_024 : BLOCK_BYTES, length)
      this.#block = new DeliveryBlock(this.#queue, new Uint8Array(Buffer.allocUnsafeSlow(size).buffer), 0, schemaId)
      this.#blockUsed = 0
    } else if (schemaId !== this.#block.schemaId) {
      this.#block = new DeliveryBlock(this.#queue, bytes, 0, schemaId)
    }
    const offset = this.#blockUsed
    this.#block.bytes.set(source.subarray(start, end), offset)
    this.#blockUsed += length
    return offset
  }

  #shed(): void {
    const { channel, pending, pendingBytes } = this.#queue
    const error = new LiminalError(
      'SUBSCRIPTION_SHED',
      `The subscription to '${channel}' was ended because it fell behind: ${pending} deliveries (${pendingBytes} payload bytes) were waiting. ` +
        "Subscribe again, and take deliveries faster or raise the bus's subscriptionQueue limits.",
    )
    this.#queue.fail(error)
    this.close()
    saySubscriptionShed(channel, error)
  }
}
