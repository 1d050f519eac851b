import { createHash } from 'node:crypto'
import canonicalizeModule from 'canonicalize'
import { LiminalError } from '../errors.ts'

// The package's types describe an ES module, but what it exports is the CommonJS function itself.
const canonicalize = canonicalizeModule as unknown as typeof canonicalizeModule.default

/** The largest nesting of objects and arrays in a JSON Schema; deeper (or cyclic) values are refused. */
export const MAX_SCHEMA_DEPTH = 256

// JSON.stringify writes a lone surrogate as such an escape. Escaped backslashes can look alike, hence the second, exact test.
const MAYBE_LONE_SURROGATE = /\\ud[89a-f]/
// JSON.stringify writes no white space.
const NULL_VALUE = /(?:^|[:[,])null/
const SURROGATE = /\p{Surrogate}/u

/** See Codec.schemaId: canonical JSON by `canonicalize`, SHA-256 by node:crypto. */
export function schemaId(jsonSchema: unknown): Uint8Array {
  const canonical = canonicalize(plainJson(jsonSchema))
  if (canonical === undefined) throw schemaInvalid('it is not JSON')
  if (MAYBE_LONE_SURROGATE.test(canonical)) refuseLoneSurrogates(JSON.parse(canonical))
  const digest = createHash('sha256').update(canonical, 'utf8').digest()
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.length)
}

/**
 * The JSON value that JSON.stringify makes of a value: members that are `undefined`, a function or a symbol are left out and `toJSON` is called. What
 * JSON.stringify would turn into null is refused instead: NaN and infinities, and those three in arrays.
 * @throws LiminalError `SCHEMA_INVALID` also for bigint, cycles and nesting over 256.
 */
function plainJson(value: unknown): unknown {
  return isPlain(value, '', 0) ? value : JSON.parse(JSON.stringify(value))
}

/**
 * The JSON text of a value, refusing what {@link plainJson} refuses. Looking through every member costs as much as all the rest, so it is done only where
 * JSON.stringify may have put something right by itself: it writes `null` for what JSON lacks. (A text with such a piece in it only costs the look.)
 */
export function schemaText(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    plainJson(value)
    throw error
  }
  return text === undefined || NULL_VALUE.test(text) ? JSON.stringify(plainJson(value)) : text
}

/** The error for a schema that is no JSON. */
export function schemaInvalid(why: string): LiminalError {
  return new LiminalError('SCHEMA_INVALID', `The JSON Schema cannot be given an id: ${why}`)
}

/** The error for a schema with text that UTF-8, and so the canonical form, cannot express. */
export function loneSurrogate(): LiminalError {
  return schemaInvalid('a text in it has a lone surrogate')
}

/** Checks a value through; false if only JSON.stringify knows what it means as JSON (toJSON, boxed primitives, absent members). */
function isPlain(value: unknown, key: string | number, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      if (Number.isFinite(value)) return true
      throw schemaInvalid(`${place(key)} is ${value}`)
    case 'object':
      if (value === null) return true
      if (!hasToJson(value)) return areMembersPlain(value, depth)
      checkToJson(value.toJSON(String(key)), key, depth)
      return false
    default:
      throw schemaInvalid(`${place(key)} is ${value === undefined ? 'undefined' : `a ${typeof value}`}`)
  }
}

/** Checks what a toJSON gave: a toJSON of that value is not called again. */
function checkToJson(json: unknown, key: string | number, depth: number): void {
  if (typeof json === 'object' && json !== null) areMembersPlain(json, depth)
  else isPlain(json, key, depth)
}

function areMembersPlain(value: object, depth: number): boolean {
  if (depth === MAX_SCHEMA_DEPTH) {
    throw schemaInvalid(`it is nested more than ${MAX_SCHEMA_DEPTH} levels deep, or contains itself`)
  }
  let plain = true
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      if (!isPlain(value[index], index, depth + 1)) plain = false
    }
    return plain
  }
  if (isBoxed(value)) return false
  const members = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(members)) {
    const member = members[key]
    const left = member === undefined || typeof member === 'function' || typeof member === 'symbol'
    if (left || !isPlain(member, key, depth + 1)) plain = false
  }
  return plain
}

function isBoxed(value: object): boolean {
  // Nearly every object of a schema is a plain one, and this asks them all.
  if (Object.getPrototypeOf(value) === Object.prototype) return false
  return value instanceof Number || value instanceof String || value instanceof Boolean
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function refuseLoneSurrogates(value: unknown): void {
  if (typeof value === 'string') {
    if (SURROGATE.test(value)) throw loneSurrogate()
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      if (SURROGATE.test(key)) throw loneSurrogate()
      refuseLoneSurrogates(member)
    }
  }
}

function place(key: string | number): string {
  return key === '' ? 'it' : `the member "${key}"`
}
