import { checkCausal, checkText } from '../arguments.ts'
import {
  type CausalContext,
  Column,
  FrameType,
  HEAD_WIDTH,
  PUBLISH_HAS_KEY,
  ROW_WIDTH,
  SCHEMA_ID_BYTES,
} from '../protocol/index.ts'
import type { MessageRun } from './run.ts'

/** Columns of a run of one row. */
const COLUMNS = HEAD_WIDTH + ROW_WIDTH
/** Runs whose columns share one block: a small typed array of its own costs ten times a view. */
const RUNS_PER_BLOCK = 256
/** The envelope is laid out as a field (spec wire §3, env-field): its length comes before it. */
const ENVELOPE = 4

let block = new Int32Array(COLUMNS * RUNS_PER_BLOCK)
let used = 0

/**
 * A run of one message, ready for `ChannelCore.publishRun`. Its schema id is left zero: a channel delivers its own.
 *
 * @param causal What caused the message; `null` says nothing.
 * @param key The idempotency key; `null` where there is none.
 * @throws LiminalError `INVALID_ARGUMENT` for text that has no UTF-8 form or a vector clock entry that is no u64.
 */
export function oneMessageRun(payload: Uint8Array, causal: CausalContext | null, key: string | null): MessageRun {
  const parentId = causal?.parentId ?? null
  const clock = causal?.vectorClockEntry ?? null
  if (causal !== null) checkCausal('causal', causal)
  if (key !== null) checkText('idempotencyKey', key)
  const parentLength = parentId === null ? 0 : Buffer.byteLength(parentId)
  const keyLength = key === null ? 0 : Buffer.byteLength(key)
  const causalLength = 2 + (parentId === null ? 0 : 4 + parentLength) + (clock === null ? 0 : 8)
  const payloadAt = ENVELOPE + SCHEMA_ID_BYTES + 4 + causalLength + 4
  const keyAt = payloadAt + payload.length
  const bytes = Buffer.allocUnsafe(keyAt + keyLength)

  bytes.fill(0, 0, ENVELOPE + SCHEMA_ID_BYTES)
  bytes.writeUInt32BE(keyAt - ENVELOPE, 0)
  let at = bytes.writeUInt32BE(causalLength, ENVELOPE + SCHEMA_ID_BYTES)
  at = bytes.writeUInt8(parentId === null ? 0 : 1, at)
  if (parentId !== null) {
    at = bytes.writeUInt32BE(parentLength, at)
    at += bytes.write(parentId, at)
  }
  at = bytes.writeUInt8(clock === null ? 0 : 1, at)
  if (clock !== null) at = bytes.writeBigUInt64BE(clock, at)
  bytes.writeUInt32BE(payload.length, at)
  bytes.set(payload, payloadAt)
  if (key !== null) bytes.write(key, keyAt)
  return singleRow(bytes, ENVELOPE, payloadAt, payload.length, key === null ? -1 : keyLength)
}

/** The message of a row with another payload, as a run of its own in fresh memory. */
export function withPayload(run: MessageRun, row: number, payload: Uint8Array): MessageRun {
  const { bytes: source, columns } = run
  const from = columns[row + Column.ENVELOPE]
  const headLength = columns[row + Column.PAYLOAD] - 4 - from
  const keyFrom = columns[row + Column.KEY]
  const keyLength = columns[row + Column.KEY_LENGTH]
  const payloadAt = ENVELOPE + headLength + 4
  const keyAt = payloadAt + payload.length
  const bytes = Buffer.allocUnsafe(keyAt + Math.max(0, keyLength))
  bytes.writeUInt32BE(keyAt - ENVELOPE, 0)
  bytes.set(source.subarray(from, from + headLength), ENVELOPE)
  bytes.writeUInt32BE(payload.length, payloadAt - 4)
  bytes.set(payload, payloadAt)
  if (keyLength > 0) bytes.set(source.subarray(keyFrom, keyFrom + keyLength), keyAt)
  return singleRow(bytes, ENVELOPE, payloadAt, payload.length, keyLength)
}

/** Where a row begins in the columns. */
export function rowOffset(index: number): number {
  return HEAD_WIDTH + index * ROW_WIDTH
}

function singleRow(
  bytes: Uint8Array,
  envelope: number,
  payload: number,
  payloadLength: number,
  keyLength: number,
): MessageRun {
  if (used === RUNS_PER_BLOCK) {
    block = new Int32Array(COLUMNS * RUNS_PER_BLOCK)
    used = 0
  }
  const columns = block.subarray(used * COLUMNS, (used + 1) * COLUMNS)
  used++
  columns[0] = 1
  columns[1] = bytes.length
  columns[HEAD_WIDTH + Column.LENGTH] = bytes.length
  columns[HEAD_WIDTH + Column.TYPE] = FrameType.Publish
  columns[HEAD_WIDTH + Column.FLAGS] = keyLength < 0 ? 0 : PUBLISH_HAS_KEY
  columns[HEAD_WIDTH + Column.CHANNEL] = -1
  columns[HEAD_WIDTH + Column.ENVELOPE] = envelope
  columns[HEAD_WIDTH + Column.PAYLOAD] = payload
  columns[HEAD_WIDTH + Column.PAYLOAD_LENGTH] = payloadLength
  columns[HEAD_WIDTH + Column.KEY] = keyLength < 0 ? 0 : payload + payloadLength
  columns[HEAD_WIDTH + Column.KEY_LENGTH] = keyLength
  columns[HEAD_WIDTH + Column.RUN] = 1
  return { bytes, columns, first: 0, count: 1 }
}
