import type { Logged, MessageRun, Sink } from '../channel/index.ts'
import type { FrameRows } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import type { Accept } from '../protocol/index.ts'
import type { SessionContext } from './context.ts'
import { DeliverWriter } from './deliver-writer.ts'
import { DeliveryQueue } from './delivery-queue.ts'
import { saySessionShed } from './diagnostics.ts'
import { QueueBudget } from './queue-budget.ts'
import { readingStep } from './reading-step.ts'
import { RoomListener, type RoomOwner } from './room-listener.ts'

export interface SessionSubscriptionOptions {
  readonly channel: string
  readonly streamId: number
  /** Deliveries sent and not yet accepted, at most; `null` for a peer without credits. */
  readonly window: number | null
  /** What may wait for the credit of all subscriptions of this connection. */
  readonly connectionBudget: QueueBudget
  /** Ended from this side: it was shed, or its channel closed. */
  readonly onEnded: (subscription: SessionSubscription, error: LiminalError) => void
}

/**
 * One subscription of a session: turns the runs of a channel into Deliver frames on the subscription's stream.
 *
 * Without credits everything goes into the outbox. With credits the peer gets its window, and what exceeds it (or finds no room in the outbox) waits here,
 * encoded, up to a cap. Either queue holds publishers while it is behind; one that is full sheds the subscription and nothing else.
 */
export class SessionSubscription implements Sink, RoomOwner {
  readonly channel: string
  readonly streamId: number
  readonly #context: SessionContext
  readonly #options: SessionSubscriptionOptions
  readonly #writer: DeliverWriter
  readonly #queue = new DeliveryQueue()
  readonly #budget: QueueBudget
  readonly #roomListener: RoomListener
  /** Deliveries numbered so far, which includes those that wait. */
  #numbered = 0
  #accepted = 0
  #live = true

  constructor(context: SessionContext, options: SessionSubscriptionOptions) {
    this.channel = options.channel
    this.streamId = options.streamId
    this.#context = context
    this.#options = options
    this.#writer = new DeliverWriter(context, options.streamId)
    this.#budget = new QueueBudget(context.options.limits.subscriptionQueueBytes)
    this.#roomListener = new RoomListener(context.output, this)
  }

  deliver(run: MessageRun, schemaId: Uint8Array, _logged: Logged | null): boolean {
    if (!this.#live) return false
    if (!this.#context.options.deliver) return true
    const rows: FrameRows = { bytes: run.bytes, columns: run.columns, count: run.first + run.count }
    const writer = this.#writer
    // While some wait, the next ones line up behind them.
    let direct = this.#queue.frames > 0 ? 0 : Math.min(run.count, this.#allowance)
    const directBytes = direct > 0 ? writer.length(rows, run.first, direct) : 0
    if (writer.hasOversized(rows, run.first, direct, directBytes)) return this.#shed(this.#oversized)
    if (direct > 0 && !this.#context.output.hasRoom(directBytes)) {
      if (this.#options.window === null) return this.#shed(this.#behind)
      direct = 0
    }
    const waiting = run.count - direct
    if (waiting > 0) {
      const waitingBytes = writer.length(rows, run.first + direct, waiting)
      if (writer.hasOversized(rows, run.first + direct, waiting, waitingBytes)) return this.#shed(this.#oversized)
      const { connectionBudget } = this.#options
      if (!this.#budget.takes(waitingBytes) || !connectionBudget.takes(waitingBytes)) return this.#shed(this.#behind)
      if (direct > 0) this.#send(rows, run.first, direct, directBytes, schemaId)
      this.#enqueue(rows, run.first + direct, waiting, waitingBytes, schemaId)
    } else {
      this.#send(rows, run.first, direct, directBytes, schemaId)
    }
    return true
  }

  /** See Sink. Of a durable channel: what the window allows, unless the connection is behind. */
  room(): number {
    const { output, refusing, options } = this.#context
    if (!options.deliver) return Number.POSITIVE_INFINITY
    const isStopped = !this.#live || refusing !== null || this.#queue.frames > 0
    if (isStopped || this.#allowance < readingStep(this.#options.window)) return 0
    return output.hasRoom(options.limits.outboxBytes) ? this.#allowance : 0
  }

  /** See Sink. */
  onRoom(listener: () => void): void {
    this.#roomListener.listen(listener)
  }

  /** See RoomOwner. */
  get onlyWaitsForDrain(): boolean {
    return this.#live && this.#context.refusing === null && this.#allowance >= readingStep(this.#options.window)
  }

  /** See RoomOwner. */
  drained(): void {
    if (!this.#live) return
    if (this.#queue.frames > 0) this.#move()
    this.#roomListener.tell()
  }

  hold(): Promise<void> | null {
    if (!this.#live) return null
    const outbox = this.#context.output.outbox.congestion.hold()
    if (this.#queue.frames === 0) return outbox
    const queue = this.#budget.hold()
    const connection = this.#options.connectionBudget.hold()
    if (queue === null && connection === null) return outbox
    return Promise.all([outbox, queue, connection]).then(() => undefined)
  }

  end(error: LiminalError): void {
    if (!this.#live) return
    this.close()
    this.#options.onEnded(this, error)
  }

  /** The peer has taken all deliveries up to the one that it names. What was not sent yet, or was accepted before, changes nothing. */
  accept({ referencedMessageId }: Accept): void {
    const sequence = sequenceIn(referencedMessageId)
    if (sequence <= this.#accepted || sequence > this.#numbered - this.#queue.frames) return
    this.#accepted = sequence
    if (this.#queue.frames > 0) this.#move()
    this.#roomListener.tell()
  }

  /** Takes no more, drops what waits and lets publishers go. */
  close(): void {
    this.#live = false
    this.#roomListener.end()
    this.#options.connectionBudget.add(-this.#queue.bytes)
    this.#queue.clear()
    this.#budget.close()
  }

  /** How many deliveries the peer's window has room for. */
  get #allowance(): number {
    if (this.#options.window === null) return Number.POSITIVE_INFINITY
    return this.#accepted + this.#options.window - (this.#numbered - this.#queue.frames)
  }

  #send(rows: FrameRows, first: number, count: number, length: number, schemaId: Uint8Array): void {
    const sequence = BigInt(this.#numbered + 1)
    this.#numbered += count
    this.#writer.write(rows, first, count, length, sequence, 0, schemaId)
  }

  #enqueue(rows: FrameRows, first: number, count: number, length: number, schemaId: Uint8Array): void {
    const room = this.#queue.reserve(length)
    const sequence = BigInt(this.#numbered + 1)
    this.#writer.encode(rows, first, count, sequence, schemaId, room.bytes, room.offset)
    this.#queue.commit(length, count)
    this.#numbered += count
    this.#count(length)
    if (this.#allowance > 0) this.#roomListener.awaitDrain()
  }

  #move(): void {
    const { output } = this.#context
    const before = this.#queue.bytes
    this.#queue.moveTo(output.outbox, this.#allowance, (length) => output.hasRoom(length))
    if (this.#queue.bytes < before) this.#count(this.#queue.bytes - before)
    // There is credit but no room in the outbox: goes on once that has drained.
    if (this.#queue.frames > 0 && this.#allowance > 0) this.#roomListener.awaitDrain()
    if (this.#queue.frames === 0) this.#context.settled()
  }

  #count(length: number): void {
    this.#budget.add(length)
    this.#options.connectionBudget.add(length)
  }

  get #behind(): string {
    const { output } = this.#context
    const queued = `${this.#queue.bytes} for its credit, ${this.#options.connectionBudget.bytes} for that of all its connection's subscriptions`
    return `its subscriber is too far behind (${output.waitingBytes} bytes wait for its connection, ${queued}). Subscribe again and read faster.`
  }

  get #oversized(): string {
    const most = this.#context.options.limits.frameBytes
    return `a message is too large to be delivered; a frame of this server carries ${most} bytes at most, header and all. Publish smaller ones.`
  }

  #shed(why: string): false {
    const { id, output } = this.#context
    saySessionShed({
      sessionId: id,
      channel: this.channel,
      streamId: this.streamId,
      outboxBytes: output.waitingBytes,
      queueBytes: this.#queue.bytes,
    })
    this.close()
    const text = `The subscription to '${this.channel}' was shed: ${why}`
    this.#options.onEnded(this, new LiminalError('SUBSCRIPTION_SHED', text))
    return false
  }
}

function sequenceIn(referencedMessageId: string): number {
  return /^\d{1,16}$/.test(referencedMessageId) ? Number(referencedMessageId) : 0
}
