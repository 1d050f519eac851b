import { keyedPublishFrame, publishFrame } from './inputs.ts'

/** What a Publish frame says, as a flat record: the one logical message that every codec in the comparison encodes and decodes. */
export interface Message {
  readonly flags: number
  readonly streamId: number
  readonly channel: string
  /** 32 bytes. */
  readonly schemaId: Uint8Array
  /** Id of the message that led to this one. */
  readonly parentId: string | null
  /** u64. */
  readonly vectorClockEntry: bigint | null
  readonly payload: Uint8Array
  readonly idempotencyKey: string | null
}

/** A codec that encodes and decodes the message, tied to how it holds a message in memory. */
export interface MessageCodec {
  /** Unique. */
  readonly name: string
  /** What `decode` leaves in memory. */
  readonly materialises: string
  /**
   * Makes the call to measure: the messages one by one, each into bytes of its own. What the codec encodes is made beforehand. Null where
   * another codec stands for it.
   */
  readonly encoder: ((messages: readonly Message[]) => () => unknown) | null
  /** The bytes of each message. */
  encode(messages: readonly Message[]): Uint8Array[]
  /** Makes the call to measure: all messages decoded. */
  decoder(encoded: readonly Uint8Array[]): () => unknown
  /** The messages, read back. */
  decode(encoded: readonly Uint8Array[]): Message[]
}

/** What differs between the codecs that take one message at a time. */
export interface Single<Value> {
  readonly name: string
  readonly materialises: string
  /** The message as the codec wants it. */
  from(message: Message): Value
  encode(value: Value): Uint8Array
  decode(bytes: Uint8Array): Value
  /** The message as it was decoded. */
  to(value: Value): Message
}

/** The calls of a codec that takes one message at a time. */
export function oneByOne<Value>(single: Single<Value>): MessageCodec {
  return {
    name: single.name,
    materialises: single.materialises,
    encoder: (messages) => {
      const values = messages.map((message) => single.from(message))
      return () => {
        let bytes = 0
        for (const value of values) bytes += single.encode(value).length
        return bytes
      }
    },
    // Copies, because some encoders hand out the same memory again and again; Buffers, because that is what a socket gives.
    encode: (messages) => messages.map((message) => Buffer.from(single.encode(single.from(message)))),
    decoder: (encoded) => () => {
      let last: Value | null = null
      for (const bytes of encoded) last = single.decode(bytes)
      return last
    },
    decode: (encoded) => encoded.map((bytes) => single.to(single.decode(bytes))),
  }
}

/** A message as most are: no key, no origin. */
export function plainMessage(payloadBytes: number): Message {
  const { flags, streamId, channel, envelope } = publishFrame(payloadBytes)
  const { schemaId, payload } = envelope
  return { flags, streamId, channel, schemaId, parentId: null, vectorClockEntry: null, payload, idempotencyKey: null }
}

/** A message with all that a Publish can say. */
export function fullMessage(payloadBytes: number, sequence: number): Message {
  const { flags, idempotencyKey } = keyedPublishFrame(payloadBytes, sequence)
  const parentId = `m-${sequence}`
  return { ...plainMessage(payloadBytes), flags, idempotencyKey, parentId, vectorClockEntry: BigInt(sequence) }
}
