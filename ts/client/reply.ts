import type { FrameBatch } from '../codec/index.ts'
import { decodePayload, ownBytes, type PayloadKind } from '../payload.ts'

/** The value of a reply. Bytes are copied: a small reply must not keep the whole chunk alive. @throws LiminalError `PAYLOAD_INVALID`. */
export function readReply(batch: FrameBatch, row: number, kind: PayloadKind): unknown {
  const payload = batch.payload(row)
  return kind === 'bytes' ? ownBytes(payload) : decodePayload(payload, kind)
}
