import { isUtf8 } from 'node:buffer'
import { LiminalError } from '../errors.ts'
import { usageError } from './failure.ts'

/** What the values on a command line are: JSON, text that becomes a JSON string, or hex. */
export type ValueKind = 'json' | 'text' | 'bytes'

/**
 * The payload of a value on the command line. JSON is passed on as it was typed.
 *
 * @throws LiminalError `INVALID_ARGUMENT`.
 */
export function payloadOf(value: string, kind: ValueKind): Uint8Array {
  switch (kind) {
    case 'text':
      return Buffer.from(JSON.stringify(value))
    case 'bytes':
      if (value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) {
        throw usageError(`${JSON.stringify(value)} is not hex; --bytes takes pairs of hex digits`)
      }
      return Buffer.from(value, 'hex')
    case 'json':
      try {
        JSON.parse(value)
      } catch (error) {
        throw usageError(
          `${JSON.stringify(value)} is not JSON; quote it for the shell, or give --text for plain text`,
          {
            cause: error,
          },
        )
      }
      return Buffer.from(value)
  }
}

/**
 * Checks that bytes are JSON text and returns the value.
 *
 * @throws LiminalError `PAYLOAD_INVALID`.
 */
export function parseJsonBytes(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) throw new LiminalError('PAYLOAD_INVALID', 'the payload is not UTF-8, so it is not JSON')
  try {
    return JSON.parse(textOf(bytes))
  } catch (error) {
    throw new LiminalError(
      'PAYLOAD_INVALID',
      `the payload is not JSON: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    )
  }
}

/** Bytes as text, without a copy of the bytes. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** A payload for a JSON document of ours: the value where it is JSON, otherwise its bytes as hex. */
export function describedPayload(bytes: Uint8Array): { readonly value: unknown } | { readonly bytes: string } {
  try {
    return { value: parseJsonBytes(bytes) }
  } catch (error) {
    if (!(error instanceof LiminalError)) throw error
    return { bytes: hexOf(bytes) }
  }
}

/** A payload for people: its text where it has one that a terminal can show, otherwise hex. */
export function readablePayload(bytes: Uint8Array): string {
  if (isUtf8(bytes)) {
    const text = textOf(bytes)
    // Control characters of a stranger must not reach the terminal; JSON text has none but white space.
    if (!CONTROL.test(text)) return text
  }
  return `<${bytes.length} bytes: ${hexOf(bytes)}>`
}

// Tab, newline and carriage return are harmless.
const CONTROL = /[^\P{Cc}\t\n\r]/u

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
