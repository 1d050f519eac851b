import { codec } from '../codec/index.ts'
import { decodePayload, type PayloadKind } from '../payload.ts'
import { type CausalContext, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import type { Delivery } from './bus.ts'

/** What the deliveries of one subscription share. */
export interface DeliveryOwner {
  readonly channel: string
  readonly payload: PayloadKind
  /** Takes a delivery, and all handed out before it, as done. */
  accept(delivery: PackedDelivery<unknown>): void
}

/** Where the u64 sequence of a Deliver frame stands before its envelope: the envelope's length is between them (spec wire §4). */
const SEQUENCE_BEFORE_ENVELOPE = 12

/** What the deliveries that lie in the same bytes share. */
export class DeliveryBlock {
  /** Its deliveries that wait to be handed out. The ring's to set. */
  waiting = 0
  readonly owner: DeliveryOwner
  readonly bytes: Uint8Array
  /** The memory of {@link bytes}, and where in it they begin. Asked for once: for a message each, the getters of typed arrays took a tenth of a subscriber's time. */
  readonly memory: ArrayBufferLike
  readonly origin: number
  readonly epoch: number
  readonly schemaId: Uint8Array | null

  /**
   * @param bytes Memory that is never written again while a delivery lives.
   * @param epoch Which life of the subscription its sequences count in: it changes with a reconnect.
   * @param schemaId The schema id to show; `null`: the bytes are those of Deliver frames, which say the schema id and the sequence themselves.
   */
  constructor(owner: DeliveryOwner, bytes: Uint8Array, epoch: number, schemaId: Uint8Array | null) {
    this.owner = owner
    this.bytes = bytes
    this.memory = bytes.buffer
    this.origin = bytes.byteOffset
    this.epoch = epoch
    this.schemaId = schemaId
  }
}

/** Marks a value that was not decoded yet: any JSON value may be the real one. */
const UNDECODED = Symbol('undecoded')

/** A delivery as offsets into the bytes that carry it: made for every message, so it does nothing until it is asked. */
export class PackedDelivery<T> implements Delivery<T> {
  /** Position among the deliveries handed out by its queue, from 1. */
  readonly ordinal: number
  readonly #block: DeliveryBlock
  readonly #envelope: number
  readonly #payload: number
  readonly #payloadLength: number
  #value: unknown = UNDECODED

  /**
   * @param envelope Offset of the envelope in the block's bytes.
   * @param payload Offset of the payload, which ends the envelope.
   * @param payloadLength Bytes of the payload.
   */
  constructor(block: DeliveryBlock, envelope: number, payload: number, payloadLength: number, ordinal: number) {
    this.#block = block
    this.#envelope = envelope
    this.#payload = payload
    this.#payloadLength = payloadLength
    this.ordinal = ordinal
  }

  get channel(): string {
    return this.#block.owner.channel
  }

  get value(): T {
    if (this.#value === UNDECODED) this.#value = decodePayload(this.bytes, this.#block.owner.payload)
    // The channel's type parameter is the caller's word for what the payloads are.
    return this.#value as T
  }

  get bytes(): Uint8Array {
    return this.#view(this.#payload, this.#payloadLength)
  }

  get sequence(): bigint {
    return BigInt(this.position)
  }

  get schemaId(): Uint8Array {
    // A copy: the channel's own is everybody's.
    return new Uint8Array(this.#block.schemaId ?? this.#view(this.#envelope, SCHEMA_ID_BYTES))
  }

  get causal(): CausalContext {
    return codec.extractCausalContext(this.#view(this.#envelope, this.#payload + this.#payloadLength - this.#envelope))
  }

  accept(): void {
    this.#block.owner.accept(this)
  }

  /** {@link sequence} as a number. */
  get position(): number {
    const { schemaId, bytes } = this.#block
    // In process a subscription has one life, and what it got it hands out from the first to the last.
    return schemaId === null ? readSequence(bytes, this.#envelope - SEQUENCE_BEFORE_ENVELOPE) : this.ordinal
  }

  /** See {@link DeliveryBlock}. */
  get epoch(): number {
    return this.#block.epoch
  }

  /** A plain Uint8Array, also where the bytes are a Buffer. */
  #view(offset: number, length: number): Uint8Array {
    const { memory, origin } = this.#block
    return new Uint8Array(memory, origin + offset, length)
  }
}

/** A u64 as a number; sequences stay far below 2^53. */
export function readSequence(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
  const low = ((bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7]) >>> 0
  return high * 0x1_0000_0000 + low
}
