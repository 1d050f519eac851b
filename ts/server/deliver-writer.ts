import type { FrameRows } from '../codec/index.ts'
import { Column, HEAD_WIDTH, HEADER_BYTES, ROW_WIDTH } from '../protocol/index.ts'
import type { SessionContext } from './context.ts'

/** Encoded at most at once, so that a run of any size goes into pooled blocks: what a block of an outbox takes. */
const PART_BYTES = 64 * 1024
/**
 * A payload of so many bytes is sent from where it lies in the received bytes, if those are mostly the payload: it keeps all of their memory alive, and that has to stay below
 * twice what is counted for it. Beside a payload in the memory of its frame there may be a key of any length.
 */
const ATTACHED_BYTES = 32 * 1024

/** Writes runs as the Deliver frames of one stream. */
export class DeliverWriter {
  readonly #context: SessionContext
  readonly #streamId: number

  constructor(context: SessionContext, streamId: number) {
    this.#context = context
    this.#streamId = streamId
  }

  /** Bytes of the frames of some rows. */
  length(rows: FrameRows, first: number, count: number): number {
    return this.#context.options.codec.deliverRunLength(rows, first, count)
  }

  /** Whether a Deliver of these rows is larger than frames may be: it has more of a head than its Publish, and a schema fills defaults in. */
  hasOversized(rows: FrameRows, first: number, count: number, length: number): boolean {
    const { codec, limits } = this.#context.options
    if (length <= limits.frameBytes) return false
    for (let row = first; row < first + count; row++) {
      if (codec.deliverRunLength(rows, row, 1) > limits.frameBytes) return true
    }
    return false
  }

  /** Encodes rows into memory that has room for them, numbered from `sequence` on. */
  encode(
    rows: FrameRows,
    first: number,
    count: number,
    sequence: bigint,
    schemaId: Uint8Array,
    into: Uint8Array,
    offset: number,
  ): void {
    const { codec } = this.#context.options
    codec.encodeDeliverRun(rows, first, count, this.#streamId, sequence, schemaId, into, offset)
  }

  /**
   * Writes rows into the outbox, numbered from `sequence` on.
   * @param length of their frames together, as {@link length} says.
   * @param flags of each frame.
   */
  write(
    rows: FrameRows,
    first: number,
    count: number,
    length: number,
    sequence: bigint,
    flags: number,
    schemaId: Uint8Array,
  ): void {
    if (length > PART_BYTES && count > 1) {
      const half = count >>> 1
      const halfBytes = this.length(rows, first, half)
      this.write(rows, first, half, halfBytes, sequence, flags, schemaId)
      this.write(rows, first + half, count - half, length - halfBytes, sequence + BigInt(half), flags, schemaId)
      return
    }
    const { codec } = this.#context.options
    const { outbox } = this.#context.output
    if (count === 1 && length > ATTACHED_BYTES) {
      const payload = payloadOf(rows, first)
      if (payload.length >= ATTACHED_BYTES && 2 * payload.length >= payload.buffer.byteLength) {
        const offset = outbox.reserve(length - payload.length)
        const { block } = outbox
        const head = codec.encodeDeliverHead(rows, first, this.#streamId, sequence, schemaId, block, offset)
        block[offset + FLAGS_OFFSET] = flags
        outbox.commit(head)
        outbox.attach(payload)
        return
      }
    }
    const offset = outbox.reserve(length)
    const { block } = outbox
    this.encode(rows, first, count, sequence, schemaId, block, offset)
    if (flags !== 0) setFlags(block, offset, offset + length, flags)
    outbox.commit(length)
  }
}

/** Where the flags of a frame are, from its start. */
const FLAGS_OFFSET = 1

/** Sets the flags of the frames between two offsets: the run encoders write none. */
function setFlags(bytes: Uint8Array, from: number, to: number, flags: number): void {
  for (let at = from; at < to; ) {
    bytes[at + FLAGS_OFFSET] = flags
    const payload = ((bytes[at + 6] << 24) | (bytes[at + 7] << 16) | (bytes[at + 8] << 8) | bytes[at + 9]) >>> 0
    at += HEADER_BYTES + payload
  }
}

function payloadOf({ bytes, columns }: FrameRows, row: number): Uint8Array {
  const at = columns[HEAD_WIDTH + row * ROW_WIDTH + Column.PAYLOAD]
  return bytes.subarray(at, at + columns[HEAD_WIDTH + row * ROW_WIDTH + Column.PAYLOAD_LENGTH])
}
