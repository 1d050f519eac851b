import { SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { codecError } from './failure.ts'
import { U64_MAX } from './integers.ts'
import { textLength } from './text.ts'

/**
 * Checks the values of a frame that is to be encoded and counts their bytes. Each function returns what the value takes on the wire
 * and throws `CodecError`, naming frame and field, for a value that has no encoding.
 */

export function measureU8(type: string, field: string, value: number): number {
  if ((value & 0xff) !== value) throw outOfRange(type, field, value, 'an integer from 0 to 255')
  return 1
}

export function measureU16(type: string, field: string, value: number): number {
  if ((value & 0xffff) !== value) throw outOfRange(type, field, value, 'an integer from 0 to 65535')
  return 2
}

export function measureU32(type: string, field: string, value: number): number {
  if (value >>> 0 !== value) throw outOfRange(type, field, value, 'an integer from 0 to 4294967295')
  return 4
}

export function measureU64(type: string, field: string, value: bigint): number {
  if (typeof value !== 'bigint' || value < 0n || value > U64_MAX) {
    throw outOfRange(type, field, value, 'a bigint from 0 to 2^64 - 1')
  }
  return 8
}

/** u32 length and UTF-8. */
export function measureText(type: string, field: string, value: string): number {
  if (typeof value !== 'string') throw outOfRange(type, field, value, 'a string')
  const length = textLength(value)
  if (length < 0) throw codecError(`${type}.${field}: the text has a lone surrogate, which has no UTF-8 form`)
  return 4 + length
}

/** Presence byte and, if present, the text. */
export function measureOptionalText(type: string, field: string, value: string | null): number {
  return value === null ? 1 : 1 + measureText(type, field, value)
}

export function measureTexts(type: string, field: string, values: readonly string[]): number {
  let length = 4
  for (const value of values) length += measureText(type, field, value)
  return length
}

/** u32 length and bytes. */
export function measureBlock(type: string, field: string, value: Uint8Array): number {
  if (!(value instanceof Uint8Array)) throw outOfRange(type, field, value, 'a Uint8Array')
  return 4 + value.length
}

export function measureSchemaId(type: string, field: string, value: Uint8Array): number {
  if (!(value instanceof Uint8Array) || value.length !== SCHEMA_ID_BYTES) {
    const size = value instanceof Uint8Array ? `${value.length} bytes` : String(value)
    throw codecError(`${type}.${field}: a schema id is a Uint8Array of exactly ${SCHEMA_ID_BYTES} bytes, not ${size}`)
  }
  return SCHEMA_ID_BYTES
}

function outOfRange(type: string, field: string, value: unknown, expected: string): Error {
  return codecError(`${type}.${field}: ${String(value)} is not ${expected}`)
}
