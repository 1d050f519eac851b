import { LiminalError } from '../errors.ts'
import {
  Column,
  DELIVER_HEAD_BYTES,
  FrameType,
  HEAD_WIDTH,
  PUBLISH_ACK_BYTES,
  ROW_WIDTH,
  SCHEMA_ID_BYTES,
} from '../protocol/index.ts'
import type { FrameRows } from './codec.ts'
import { highHalf, lowHalf, U64_MAX, writeU32 } from './integers.ts'
import { copyBytes } from './text.ts'

/** The run encoders (design §6): many frames of one kind into an outbox, one call. */

/** See Codec.deliverRunLength. */
export function deliverRunLength(rows: FrameRows, first: number, count: number): number {
  checkRows(rows, first, count)
  const { columns } = rows
  let length = count * DELIVER_HEAD_BYTES
  let row = HEAD_WIDTH + first * ROW_WIDTH
  for (let left = count; left > 0; left--, row += ROW_WIDTH) {
    const envelope = columns[row + Column.ENVELOPE]
    const end = columns[row + Column.PAYLOAD] + columns[row + Column.PAYLOAD_LENGTH]
    if (envelope === 0 || end > rows.bytes.length) throw withoutEnvelope(columns[row + Column.TYPE])
    length += end - envelope
  }
  return length
}

/** See Codec.encodeDeliverRun. */
export function encodeDeliverRun(
  rows: FrameRows,
  first: number,
  count: number,
  streamId: number,
  firstSequence: bigint,
  schemaId: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  const length = checkDeliverRun(rows, first, count, streamId, firstSequence, schemaId, target, offset)
  const { bytes, columns } = rows
  let high = highHalf(firstSequence)
  let low = lowHalf(firstSequence)
  let row = HEAD_WIDTH + first * ROW_WIDTH
  let at = offset
  for (let left = count; left > 0; left--, row += ROW_WIDTH) {
    const envelope = columns[row + Column.ENVELOPE]
    const end = columns[row + Column.PAYLOAD] + columns[row + Column.PAYLOAD_LENGTH]
    const body = writeDeliverHead(target, at, streamId, high, low, end - envelope, schemaId)
    copyBytes(bytes, envelope + SCHEMA_ID_BYTES, end, target, body)
    at = body + end - envelope - SCHEMA_ID_BYTES
    low = (low + 1) >>> 0
    if (low === 0) high++
  }
  return length
}

/** See Codec.encodeDeliverHead. */
export function encodeDeliverHead(
  rows: FrameRows,
  row: number,
  streamId: number,
  sequence: bigint,
  schemaId: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  const frameLength = deliverRunLength(rows, row, 1)
  const at = HEAD_WIDTH + row * ROW_WIDTH
  const envelope = rows.columns[at + Column.ENVELOPE]
  const payload = rows.columns[at + Column.PAYLOAD]
  const envelopeLength = frameLength - DELIVER_HEAD_BYTES
  const headLength = DELIVER_HEAD_BYTES + payload - envelope
  checkDeliver(streamId, sequence, 1, schemaId)
  checkTarget(rows, schemaId, headLength, target, offset)
  const high = highHalf(sequence)
  const body = writeDeliverHead(target, offset, streamId, high, lowHalf(sequence), envelopeLength, schemaId)
  copyBytes(rows.bytes, envelope + SCHEMA_ID_BYTES, payload, target, body)
  return headLength
}

/** Writes a Deliver frame up to and including the schema id, and returns where the rest of the envelope goes. */
function writeDeliverHead(
  target: Uint8Array,
  at: number,
  streamId: number,
  sequenceHigh: number,
  sequenceLow: number,
  envelopeLength: number,
  schemaId: Uint8Array,
): number {
  target[at] = FrameType.Deliver
  target[at + 1] = 0
  writeU32(target, at + 2, streamId)
  writeU32(target, at + 6, 12 + envelopeLength)
  writeU32(target, at + 10, sequenceHigh)
  writeU32(target, at + 14, sequenceLow)
  writeU32(target, at + 18, envelopeLength)
  const body = at + DELIVER_HEAD_BYTES
  for (let index = 0; index < SCHEMA_ID_BYTES; index++) target[body + index] = schemaId[index]
  return body + SCHEMA_ID_BYTES
}

/** See Codec.encodePublishAckRun. */
export function encodePublishAckRun(
  streamId: number,
  flags: number,
  firstMessageId: bigint,
  count: number,
  target: Uint8Array,
  offset: number,
): number {
  const length = checkPublishAckRun(streamId, flags, firstMessageId, count, target, offset)
  let high = highHalf(firstMessageId)
  let low = lowHalf(firstMessageId)
  for (let at = offset, end = offset + length; at < end; at += PUBLISH_ACK_BYTES) {
    target[at] = FrameType.PublishAck
    target[at + 1] = flags
    writeU32(target, at + 2, streamId)
    writeU32(target, at + 6, 8)
    writeU32(target, at + 10, high)
    writeU32(target, at + 14, low)
    low = (low + 1) >>> 0
    if (low === 0) high++
  }
  return length
}

/** Checks the arguments of a Deliver run and returns the bytes it takes. */
export function checkDeliverRun(
  rows: FrameRows,
  first: number,
  count: number,
  streamId: number,
  firstSequence: bigint,
  schemaId: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  const length = deliverRunLength(rows, first, count)
  checkDeliver(streamId, firstSequence, count, schemaId)
  checkTarget(rows, schemaId, length, target, offset)
  return length
}

/** Checks the arguments of a PublishAck run and returns the bytes it takes. */
export function checkPublishAckRun(
  streamId: number,
  flags: number,
  firstMessageId: bigint,
  count: number,
  target: Uint8Array,
  offset: number,
): number {
  if (count >>> 0 !== count) throw new LiminalError('INVALID_ARGUMENT', `count ${count} is not a u32`)
  checkStream(streamId)
  if ((flags & 0xff) !== flags) throw new LiminalError('INVALID_ARGUMENT', `flags ${flags} is not a u8`)
  checkIds('firstMessageId', firstMessageId, count)
  const length = count * PUBLISH_ACK_BYTES
  checkRoom(length, target, offset)
  return length
}

function checkDeliver(streamId: number, firstSequence: bigint, count: number, schemaId: Uint8Array): void {
  checkStream(streamId)
  checkIds('firstSequence', firstSequence, count)
  if (schemaId.length !== SCHEMA_ID_BYTES) {
    throw new LiminalError('INVALID_ARGUMENT', `A schema id has ${SCHEMA_ID_BYTES} bytes, not ${schemaId.length}`)
  }
}

function checkTarget(rows: FrameRows, schemaId: Uint8Array, length: number, target: Uint8Array, offset: number): void {
  checkRoom(length, target, offset)
  if (overlap(target, rows.bytes) || overlap(target, rows.columns) || overlap(target, schemaId)) {
    throw new LiminalError('INVALID_ARGUMENT', 'The target of a run must not overlap what it is made from')
  }
}

function checkRows(rows: FrameRows, first: number, count: number): void {
  if (first >>> 0 !== first || count >>> 0 !== count || first + count > rows.count) {
    throw new LiminalError(
      'INVALID_ARGUMENT',
      `Rows ${first} to ${first + count} are not within the ${rows.count} given`,
    )
  }
}

function checkStream(streamId: number): void {
  if (streamId >>> 0 !== streamId || streamId === 0) {
    throw new LiminalError('INVALID_ARGUMENT', `Stream ${streamId} is not a u32 of at least 1`)
  }
}

function checkIds(name: string, first: bigint, count: number): void {
  if (first < 0n || first > U64_MAX - BigInt(Math.max(0, count - 1))) {
    throw new LiminalError('INVALID_ARGUMENT', `${name}: ${count} ids from ${first} do not fit a u64`)
  }
}

function checkRoom(length: number, target: Uint8Array, offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || length > target.length - offset) {
    const given = `the target has ${target.length} bytes and starts at ${offset}`
    throw new LiminalError('INVALID_ARGUMENT', `The run takes ${length} bytes; ${given}. Ask for the length first`)
  }
}

function overlap(left: ArrayBufferView, right: ArrayBufferView): boolean {
  if (left.buffer !== right.buffer) return false
  const leftEnd = left.byteOffset + left.byteLength
  const rightEnd = right.byteOffset + right.byteLength
  return left.byteOffset < rightEnd && right.byteOffset < leftEnd
}

function withoutEnvelope(typeId: number): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', `A row of frame type ${typeId} has no envelope to deliver`)
}
