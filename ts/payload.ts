import { describe } from './arguments.ts'
import { LiminalError } from './errors.ts'
import { textOf } from './thrown.ts'

/** How values are put on the wire: JSON text, or bytes left untouched. */
export type PayloadKind = 'json' | 'bytes'

// A byte order mark is content, not decoration: JSON.parse refuses it below.
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The bytes of a value. `'json'`: what `JSON.stringify` writes, as UTF-8. `'bytes'`: the value itself, which must be a `Uint8Array`.
 *
 * @throws LiminalError `PAYLOAD_INVALID` for a value that has no such form: `undefined`, functions, symbols, bigint, cycles, too deep a nesting, and views
 * whose buffer was transferred or has shrunk.
 */
export function encodePayload(value: unknown, kind: PayloadKind): Uint8Array {
  if (kind === 'bytes') {
    if (value instanceof Uint8Array) {
      if (value.length === 0) checkInPlace(value)
      return value
    }
    throw new LiminalError(
      'PAYLOAD_INVALID',
      `A payload of kind 'bytes' must be a Uint8Array, but is ${describe(value)}.`,
    )
  }
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new LiminalError('PAYLOAD_INVALID', `The payload ${describe(value)} has no JSON form: ${textOf(error)}`, {
      cause: error,
    })
  }
  if (text === undefined) {
    throw new LiminalError(
      'PAYLOAD_INVALID',
      `The payload ${describe(value)} has no JSON form. Use null for "nothing".`,
    )
  }
  return Buffer.from(text)
}

/**
 * The value of payload bytes. `'json'`: strict UTF-8, one JSON text and nothing else. `'bytes'`: the bytes themselves.
 *
 * @throws LiminalError `PAYLOAD_INVALID` if it is not JSON.
 */
export function decodePayload(bytes: Uint8Array, kind: PayloadKind): unknown {
  if (kind === 'bytes') return bytes
  try {
    return JSON.parse(strictUtf8.decode(bytes))
  } catch (error) {
    throw new LiminalError('PAYLOAD_INVALID', `The payload of ${bytes.length} bytes is not JSON: ${textOf(error)}`, {
      cause: error,
    })
  }
}

/** Small copies share memory: one of its own costs ten times as much to make. */
const POOLED_BYTES = 4_096

/** A copy of bytes that keeps nothing else alive than, at most, 8 KiB that small copies share. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.length > POOLED_BYTES) return new Uint8Array(bytes)
  const pooled = Buffer.allocUnsafe(bytes.length)
  pooled.set(bytes)
  return new Uint8Array(pooled.buffer, pooled.byteOffset, pooled.length)
}

/** The error of a message over the cap of its bus. @param bytes of its envelope. */
export function tooLarge(bytes: number, most: number): LiminalError {
  const message = `The message takes ${bytes} bytes, but ${most} are allowed. Send it in parts, or raise maxMessageBytes.`
  return new LiminalError('PAYLOAD_TOO_LARGE', message)
}

/** A view that has lost its memory looks empty; only the language's own check tells it from one that is. */
function checkInPlace(view: Uint8Array): void {
  try {
    Uint8Array.prototype.at.call(view, 0)
  } catch (error) {
    throw new LiminalError(
      'PAYLOAD_INVALID',
      'The payload is a view of an ArrayBuffer that was transferred, or has shrunk since. Copy the bytes before giving their buffer away.',
      { cause: error },
    )
  }
}
