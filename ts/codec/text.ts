import { isUtf8 } from 'node:buffer'

/**
 * Strict UTF-8 in both directions (spec wire §3): nothing is replaced, stripped or normalised. Short text is handled here byte by byte, because
 * a call into the runtime costs as much as eight to sixty bytes of that; the thresholds are measured on Node 20.
 */

const SHORT_READ = 8
const SHORT_WRITE = 20
const SHORT_CHECK = 64
const SHORT_COUNT = 24

// ignoreBOM keeps a leading byte order mark in the text; the default would strip it.
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()
const SURROGATE = /\p{Surrogate}/u

/** A view without a copy. */
export function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

/** Whether bytes[start, end) are valid UTF-8. */
export function isValidText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= SHORT_CHECK) {
    let at = start
    while (at < end && bytes[at] < 0x80) at++
    if (at === end) return true
    return isUtf8(view(bytes, at, end))
  }
  return isUtf8(view(bytes, start, end))
}

/** The text of bytes[start, end), or null if they are not valid UTF-8. */
export function readText(bytes: Uint8Array, start: number, end: number): string | null {
  if (end - start <= SHORT_READ) {
    let text = ''
    let at = start
    for (; at < end; at++) {
      const byte = bytes[at]
      if (byte >= 0x80) break
      text += String.fromCharCode(byte)
    }
    if (at === end) return text
  }
  try {
    return strictDecoder.decode(view(bytes, start, end))
  } catch {
    // The decoder's own error says nothing but "invalid"; the caller knows the field and the offset.
    return null
  }
}

/** Bytes of a text in UTF-8, or -1 if it has no UTF-8 form (a lone surrogate). */
export function textLength(text: string): number {
  const units = text.length
  if (units <= SHORT_COUNT) {
    let at = 0
    while (at < units && text.charCodeAt(at) < 0x80) at++
    if (at === units) return units
  }
  const length = Buffer.byteLength(text)
  // Only ASCII is as long in bytes as in UTF-16 units, and it has no surrogates.
  return length === units || !SURROGATE.test(text) ? length : -1
}

/** Writes `length` bytes of UTF-8 at `at`, where `length` is the text's {@link textLength}. */
export function writeText(target: Uint8Array, at: number, text: string, length: number): void {
  const units = text.length
  if (units === length && units <= SHORT_WRITE) {
    for (let unit = 0; unit < units; unit++) target[at + unit] = text.charCodeAt(unit)
    return
  }
  encoder.encodeInto(text, view(target, at, at + length))
}

/** Copies source[start, end) to `target` at `at`. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (end - start <= SHORT_WRITE) {
    for (let from = start, to = at; from < end; from++, to++) target[to] = source[from]
    return
  }
  target.set(view(source, start, end), at)
}
