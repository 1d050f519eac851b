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

/** Marks a value that was not decoded yet: any JSON value may be the real one. */
const UNDECODED = Symbol('undecoded')

/** A delivery as offsets into the bytes that carry it: made for every message, so it does nothing until it is asked. */
export class PackedDelivery<T> implements Delivery<T> {
  /** Position among the deliveries handed out by its queue, from 1; 0 before that. The queue's to set. */
  ordinal = 0
  readonly #owner: DeliveryOwner
  readonly #bytes: Uint8Array
  readonly #envelope: number
  readonly #payload: number
  readonly #payloadLength: number
  readonly #sequence: number
  readonly #epoch: number
  readonly #schemaId: Uint8Array | null
  #value: unknown = UNDECODED

  /**
   * @param bytes Memory that is never written again while the delivery lives.
   * @param envelope Offset of the envelope.
   * @param payload Offset of the payload, which ends the envelope.
   * @param payloadLength Bytes of the payload.
   * @param sequence Counts the deliveries of the subscription from 1.
   * @param epoch Which life of the subscription counts so: it changes with a reconnect.
   * @param schemaId The schema id to show; `null`: the one in the envelope.
   */
  constructor(
    owner: DeliveryOwner,
    bytes: Uint8Array,
    envelope: number,
    payload: number,
    payloadLength: number,
    sequence: number,
    epoch: number,
    schemaId: Uint8Array | null,
  ) {
    this.#owner = owner
    this.#bytes = bytes
    this.#envelope = envelope
    this.#payload = payload
    this.#payloadLength = payloadLength
    this.#sequence = sequence
    this.#epoch = epoch
    this.#schemaId = schemaId
  }

  get channel(): string {
    return this.#owner.channel
  }

  get value(): T {
    if (this.#value === UNDECODED) this.#value = decodePayload(this.bytes, this.#owner.payload)
    // The channel's type parameter is the caller's word for what the payloads are.
    return this.#value as T
  }

  get bytes(): Uint8Array {
    return this.#view(this.#payload, this.#payloadLength)
  }

  get sequence(): bigint {
    return BigInt(this.#sequence)
  }

  get schemaId(): Uint8Array {
    // A copy: the channel's own is everybody's.
    return new Uint8Array(this.#schemaId ?? this.#view(this.#envelope, SCHEMA_ID_BYTES))
  }

  get causal(): CausalContext {
    return codec.extractCausalContext(this.#view(this.#envelope, this.#payload + this.#payloadLength - this.#envelope))
  }

  accept(): void {
    this.#owner.accept(this)
  }

  /** {@link sequence} as the number that it is kept as. */
  get position(): number {
    return this.#sequence
  }

  /** See the constructor. */
  get epoch(): number {
    return this.#epoch
  }

  /** Bytes of the payload. */
  get payloadBytes(): number {
    return this.#payloadLength
  }

  /** A plain Uint8Array, also where the bytes are a Buffer. */
  #view(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + offset, length)
  }
}
