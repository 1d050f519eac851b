import { checkKnownOptions, checkOptions, checkText, invalidArgument } from '../arguments.ts'
import { codec } from '../codec/index.ts'
import { decodePayload, type PayloadKind } from '../payload.ts'
import { type CausalContext, HEADER_BYTES, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import type { Delivery } from './subscription.ts'

/** What the deliveries of one subscription share. */
export interface DeliveryOwner {
  readonly channel: string
  readonly payload: PayloadKind
  /** Takes a delivery as done, and unless each one is accepted for itself all handed out before it. */
  accept(delivery: PackedDelivery<unknown>): void
  /** Hands a delivery back to where it came from. */
  reject(delivery: PackedDelivery<unknown>, options: RejectOptions): void
  /** A delivery takes longer. */
  extend(delivery: PackedDelivery<unknown>): void
}

/** How a delivery is handed back, see {@link Delivery.reject}. */
export interface RejectOptions {
  readonly reason?: string | undefined
  readonly delayMs?: number | undefined
}

/** UTF-16 units of a reason, at most. */
const LONGEST_REASON = 1_024

/**
 * What the deliveries of a block say of their places in a log. `null`: there is none. `'frames'`: their Deliver frames say it, numbered by position + 1 and with the attempt less one as flags (extension
 * `DURABLE`). Else that of the first; the others follow it without a gap.
 */
export type BlockPositions = null | 'frames' | { readonly first: bigint; readonly attempt: number }

/** Where the u64 sequence of a Deliver frame stands before its envelope: the envelope's length is between them (spec wire §4). */
const SEQUENCE_BEFORE_ENVELOPE = 12
/** Where its flags stand: behind its type, the first byte of the ten of the header. */
const FLAGS_BEFORE_ENVELOPE = SEQUENCE_BEFORE_ENVELOPE + HEADER_BYTES - 1
/** Flags that a delivery's mark has room for. */
const MARK_FLAGS = 0x100

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
  readonly positions: BlockPositions
  /** The ordinal of its first delivery, once that was handed out. The ring's to set. */
  firstOrdinal = 0

  /**
   * @param bytes Memory that is never written again while a delivery lives.
   * @param epoch Which life of the subscription its sequences count in: it changes with a reconnect.
   * @param schemaId The schema id to show; `null`: the bytes are those of Deliver frames, which say the schema id and the sequence themselves.
   */
  constructor(
    owner: DeliveryOwner,
    bytes: Uint8Array,
    epoch: number,
    schemaId: Uint8Array | null,
    positions: BlockPositions = null,
  ) {
    this.owner = owner
    this.bytes = bytes
    this.memory = bytes.buffer
    this.origin = bytes.byteOffset
    this.epoch = epoch
    this.schemaId = schemaId
    this.positions = positions
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
    const { schemaId, positions } = this.#block
    // In process a subscription has one life, and a log outlives all of them.
    return BigInt(schemaId === null && positions === null ? this.#frameSequence : this.ordinal)
  }

  get position(): bigint | null {
    const { positions, firstOrdinal } = this.#block
    if (positions === null) return null
    if (positions === 'frames') return BigInt(this.#frameSequence - 1)
    return positions.first + BigInt(this.ordinal - firstOrdinal)
  }

  get attempt(): number {
    const { positions } = this.#block
    if (positions === null) return 1
    return positions === 'frames' ? this.#frameFlags + 1 : positions.attempt
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

  reject(options: RejectOptions = {}): void {
    checkReject(options)
    this.#block.owner.reject(this, options)
  }

  extend(): void {
    this.#block.owner.extend(this)
  }

  /**
   * What tells it apart from all others of its epoch, for where it came from: the number of its frame; of a log, 256 times its position plus one, and what its flags are or would be:
   * the attempt less one, at most 255.
   */
  get mark(): number {
    const { schemaId, positions, firstOrdinal } = this.#block
    if (positions === null) return schemaId === null ? this.#frameSequence : this.ordinal
    if (positions === 'frames') return this.#frameSequence * MARK_FLAGS + this.#frameFlags
    const sequence = Number(positions.first) + 1 + this.ordinal - firstOrdinal
    return sequence * MARK_FLAGS + Math.min(positions.attempt, MARK_FLAGS) - 1
  }

  /** See {@link DeliveryBlock}. */
  get epoch(): number {
    return this.#block.epoch
  }

  get #frameSequence(): number {
    return readSequence(this.#block.bytes, this.#envelope - SEQUENCE_BEFORE_ENVELOPE)
  }

  get #frameFlags(): number {
    return this.#block.bytes[this.#envelope - FLAGS_BEFORE_ENVELOPE]
  }

  /** A plain Uint8Array, also where the bytes are a Buffer. */
  #view(offset: number, length: number): Uint8Array {
    const { memory, origin } = this.#block
    return new Uint8Array(memory, origin + offset, length)
  }
}

/** A u64 as a number; sequences stay far below 2^53. */
function readSequence(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
  const low = ((bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7]) >>> 0
  return high * 0x1_0000_0000 + low
}

/** The two parts of a logged delivery's mark: the number of its frame, and the flags. See {@link PackedDelivery.mark}. */
export function partsOfMark(mark: number): { readonly sequence: number; readonly flags: number } {
  const flags = mark % MARK_FLAGS
  return { sequence: (mark - flags) / MARK_FLAGS, flags }
}

function checkReject(options: RejectOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, ['reason', 'delayMs'])
  const { reason, delayMs } = options
  if (reason !== undefined) checkText('reason', reason)
  if (reason !== undefined && reason.length > LONGEST_REASON) {
    throw invalidArgument('reason', `at most ${LONGEST_REASON} characters`, reason)
  }
  if (delayMs !== undefined && !(Number.isSafeInteger(delayMs) && delayMs >= 0 && delayMs <= MAX_TIMEOUT_MS)) {
    throw invalidArgument('delayMs', `whole milliseconds from 0 to ${MAX_TIMEOUT_MS}`, delayMs)
  }
}
