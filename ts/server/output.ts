import type { Writable } from 'node:stream'
import type { Codec } from '../codec/index.ts'
import { type ConversationFrames, messageHeadBytes, openBytes, type ParticipantMessage } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import { Outbox } from '../pressure/index.ts'
import { type Frame, NO_CAUSE, NO_SCHEMA, REPLY_REQUESTED } from '../protocol/index.ts'
import { wireText } from './refusals.ts'

/** Bytes of a PublishAck frame. */
const PUBLISH_ACK_BYTES = 18
/** The part of an outbox that is kept free of deliveries and answers, so that acks, the error frame of a shed subscription and other replies still fit. */
const MOST_RESERVE_BYTES = 256 * 1024
/** Room for the small replies to what one read has brought, above everything that an outbox holds then. */
const REPLY_MARGIN_BYTES = 4 * 1024 * 1024

export interface OutputOptions {
  readonly codec: Codec
  readonly frames: ConversationFrames
  readonly capacityBytes: number
  /** Bytes of the largest frame sent. */
  readonly frameBytes: number
  /** Bytes of answers that may wait for room. */
  readonly answerBytes: number
  /** For how long a peer that takes nothing is waited for while its replies have no room, in milliseconds. */
  readonly patienceMs: number
  /** Called once, when replies cannot be sent any more: the peer does not read, and its connection has to end. */
  readonly onOverflow: (error: LiminalError) => void
  /** Called when the last answer that waited for room was written. */
  readonly onAnswered: () => void
}

interface Waiting {
  readonly frame: Frame
  readonly length: number
}

/**
 * Frames on their way to one peer: replies, which have to be sent or the connection ends, and data, which may be refused for want of room.
 *
 * An outbox that is not behind, up to half of its capacity, takes a piece of any size: what is larger than the whole capacity is late, not lost. A peer whose
 * replies have no room is not read ({@link hold}), so it keeps its connection for as long as it goes on taking them.
 */
export class Output {
  readonly outbox: Outbox
  readonly #codec: Codec
  readonly #options: OutputOptions
  readonly #socket: Writable
  readonly #dataBytes: number
  readonly #behindBytes: number
  readonly #replyBytes: number
  #waiting: Waiting[] = []
  #waitingBytes = 0
  /** Set while there is no room: the progress of the socket is watched then. */
  #patience: NodeJS.Timeout | null = null
  #draining = false
  #room: Promise<void> | null = null
  #release: (() => void) | null = null
  #overflowed = false
  #closed = false
  readonly #progressed = (): void => {
    // The socket says so before it confirms the bytes to the outbox.
    queueMicrotask(() => this.#move())
  }

  constructor(socket: Writable, options: OutputOptions) {
    const { capacityBytes, frameBytes } = options
    this.outbox = new Outbox(socket, { capacityBytes })
    this.#socket = socket
    this.#codec = options.codec
    this.#options = options
    this.#dataBytes = capacityBytes - Math.min(MOST_RESERVE_BYTES, Math.floor(capacityBytes / 4))
    this.#behindBytes = Math.floor(capacityBytes / 2)
    this.#replyBytes = Math.max(capacityBytes, this.#behindBytes + frameBytes) + REPLY_MARGIN_BYTES
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

  /** What the peer's next frames wait for: that it takes the replies it has. `null` if they need not. */
  hold(): Promise<void> | null {
    const behind = this.outbox.congestion.hold()
    if (behind !== null) return behind
    if (this.#closed || this.#overflowed || !this.#isCrowded()) return null
    this.#room ??= new Promise((resolve) => {
      this.#release = resolve
    })
    this.#watch()
    return this.#room
  }

  /** Whether `length` bytes of data may be written now. */
  hasRoom(length: number): boolean {
    return !this.#closed && !this.#overflowed && this.#fits(length, this.#dataBytes)
  }

  /** Sends a small reply. */
  reply(frame: Frame): void {
    const length = this.#codec.encodedLength(frame)
    if (this.#takesReply(length)) this.#write(frame, length)
  }

  /** Sends the same reply `count` times. */
  repeat(frame: Frame, count: number): void {
    const encoded = this.#codec.encode(frame)
    if (!this.#takesReply(encoded.length * count)) return
    for (let left = count; left > 0; left--) this.outbox.append(encoded)
  }

  /** Acknowledges `count` publishes under consecutive ids. */
  acknowledge(streamId: number, flags: number, firstMessageId: bigint, count: number): void {
    const length = count * PUBLISH_ACK_BYTES
    if (!this.#takesReply(length)) return
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

  /** Opens a conversation towards the peer if there is room for that as data, and returns whether there was. */
  open(streamId: number, conversationId: number, subject: string): boolean {
    if (!this.hasRoom(openBytes(subject))) return false
    this.#options.frames.open(this.outbox, streamId, conversationId, subject, 0)
    return true
  }

  /** Sends a message of a conversation if there is room for it as data, and returns whether there was. */
  message(streamId: number, conversationId: number, message: ParticipantMessage): boolean {
    const { causal, payload, replyRequested } = message
    if (!this.hasRoom(messageHeadBytes(causal) + payload.length)) return false
    const { frames } = this.#options
    if (replyRequested) frames.request(this.outbox, streamId, conversationId, causal, payload)
    else frames.message(this.outbox, streamId, conversationId, causal, payload)
    return true
  }

  /** Closes a conversation that was opened towards the peer. @param reason for the peer, `null` if there is none. */
  closeConversation(streamId: number, conversationId: number, reason: string | null): void {
    const { frames } = this.#options
    if (reason !== null) {
      const id = BigInt(conversationId)
      this.reply({
        type: 'ConversationClose',
        flags: 0,
        streamId,
        conversationId: id,
        reasonCode: null,
        message: wireText(reason),
      })
    } else if (this.#takesReply(frames.closeBytes)) frames.close(this.outbox, streamId, conversationId, 0)
  }

  /**
   * Sends the reply of a conversation. Many large ones may be ready at once, faster than any peer can read: those without room wait for it, up to
   * `answerBytes`. Returns whether it was sent or waits.
   */
  answer(streamId: number, conversationId: number | bigint, payload: Uint8Array): boolean {
    const length = messageHeadBytes(null) + payload.length
    if (this.#closed || this.#overflowed) return true
    if (this.#waiting.length === 0 && this.hasRoom(length)) {
      this.#options.frames.request(this.outbox, streamId, conversationId, null, payload)
      return true
    }
    return this.answerWith(streamId, conversationId, payload, REPLY_REQUESTED)
  }

  /** The same with flags of its own: a part, the end of the parts, or a reply with a head. */
  answerWith(streamId: number, conversationId: number | bigint, payload: Uint8Array, flags: number): boolean {
    const length = messageHeadBytes(null) + payload.length
    if (this.#closed || this.#overflowed) return true
    if (this.#waitingBytes > 0 && this.#waitingBytes + length > this.#options.answerBytes) return false
    const waits = this.#waiting.length > 0 || !this.hasRoom(length)
    const envelope = { schemaId: NO_SCHEMA, causal: NO_CAUSE, payload: waits ? ownBytes(payload) : payload }
    const id = BigInt(conversationId)
    this.#line({ type: 'ConversationMessage', flags, streamId, conversationId: id, envelope }, length)
    return true
  }

  /** Sends a small frame of a conversation that the peer opened: behind its answers that wait for room. */
  converse(frame: Frame): void {
    this.#line(frame, this.#codec.encodedLength(frame))
  }

  /** Calls back once everything written so far has left; never after {@link close}. */
  whenDrained(callback: () => void): void {
    void this.outbox.drained().then(() => {
      if (!this.#closed) callback()
    })
  }

  /** Hands over what was written, at last `farewell`, and takes no more. */
  close(farewell: Frame | null): void {
    if (this.#closed) return
    if (farewell !== null) this.#write(farewell, this.#codec.encodedLength(farewell))
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.#unwatch()
    this.outbox.finish()
  }

  #fits(length: number, capacity: number): boolean {
    const waiting = this.outbox.waitingBytes
    return waiting + length <= capacity || waiting <= this.#behindBytes
  }

  #isCrowded(): boolean {
    return this.#waiting.length > 0 || this.outbox.waitingBytes > this.#dataBytes
  }

  #takesReply(length: number): boolean {
    if (this.#closed || this.#overflowed) return false
    if (this.#fits(length, this.#replyBytes)) return true
    this.#overflow()
    return false
  }

  #write(frame: Frame, length: number): void {
    const offset = this.outbox.reserve(length)
    this.outbox.commit(this.#codec.encodeInto(frame, this.outbox.block, offset))
  }

  #line(frame: Frame, length: number): void {
    if (this.#closed || this.#overflowed) return
    if (this.#waiting.length === 0 && this.hasRoom(length)) {
      this.#write(frame, length)
      return
    }
    this.#waiting.push({ frame, length })
    this.#waitingBytes += length
    this.#watch()
  }

  #watch(): void {
    if (this.#patience !== null) {
      this.#awaitDrain()
      return
    }
    this.#patience = setTimeout(() => this.#overflow(), this.#options.patienceMs)
    this.#patience.unref()
    this.#socket.on('drain', this.#progressed)
    this.#awaitDrain()
  }

  #unwatch(): void {
    if (this.#patience === null) return
    clearTimeout(this.#patience)
    this.#patience = null
    this.#socket.off('drain', this.#progressed)
    this.#release?.()
    this.#room = null
    this.#release = null
  }

  /** Small writes make no `drain` of the socket. */
  #awaitDrain(): void {
    if (this.#draining) return
    this.#draining = true
    this.whenDrained(() => {
      this.#draining = false
      this.#move()
    })
  }

  /** The peer has taken something. */
  #move(): void {
    if (this.#patience === null) return
    this.#patience.refresh()
    let written = 0
    for (const { frame, length } of this.#waiting) {
      if (!this.hasRoom(length)) break
      this.#write(frame, length)
      this.#waitingBytes -= length
      written++
    }
    this.#waiting.splice(0, written)
    if (this.#waiting.length > 0 || this.outbox.waitingBytes > this.#behindBytes) {
      this.#awaitDrain()
      return
    }
    this.#unwatch()
    this.#options.onAnswered()
  }

  #overflow(): void {
    if (this.#closed || this.#overflowed) return
    this.#overflowed = true
    this.#unwatch()
    const text = `The peer leaves its replies unread: ${this.waitingBytes} bytes wait, for a connection that may have ${this.outbox.capacityBytes}.`
    // Not at once: a channel may be in the middle of its fan-out, and the end of this session changes its subscriptions.
    queueMicrotask(() => this.#options.onOverflow(new LiminalError('OUTBOX_FULL', text)))
  }
}
