import { LiminalError } from '../errors.ts'
import { Column, FrameType, HEAD_WIDTH, PUBLISH_HAS_KEY, ROW_WIDTH, SCHEMA_ID_BYTES } from '../protocol/index.ts'

/**
 * How a published message is stored, one event each: what its subscribers got, to the byte, and what only its receipt told them.
 *
 * | bytes | |
 * |---|---|
 * | 1 | layout, 1 |
 * | 1 | flags: 0x01 a publisher, 0x02 an idempotency key |
 * | 8 | message id, u64 |
 * | 8 | milliseconds since the epoch when it was published, u64 |
 * | 2 + n | publisher, if there is one |
 * | 4 + n | idempotency key, if there is one |
 * | rest | the envelope as delivered: schema id, causal context, payload (spec wire §3) |
 *
 * All numbers are big-endian, as on the wire.
 */
const LAYOUT = 1
const HAS_PUBLISHER = 0x01
const HAS_KEY = 0x02
const FIXED_BYTES = 18

/** What a message record says beside its envelope. */
export interface MessageHead {
  readonly messageId: bigint
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** UTF-8, at most 65,535 bytes; `null`: nobody said. */
  readonly publisher: Uint8Array | null
}

/** The same in numbers, for many messages in a row: the message id goes up by one with each. */
export interface MessageStamp {
  messageIdHigh: number
  messageIdLow: number
  readonly timestamp: number
  readonly publisher: Uint8Array | null
}

/** Bytes of the record of a message. `keyLength` is -1 without a key. */
export function messageRecordLength(publisher: Uint8Array | null, keyLength: number, envelopeLength: number): number {
  return (
    FIXED_BYTES + (publisher === null ? 0 : 2 + publisher.length) + (keyLength < 0 ? 0 : 4 + keyLength) + envelopeLength
  )
}

/**
 * Writes the record of the message of a row, with the schema id that subscribers see, counts the stamp's message id up, and returns where the record ends.
 *
 * @param row Where the row begins in `columns`, and in `targetColumns` that of the record, which is written too.
 */
export function writeMessageRecord(
  stamp: MessageStamp,
  schemaId: Uint8Array,
  source: Uint8Array,
  columns: Int32Array,
  row: number,
  target: Buffer,
  offset: number,
  targetColumns: Int32Array,
  targetRow: number,
): number {
  const { publisher, timestamp } = stamp
  const keyLength = columns[row + Column.KEY_LENGTH]
  const envelope = columns[row + Column.ENVELOPE]
  const payload = columns[row + Column.PAYLOAD]
  const payloadLength = columns[row + Column.PAYLOAD_LENGTH]
  target[offset] = LAYOUT
  target[offset + 1] = (publisher === null ? 0 : HAS_PUBLISHER) | (keyLength < 0 ? 0 : HAS_KEY)
  target.writeUInt32BE(stamp.messageIdHigh, offset + 2)
  target.writeUInt32BE(stamp.messageIdLow, offset + 6)
  target.writeUInt32BE(Math.floor(timestamp / 0x1_0000_0000), offset + 10)
  let at = target.writeUInt32BE(timestamp >>> 0, offset + 14)
  stamp.messageIdLow = (stamp.messageIdLow + 1) >>> 0
  if (stamp.messageIdLow === 0) stamp.messageIdHigh++
  if (publisher !== null) {
    at = target.writeUInt16BE(publisher.length, at)
    target.set(publisher, at)
    at += publisher.length
  }
  let key = 0
  if (keyLength >= 0) {
    key = target.writeUInt32BE(keyLength, at)
    copy(source, columns[row + Column.KEY], keyLength, target, key)
    at = key + keyLength
  }
  target.set(schemaId, at)
  const rest = payload + payloadLength - envelope - SCHEMA_ID_BYTES
  copy(source, envelope + SCHEMA_ID_BYTES, rest, target, at + SCHEMA_ID_BYTES)
  const end = at + SCHEMA_ID_BYTES + rest
  writeRow(targetColumns, targetRow, offset, end, at, payload - envelope + at, payloadLength, key, keyLength)
  return end
}

/** Whether a record has its parts, and its columns if it does: ready for delivery, as those of a Publish. @throws LiminalError `STORE_CORRUPT`. */
export function readMessageColumns(
  bytes: Buffer,
  start: number,
  end: number,
  columns: Int32Array,
  row: number,
  what: string,
): void {
  if (end - start < FIXED_BYTES || bytes[start] !== LAYOUT) throw damaged(what)
  const flags = bytes[start + 1]
  let at = start + FIXED_BYTES
  if ((flags & HAS_PUBLISHER) !== 0) at = afterField(bytes, at, 2, end, what)
  let key = 0
  let keyLength = -1
  if ((flags & HAS_KEY) !== 0) {
    const after = afterField(bytes, at, 4, end, what)
    key = at + 4
    keyLength = after - key
    at = after
  }
  const causal = at + SCHEMA_ID_BYTES
  const payload = afterField(bytes, causal, 4, end, what) + 4
  if (payload > end || payload + bytes.readUInt32BE(payload - 4) !== end) throw damaged(what)
  writeRow(columns, row, start, end, at, payload, end - payload, key, keyLength)
}

/** The head of a record that {@link readMessageColumns} found whole. */
export function readMessageHead(bytes: Buffer, start: number): MessageHead {
  const messageId = bytes.readBigUInt64BE(start + 2)
  const timestamp = bytes.readUInt32BE(start + 10) * 0x1_0000_0000 + bytes.readUInt32BE(start + 14)
  const hasPublisher = (bytes[start + 1] & HAS_PUBLISHER) !== 0
  const from = start + FIXED_BYTES + 2
  const publisher = hasPublisher ? bytes.subarray(from, from + bytes.readUInt16BE(from - 2)) : null
  return { messageId, timestamp, publisher }
}

/** Columns for so many rows, zeroed. */
export function rowsFor(count: number): Int32Array {
  return new Int32Array(HEAD_WIDTH + count * ROW_WIDTH)
}

function writeRow(
  columns: Int32Array,
  row: number,
  start: number,
  end: number,
  envelope: number,
  payload: number,
  payloadLength: number,
  key: number,
  keyLength: number,
): void {
  columns[row + Column.START] = start
  columns[row + Column.LENGTH] = end - start
  columns[row + Column.TYPE] = FrameType.Publish
  columns[row + Column.FLAGS] = keyLength < 0 ? 0 : PUBLISH_HAS_KEY
  columns[row + Column.CHANNEL] = -1
  columns[row + Column.ENVELOPE] = envelope
  columns[row + Column.PAYLOAD] = payload
  columns[row + Column.PAYLOAD_LENGTH] = payloadLength
  columns[row + Column.KEY] = key
  columns[row + Column.KEY_LENGTH] = keyLength
  columns[row + Column.RUN] = 1
}

/** Small pieces byte by byte: a call costs more than they do. */
function copy(source: Uint8Array, from: number, length: number, target: Buffer, to: number): void {
  if (length > 64) {
    target.set(source.subarray(from, from + length), to)
    return
  }
  for (let index = 0; index < length; index++) target[to + index] = source[from + index]
}

/** Where a field with a length before it ends. */
function afterField(bytes: Buffer, at: number, lengthBytes: 2 | 4, end: number, what: string): number {
  if (at + lengthBytes > end) throw damaged(what)
  const length = lengthBytes === 2 ? bytes.readUInt16BE(at) : bytes.readUInt32BE(at)
  const after = at + lengthBytes + length
  if (after > end) throw damaged(what)
  return after
}

function damaged(what: string): LiminalError {
  const message = `${what} is not the record of a message, though its checksum is right: another program wrote it. Restore the store from a copy.`
  return new LiminalError('STORE_CORRUPT', message)
}
