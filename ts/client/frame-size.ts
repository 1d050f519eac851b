import { LiminalError } from '../errors.ts'
import { type Encoded, exactLength, lengthBound } from '../payload-text.ts'
import { HEADER_BYTES, SCHEMA_ID_BYTES } from '../protocol/index.ts'

/** Header, and the lengths of channel, envelope, causal context and payload with what is fixed between them (spec wire §4). */
const FIXED_BYTES = HEADER_BYTES + 4 + 4 + SCHEMA_ID_BYTES + 4 + 2 + 4

/** Bytes of a channel's Publish frame with neither payload, key nor causal context. */
export function emptyPublishBytes(channel: string): number {
  return FIXED_BYTES + Buffer.byteLength(channel)
}

/**
 * The bytes that a frame takes at most: `others` and those of the payload. Exact but for short text, which may be shorter.
 *
 * @throws LiminalError `PAYLOAD_TOO_LARGE` if the frame is over the cap.
 */
export function checkFrame(what: string, others: number, payload: Encoded, frameBytes: number): number {
  const bound = others + lengthBound(payload)
  if (bound <= frameBytes) return bound
  const total = others + exactLength(payload)
  if (total <= frameBytes) return total
  throw new LiminalError(
    'PAYLOAD_TOO_LARGE',
    `${what} needs a frame of ${total} bytes, more than the ${frameBytes} of the option frameBytes. Split the payload, or raise the limit on both sides.`,
  )
}

/** Bytes of an idempotency key. */
export function keyBytes(key: string | null): number {
  return key === null ? 0 : 4 + Buffer.byteLength(key)
}
