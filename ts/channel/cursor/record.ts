import { LiminalError } from '../../errors.ts'

/** Consecutive positions that have the same fate. */
export interface RecordedSpan {
  /** Positions, at least 1. */
  readonly count: number
  /** How often they were handed out, at least 1; 0 says that they are accepted. */
  readonly attempts: number
}

/** What a store keeps of a cursor: one value. */
export interface CursorRecord {
  /** Raised by each acquisition, and never lowered. */
  readonly epoch: number
  /** Whether a subscription owns it. One that is found in a store says that its owner did not leave in order: the bus ended without it. */
  readonly owned: boolean
  /** The first position that was not accepted. */
  readonly watermark: number
  /** What is known of the positions from the watermark on, without gaps. What comes after them was not handed out, as far as is known. */
  readonly spans: readonly RecordedSpan[]
}

/**
 * Bytes of an encoded record at most, well below what a store takes for a value. Spans that do not fit are left out from the end, which costs a redelivery of what was accepted there;
 * a tracker hands out no more long before that (see MOST_SPANS).
 */
export const RECORD_BYTES = 60 * 1024

const VERSION = 1
const OWNED = 1
/** Version, flags, epoch, watermark. */
const HEAD_BYTES = 1 + 1 + 8 + 8
/** Most bytes of one number: 53 bits, seven to a byte. */
const NUMBER_BYTES = 8

/** Encodes a record: version, flags, epoch (u64), watermark (u64), then for each span its count (doubled, odd if accepted) and its attempts unless accepted, seven bits to a byte. */
export function encodeRecord(record: CursorRecord): Uint8Array {
  const bytes = Buffer.alloc(Math.min(RECORD_BYTES, HEAD_BYTES + record.spans.length * 2 * NUMBER_BYTES))
  bytes.writeUInt8(VERSION, 0)
  bytes.writeUInt8(record.owned ? OWNED : 0, 1)
  bytes.writeBigUInt64BE(BigInt(record.epoch), 2)
  bytes.writeBigUInt64BE(BigInt(record.watermark), 10)
  let at = HEAD_BYTES
  for (const { count, attempts } of record.spans) {
    if (at + 2 * NUMBER_BYTES > bytes.length) break
    at = writeNumber(bytes, at, count * 2 + (attempts === 0 ? 1 : 0))
    if (attempts > 0) at = writeNumber(bytes, at, attempts)
  }
  return new Uint8Array(bytes.subarray(0, at))
}

/**
 * Decodes a record.
 *
 * @param cursor named by the error.
 * @throws LiminalError `STORE_CORRUPT` for bytes that are no record; `NOT_SUPPORTED` for one of a later version.
 */
export function decodeRecord(value: Uint8Array, cursor: string): CursorRecord {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (bytes.length > 0 && bytes[0] > VERSION) {
    const text = `${cursor} was written by a later version of liminal-bus (format ${bytes[0]}). Use that one, or set the cursor anew.`
    throw new LiminalError('NOT_SUPPORTED', text)
  }
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION || bytes[1] > OWNED) throw corrupt(cursor)
  const spans: RecordedSpan[] = []
  const reader = { bytes, at: HEAD_BYTES, cursor }
  const watermark = safe(bytes.readBigUInt64BE(10), cursor)
  let end = watermark
  while (reader.at < bytes.length) {
    const head = readNumber(reader)
    const count = Math.floor(head / 2)
    const attempts = head % 2 === 1 ? 0 : readNumber(reader)
    end += count
    if (count === 0 || end > Number.MAX_SAFE_INTEGER || (head % 2 === 0 && attempts === 0)) throw corrupt(cursor)
    spans.push({ count, attempts })
  }
  return { epoch: safe(bytes.readBigUInt64BE(2), cursor), owned: bytes[1] === OWNED, watermark, spans }
}

function writeNumber(bytes: Uint8Array, from: number, value: number): number {
  let at = from
  let rest = value
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[at++] = rest
  return at
}

function readNumber(reader: { readonly bytes: Uint8Array; at: number; readonly cursor: string }): number {
  let value = 0
  let scale = 1
  for (let length = 0; length < NUMBER_BYTES && reader.at < reader.bytes.length; length++) {
    const byte = reader.bytes[reader.at++]
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) break
      return value
    }
    scale *= 0x80
  }
  throw corrupt(reader.cursor)
}

function safe(value: bigint, cursor: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(cursor)
  return Number(value)
}

function corrupt(cursor: string): LiminalError {
  return new LiminalError(
    'STORE_CORRUPT',
    `What the store keeps of ${cursor} is damaged. Set the cursor to a position, or remove it.`,
  )
}
