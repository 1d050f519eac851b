import { encodePayload, type PayloadKind } from './payload.ts'

/** A payload on its way: JSON as text that becomes UTF-8 only where it is written, or bytes. */
export type Encoded = string | Uint8Array

/** From this length on, text is measured exactly instead of reserving three bytes for every UTF-16 unit. */
const MEASURED_FROM = 4_096

/** @throws LiminalError `PAYLOAD_INVALID`. */
export function encodeValue(value: unknown, kind: PayloadKind): Encoded {
  if (kind === 'bytes') return encodePayload(value, kind)
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    // What has no JSON form is explained below, by the same code for every kind of bus.
  }
  return text ?? encodePayload(value, kind)
}

/** Bytes that the payload takes at most; exact for bytes and for long text. */
export function lengthBound(payload: Encoded): number {
  if (typeof payload !== 'string') return payload.length
  return payload.length < MEASURED_FROM ? payload.length * 3 : Buffer.byteLength(payload)
}

/** Bytes that the payload takes. */
export function exactLength(payload: Encoded): number {
  return typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
}

/** The payload as bytes. */
export function toBytes(payload: Encoded): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}

/** The payload as it is now: bytes that stay the caller's are copied before they wait anywhere. */
export function keep(payload: Encoded): Encoded {
  if (typeof payload === 'string') return payload
  // From Node's pool, as far as it is small: memory of its own costs a microsecond, and the collector as much again.
  const copy = Buffer.allocUnsafe(payload.length)
  copy.set(payload)
  return copy
}

const encoder = new TextEncoder()

/** Writes text as UTF-8 at `offset` and returns the bytes written. There must be room for it. */
export function writeText(target: Uint8Array, text: string, offset: number): number {
  // Twice as fast as TextEncoder for short text, and it needs no view of the target.
  if (Buffer.isBuffer(target)) return target.write(text, offset)
  return encoder.encodeInto(text, target.subarray(offset)).written
}
