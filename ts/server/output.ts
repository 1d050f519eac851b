import type { Writable } from 'node:stream'
import type { Codec } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { Outbox } from '../pressure/index.ts'
import type { ConversationMessage, Frame } from '../protocol/index.ts'

/** Bytes of a PublishAck frame. */
const PUBLISH_ACK_BYTES = 18
/** The part of an outbox that is kept free of deliveries, so that the error frame of a shed subscription and other replies still fit. */
const MOST_RESERVE_BYTES = 256 * 1024

export interface OutputOptions {
  readonly codec: Codec
  readonly capacityBytes: number
  /** Called once, when a reply has no room any more: the peer does not read, and its connection has to end. */
  readonly onOverflow: (error: LiminalError) => void
  /** Called when the last answer that waited for room was written. */
  readonly onAnswered: () => void
}

/**
 * Frames on their way to one peer: replies, which have to be sent or the connection ends, and data, which may be refused for want of room.
 *
 * An outbox that is not behind, up to half of its capacity, takes a piece of any size: what is larger than the whole capacity is late, not lost.
 */
export class Output {
  readonly outbox: Outbox
  readonly #codec: Codec
  readonly #options: OutputOptions
  readonly #dataBytes: number
  readonly #behindBytes: number
  #waiting: ConversationMessage[] = []
  #waitingBytes = 0
  #draining = false
  #closed = false

  constructor(socket: Writable, options: OutputOptions) {
    this.outbox = new Outbox(socket, { capacityBytes: options.capacityBytes })
    this.#codec = options.codec
    this.#options = options
    this.#dataBytes = options.capacityBytes - Math.min(MOST_RESERVE_BYTES, Math.floor(options.capacityBytes / 4))
    this.#behindBytes = Math.floor(options.capacityBytes / 2)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes that wait for the socket, answers that wait for room included. */
  get waitingBytes(): number {
    return this.outbox.waitingBytes + this.#waitingBytes
  }

  /** Whether answers wait for room. */
  get answering(): boolean {
    return this.#waiting.length > 0
  }

  /** Whether `length` bytes of data may be written now. */
  hasRoom(length: number): boolean {
    return !this.#closed && this.#fits(length, this.#dataBytes)
  }

  /** Sends a reply. Without room for it the connection ends. */
  reply(frame: Frame): void {
    if (this.#closed) return
    const length = this.#codec.encodedLength(frame)
    if (this.#fits(length, this.outbox.capacityBytes)) this.#write(frame, length)
    else this.#overflow()
  }

  /** Sends the same reply `count` times. */
  repeat(frame: Frame, count: number): void {
    if (this.#closed) return
    const encoded = this.#codec.encode(frame)
    if (!this.#fits(encoded.length * count, this.outbox.capacityBytes)) {
      this.#overflow()
      return
    }
    for (let left = count; left > 0; left--) this.outbox.append(encoded)
  }

  /** Acknowledges `count` publishes under consecutive ids. */
  acknowledge(streamId: number, flags: number, firstMessageId: bigint, count: number): void {
    if (this.#closed) return
    const length = count * PUBLISH_ACK_BYTES
    if (!this.#fits(length, this.outbox.capacityBytes)) {
      this.#overflow()
      return
    }
    const offset = this.outbox.reserve(length)
    const { block } = this.outbox
    this.outbox.commit(this.#codec.encodePublishAckRun(streamId, flags, firstMessageId, count, block, offset))
  }

  /** Sends a frame if there is room for it as data, and returns whether there was. */
  offer(frame: Frame): boolean {
    const length = this.#codec.encodedLength(frame)
    if (!this.hasRoom(length)) return false
    this.#write(frame, length)
    return true
  }

  /**
   * Sends the reply of a conversation. Many large ones may be ready at once, faster than any peer can read: those without room wait for it, as many
   * bytes as the outbox has once more. Past that the connection ends.
   */
  answer(frame: ConversationMessage): void {
    if (this.#closed) return
    const length = this.#codec.encodedLength(frame)
    if (this.#waiting.length === 0 && this.hasRoom(length)) {
      this.#write(frame, length)
      return
    }
    if (this.#waitingBytes > 0 && this.#waitingBytes + length > this.outbox.capacityBytes) {
      this.#overflow()
      return
    }
    this.#waiting.push(frame)
    this.#waitingBytes += length
    this.#drain()
  }

  /** Calls back once everything written so far has left; never after {@link close}. */
  whenDrained(callback: () => void): void {
    void this.outbox.drained().then(() => {
      if (!this.#closed) callback()
    })
  }

  /** Hands over what was written, and takes no more. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.outbox.finish()
  }

  #fits(length: number, capacity: number): boolean {
    const waiting = this.outbox.waitingBytes
    return waiting + length <= capacity || waiting <= this.#behindBytes
  }

  #write(frame: Frame, length: number): void {
    const offset = this.outbox.reserve(length)
    this.outbox.commit(this.#codec.encodeInto(frame, this.outbox.block, offset))
  }

  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.whenDrained(() => {
      this.#draining = false
      let written = 0
      for (const frame of this.#waiting) {
        const length = this.#codec.encodedLength(frame)
        if (!this.hasRoom(length)) break
        this.#write(frame, length)
        this.#waitingBytes -= length
        written++
      }
      this.#waiting.splice(0, written)
      if (this.#waiting.length > 0) this.#drain()
      else this.#options.onAnswered()
    })
  }

  #overflow(): void {
    const capacity = this.outbox.capacityBytes
    const text = `The peer leaves its replies unread: ${this.outbox.waitingBytes} bytes wait, of ${capacity} at most.`
    this.close()
    // Not at once: a channel may be in the middle of its fan-out, and the end of this session changes its subscriptions.
    queueMicrotask(() => this.#options.onOverflow(new LiminalError('OUTBOX_FULL', text)))
  }
}
