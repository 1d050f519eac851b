import { type Logged, type MessageRun, rowOffset, type Sink } from '../channel/index.ts'
import { LiminalError } from '../errors.ts'
import { Congestion } from '../pressure/index.ts'
import { Column } from '../protocol/index.ts'
import { type BlockPositions, DeliveryBlock } from './delivery.ts'
import { saySubscriptionShed } from './diagnostics.ts'
import type { SubscriptionQueue } from './subscription-queue.ts'

/** How far a subscription in this process may fall behind, and how long publishers wait for it. */
export interface SubscriptionQueueLimits {
  /** Deliveries that wait to be handed out, at most. Default 65,536. */
  readonly maxDeliveries?: number
  /** Their payload bytes, at most. Of a durable channel a page of its log may come to more: 1 MiB, or one message. Default 64 MiB. */
  readonly maxBytes?: number
  /** Milliseconds that publishers wait at a time, at most, for a subscription that is half full. Default 1,000. */
  readonly holdMs?: number
  /** Milliseconds without any delivery taken after which they wait no longer. Default 100. */
  readonly stallMs?: number
}

/** How full a queue is when its log is not read any further, and how full at most when it is read on. */
const LOG_HIGH_WATER = 15 / 16
const LOG_LOW_WATER = 1 / 2

/** Bytes of a block that deliveries are copied into: less than one typed array each, and little is kept alive by a delivery that is kept. */
const BLOCK_BYTES = 16 * 1024

/** The end of a channel's fan-out at a subscription in this process: a bounded queue. */
export class LocalSink<T> implements Sink {
  readonly #queue: SubscriptionQueue<T>
  readonly #rest: 'deliver' | 'drop'
  readonly #maxDeliveries: number
  readonly #maxBytes: number
  readonly #congestion: Congestion
  #block: DeliveryBlock
  #blockUsed = 0
  /** What follows the last delivery of the block, in a log. */
  #nextPosition = 0n
  #roomListener: (() => void) | null = null
  /** It was nearly full, and is not half empty yet. */
  #full = false

  /** @param rest What becomes of what waits in the queue when the channel ends the subscription: with `'drop'` somebody else gets it. */
  constructor(queue: SubscriptionQueue<T>, limits: SubscriptionQueueLimits, rest: 'deliver' | 'drop' = 'deliver') {
    this.#queue = queue
    this.#rest = rest
    this.#block = new DeliveryBlock(queue, new Uint8Array(0), 0, null)
    this.#maxDeliveries = limits.maxDeliveries ?? 65_536
    this.#maxBytes = limits.maxBytes ?? 64 * 1024 * 1024
    this.#congestion = new Congestion({
      highWater: 1 / 2,
      lowWater: 1 / 8,
      holdMs: limits.holdMs ?? 1_000,
      stallMs: limits.stallMs ?? 100,
    })
  }

  /** See Sink. A run is always taken by an empty queue, whatever its size, and so is one of a log, which asks for {@link room} first: what is too much by its bytes is one page. */
  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged | null): boolean {
    const queue = this.#queue
    if (!queue.open) return false
    const { columns } = run
    const first = rowOffset(run.first)
    const last = rowOffset(run.first + run.count - 1)
    const start = columns[first + Column.ENVELOPE]
    const end = columns[last + Column.PAYLOAD] + columns[last + Column.PAYLOAD_LENGTH]
    // The run's bytes include the headers between its envelopes: never too little.
    if (
      logged === null &&
      queue.pending > 0 &&
      (queue.pending + run.count > this.#maxDeliveries || queue.pendingBytes + (end - start) > this.#maxBytes)
    ) {
      this.#shed()
      return false
    }
    const shift = this.#keep(run, start, end, schemaId, logged) - start
    queue.push(this.#block, columns, first, run.count, shift)
    this.update()
    return true
  }

  /** See Sink. */
  hold(): Promise<void> | null {
    return this.#congestion.hold()
  }

  /** See Sink. A queue that was nearly full has no room before it is half empty: room for a few messages at a time would be a read of the log for each. */
  room(bytes = 0): number {
    const level = this.#level
    this.#full = level > (this.#full ? LOG_LOW_WATER : LOG_HIGH_WATER)
    const { pending, pendingBytes } = this.#queue
    return this.#full || pendingBytes + bytes > this.#maxBytes ? 0 : this.#maxDeliveries - pending
  }

  /** See Sink. */
  onRoom(listener: () => void): void {
    this.#roomListener = listener
  }

  /** See Sink. */
  end(error: LiminalError): void {
    this.#queue.fail(error, error.code === 'CLOSED' ? 'drop' : this.#rest)
    this.close()
  }

  /** Looks at the queue again, after something was taken from it. */
  update(): void {
    const level = this.#level
    this.#congestion.update(level)
    if (this.#roomListener === null || level > LOG_LOW_WATER) return
    const listener = this.#roomListener
    this.#roomListener = null
    listener()
  }

  /** How full the queue is: the fuller of the two measures, as a fraction. */
  get #level(): number {
    const { pending, pendingBytes } = this.#queue
    return Math.max(pending / this.#maxDeliveries, pendingBytes / this.#maxBytes)
  }

  /** Lets publishers go: the subscription is over. */
  close(): void {
    this.#congestion.close()
  }

  /** Copies bytes that are lent for one call, and returns where in `#block` they are now. */
  #keep(run: MessageRun, start: number, end: number, schemaId: Uint8Array, logged: Logged | null): number {
    const length = end - start
    const { bytes, schemaId: blockSchema, positions } = this.#block
    const follows = logged === null ? positions === null : this.#follows(positions, logged)
    if (length > bytes.length - this.#blockUsed) {
      // The first block is small: most subscriptions of a bus with many are quiet.
      const size = Math.max(bytes.length === 0 ? 1_024 : BLOCK_BYTES, length)
      const memory = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer)
      this.#block = new DeliveryBlock(this.#queue, memory, 0, schemaId, positionsOf(logged))
      this.#blockUsed = 0
    } else if (schemaId !== blockSchema || !follows) {
      this.#block = new DeliveryBlock(this.#queue, bytes, 0, schemaId, positionsOf(logged))
    }
    if (logged !== null) this.#nextPosition = logged.position + BigInt(run.count)
    const offset = this.#blockUsed
    this.#block.bytes.set(run.bytes.subarray(start, end), offset)
    this.#blockUsed += length
    return offset
  }

  /** Whether messages follow those of the block without a gap, and were handed out as often. */
  #follows(positions: BlockPositions, { position, attempt }: Logged): boolean {
    return (
      positions !== null && positions !== 'frames' && positions.attempt === attempt && position === this.#nextPosition
    )
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

function positionsOf(logged: Logged | null): BlockPositions {
  return logged === null ? null : { first: logged.position, attempt: logged.attempt }
}
