import type { Codec } from '../codec/index.ts'
import { type Encoded, lengthBound, writeText } from '../payload-text.ts'
import { type CausalContext, HEADER_BYTES, NO_SCHEMA, PUBLISH_HAS_KEY } from '../protocol/index.ts'
import type { Outbox } from './outbox.ts'

const EMPTY = new Uint8Array(0)
const FLAGS_AT = 1
const STREAM_AT = 2
const LENGTH_AT = 6
const ID_AT = HEADER_BYTES
/** Bytes from which on a payload may be spread over several blocks of the outbox. */
const LARGE_BYTES = 16 * 1024

/**
 * All bytes of a frame but its payload, made once by the codec. Writing a message is then a copy of these, the payload behind them, and three patched
 * lengths. For frames that end with their envelope, and for a Publish whose key follows it.
 */
export class PreparedHead {
  readonly #bytes: Uint8Array
  /** Where the envelope's length is. */
  readonly #envelopeAt: number
  readonly #frameLength: number
  readonly #envelopeLength: number

  private constructor(bytes: Uint8Array, envelopeAt: number) {
    this.#bytes = bytes
    this.#envelopeAt = envelopeAt
    this.#frameLength = bytes.length - HEADER_BYTES
    this.#envelopeLength = bytes.length - envelopeAt - 4
  }

  /** The head of a Publish frame without a key. */
  static publish(codec: Codec, streamId: number, flags: number, channel: string, causal: CausalContext): PreparedHead {
    const envelope = { schemaId: NO_SCHEMA, causal, payload: EMPTY }
    const bytes = codec.encode({ type: 'Publish', flags, streamId, channel, envelope, idempotencyKey: null })
    return new PreparedHead(bytes, HEADER_BYTES + 4 + Buffer.byteLength(channel))
  }

  /** The head of a Publish frame with a key, for {@link writeKeyed}. */
  static keyedPublish(
    codec: Codec,
    streamId: number,
    flags: number,
    channel: string,
    causal: CausalContext,
  ): PreparedHead {
    const head = PreparedHead.publish(codec, streamId, flags, channel, causal)
    head.#bytes[FLAGS_AT] = flags | PUBLISH_HAS_KEY
    return head
  }

  /** The head of a ConversationMessage; stream and id are set by {@link setTarget}. */
  static message(codec: Codec, flags: number, causal: CausalContext): PreparedHead {
    const envelope = { schemaId: NO_SCHEMA, causal, payload: EMPTY }
    const bytes = codec.encode({ type: 'ConversationMessage', flags, streamId: 1, conversationId: 0n, envelope })
    return new PreparedHead(bytes, HEADER_BYTES + 8)
  }

  /** Bytes before the payload. */
  get length(): number {
    return this.#bytes.length
  }

  /** Sets stream and conversation id for the next message. */
  setTarget(stream: number, conversationId: number | bigint): void {
    setTarget(this.#bytes, stream, conversationId)
  }

  /** Writes the frame to the outbox. Its length must have been checked before. */
  write(outbox: Outbox, payload: Encoded): void {
    const head = this.#bytes
    if (typeof payload !== 'string' && payload.length >= LARGE_BYTES) {
      this.#writeLarge(outbox, payload)
      return
    }
    const start = outbox.reserve(head.length + lengthBound(payload))
    outbox.commit(head.length + this.#writeMessage(outbox.block, start, payload))
  }

  /** Writes the frame of a message with a key to the outbox. Its length must have been checked before. */
  writeKeyed(outbox: Outbox, payload: Encoded, key: string): void {
    const head = this.#bytes
    const start = outbox.reserve(head.length + lengthBound(payload) + 4 + lengthBound(key))
    const { block } = outbox
    const length = this.#writeMessage(block, start, payload)
    const keyAt = start + head.length + length + 4
    const keyLength = writeText(block, key, keyAt)
    writeU32(block, start + LENGTH_AT, this.#frameLength + length + 4 + keyLength)
    writeU32(block, keyAt - 4, keyLength)
    outbox.commit(head.length + length + 4 + keyLength)
  }

  /** Writes head and payload, and returns the bytes of the payload. */
  #writeMessage(block: Uint8Array, start: number, payload: Encoded): number {
    const head = this.#bytes
    block.set(head, start)
    const payloadAt = start + head.length
    let length: number
    if (typeof payload === 'string') length = writeText(block, payload, payloadAt)
    else {
      block.set(payload, payloadAt)
      length = payload.length
    }
    this.#writeLengths(block, start, length)
    return length
  }

  /** Fills blocks to the end instead of needing one of its own. */
  #writeLarge(outbox: Outbox, payload: Uint8Array): void {
    const head = this.#bytes
    const start = outbox.reserve(head.length)
    outbox.block.set(head, start)
    this.#writeLengths(outbox.block, start, payload.length)
    outbox.commit(head.length)
    outbox.append(payload)
  }

  #writeLengths(block: Uint8Array, start: number, length: number): void {
    writeU32(block, start + LENGTH_AT, this.#frameLength + length)
    writeU32(block, start + this.#envelopeAt, this.#envelopeLength + length)
    writeU32(block, start + this.#bytes.length - 4, length)
  }
}

/** Whether {@link PreparedHead.writeKeyed} takes a payload: larger ones would need a block of their own. */
export function fitsKeyedHead(payload: Encoded): boolean {
  return typeof payload === 'string' || payload.length < LARGE_BYTES
}

/** Sets the stream, and the u64 id that the payload starts with, of an encoded frame. Ids up to 2^53 may be numbers. */
export function setTarget(frame: Uint8Array, stream: number, id: number | bigint): void {
  writeU32(frame, STREAM_AT, stream)
  if (typeof id === 'number') {
    writeU32(frame, ID_AT, Math.floor(id / 0x1_0000_0000))
    writeU32(frame, ID_AT + 4, id)
  } else {
    writeU32(frame, ID_AT, Number(id >> 32n))
    writeU32(frame, ID_AT + 4, Number(id & 0xffff_ffffn))
  }
}

function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}
