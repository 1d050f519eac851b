import { describe, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import type { StoreKey, StoreKind } from './event-store.ts'

/** Most parts of a key. */
export const MAX_KEY_PARTS = 4

/** Most bytes of all parts of a key together, as UTF-8. */
export const MAX_KEY_BYTES = 1024

/** In the order in which `keys` lists them. The byte of a kind is its place here, from 1: only ever append. */
const KINDS: readonly StoreKind[] = ['channel', 'claims', 'cursor', 'conversation', 'snapshot', 'meta']

/** Ends each part. Less than every byte of a part: `a` is listed before `ab`, and `['a']` before `['a', 'b']`. */
const PART_END = 4

/** What is added to every byte of a part. UTF-8 has no byte above 0xf4, so that 0 to 7 are free for what is no text. */
const SHIFT = 8

/**
 * The bytes of a key: its kind, then each part, each byte of it 8 higher, with a 4 behind it. No two keys share their bytes, whatever text is in them (spec durability §13), bytes
 * compare as keys do, and the bytes of `parts` are a prefix of those of all keys that begin with `parts`, and of no others. Bytes 0 to 3 never follow: they are the store's, to
 * put something behind a key.
 *
 * @throws LiminalError `INVALID_ARGUMENT`
 */
export function encodeStoreKey(key: StoreKey): Uint8Array {
  if (typeof key !== 'object' || key === null) throw invalidArgument('key', 'a store key: { kind, parts }', key)
  const { kind, parts } = key
  if (!Array.isArray(parts) || parts.length < 1) throw invalidArgument('key.parts', '1 to 4 strings', parts)
  return encodeKeyPrefix(kind, parts)
}

/**
 * The bytes with which all keys begin that have this kind and begin with these parts; none: all of the kind.
 *
 * @throws LiminalError `INVALID_ARGUMENT`
 */
export function encodeKeyPrefix(kind: StoreKind, parts: readonly string[]): Uint8Array {
  const kindByte = KINDS.indexOf(kind) + 1
  if (kindByte === 0) throw invalidArgument('kind', KINDS.map((known) => `'${known}'`).join(' or '), kind)
  if (!Array.isArray(parts) || parts.length > MAX_KEY_PARTS) throw invalidArgument('parts', '0 to 4 strings', parts)
  let length = 1
  for (const part of parts) {
    if (typeof part !== 'string' || !part.isWellFormed()) {
      throw invalidArgument('parts', 'strings without lone surrogates', parts)
    }
    length += Buffer.byteLength(part) + 1
  }
  if (length - 1 - parts.length > MAX_KEY_BYTES) {
    const message = `A store key has at most ${MAX_KEY_BYTES} UTF-8 bytes in its parts, but these have ${length - 1 - parts.length}: ${describe(parts)}.`
    throw new LiminalError('INVALID_ARGUMENT', message)
  }
  const bytes = Buffer.allocUnsafe(length)
  bytes[0] = kindByte
  let at = 1
  for (const part of parts) {
    const end = at + bytes.write(part, at)
    for (; at < end; at++) bytes[at] += SHIFT
    bytes[at] = PART_END
    at++
  }
  return bytes
}

/** The key that these bytes were made of; `null` if they are those of no key. */
export function decodeStoreKey(bytes: Uint8Array): StoreKey | null {
  const kind = KINDS[bytes[0] - 1]
  if (kind === undefined || bytes.length < 2 || bytes[bytes.length - 1] !== PART_END) return null
  const parts: string[] = []
  let from = 1
  for (let at = 1; at < bytes.length; at++) {
    if (bytes[at] === PART_END) {
      const part = decodePart(bytes.subarray(from, at))
      if (part === null || parts.length === MAX_KEY_PARTS) return null
      parts.push(part)
      from = at + 1
    } else if (bytes[at] < SHIFT) return null
  }
  return { kind, parts }
}

/** A key as messages show it: `channel 'orders'`. */
export function describeStoreKey({ kind, parts }: StoreKey): string {
  return `${kind} ${parts.map((part) => describe(part)).join(' ')}`
}

/** What can be done about damage in what a key names. */
export function adviceOnDamage({ kind, parts }: StoreKey): string {
  const copy = 'Restore the directory from a copy'
  return kind === 'channel' || kind === 'claims'
    ? `${copy}, or remove channel ${describe(parts[0])} ('liminal channel rm', administration.removeChannel).`
    : `${copy}.`
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodePart(shifted: Uint8Array): string | null {
  try {
    return utf8.decode(shifted.map((byte) => byte - SHIFT))
  } catch {
    // Not UTF-8: no key was encoded like this.
    return null
  }
}
