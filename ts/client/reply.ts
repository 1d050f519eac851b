import type { FrameBatch } from '../codec/index.ts'
import { decodePayload, type PayloadKind } from '../payload.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'

/** The payload of a ConversationMessage row, not copied. */
export function payloadOf(batch: FrameBatch, row: number): Uint8Array {
  const at = HEAD_WIDTH + row * ROW_WIDTH
  const start = batch.columns[at + Column.PAYLOAD]
  return batch.bytes.subarray(start, start + batch.columns[at + Column.PAYLOAD_LENGTH])
}

/** The value of a reply. Bytes are copied: a small reply must not keep the whole chunk alive. @throws LiminalError `PAYLOAD_INVALID`. */
export function readReply(batch: FrameBatch, row: number, kind: PayloadKind): unknown {
  const payload = payloadOf(batch, row)
  return decodePayload(kind === 'bytes' ? new Uint8Array(payload) : payload, kind)
}
