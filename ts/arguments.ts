import { inspect } from 'node:util'
import { LiminalError } from './errors.ts'
import type { CausalContext } from './protocol/index.ts'

/** Checks of what callers pass, before anything is done with it. Each failure is an `INVALID_ARGUMENT` that names the argument and its value. */

/** Most bytes of a channel name or a subject, as UTF-8. */
export const MAX_NAME_BYTES = 255

// Control characters would break every line-oriented tool; a lone surrogate has no UTF-8 form.
const UNFIT_FOR_NAME = /[\p{Cc}\p{Cs}]/u
const MAX_U64 = 0xffff_ffff_ffff_ffffn

/** A value as error messages show it: one line, short. */
export function describe(value: unknown): string {
  const text = inspected(value)
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

function inspected(value: unknown): string {
  try {
    // No custom inspection: that is code of whoever made the value.
    return inspect(value, {
      depth: 0,
      breakLength: Infinity,
      maxStringLength: 64,
      maxArrayLength: 4,
      customInspect: false,
    })
  } catch {
    // Of errors it still reads members, which may be getters that throw.
    return `something of type ${typeof value} that cannot be shown`
  }
}

/** The error of an argument that cannot be used. `expected` completes "must be". */
export function invalidArgument(argument: string, expected: string, value: unknown): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', `${argument} must be ${expected}, but is ${describe(value)}.`)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a name: 1 to 255 UTF-8 bytes without control characters. */
export function checkName(argument: string, value: unknown): asserts value is string {
  const fits =
    typeof value === 'string' &&
    value.length > 0 &&
    Buffer.byteLength(value) <= MAX_NAME_BYTES &&
    !UNFIT_FOR_NAME.test(value)
  if (!fits) {
    throw invalidArgument(argument, `a string of 1 to ${MAX_NAME_BYTES} UTF-8 bytes without control characters`, value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a name that users may answer as a subject: those that begin with `$` are the server's own. */
export function checkSubject(argument: string, value: unknown): asserts value is string {
  checkName(argument, value)
  if (value.startsWith('$')) {
    throw invalidArgument(argument, "a name that does not begin with '$': such subjects are answered by servers", value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a plain options object (or `undefined`). */
export function checkOptions(argument: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value))) {
    throw invalidArgument(argument, 'an object', value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` if an options object has a member that is not `known`, with the known name that comes close to it. */
export function checkKnownOptions(argument: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    const [near] = known
      .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
      .sort((one, other) => one.distance - other.distance)
    const isClose = near !== undefined && near.distance <= Math.max(1, near.name.length / 3)
    const hint = isClose ? `Did you mean '${near.name}'?` : `Known are: ${known.join(', ')}.`
    throw new LiminalError('INVALID_ARGUMENT', `${argument} has no member ${describe(key)}. ${hint}`)
  }
}

/** What whoever speaks the protocol needs of a codec. */
const CODEC_FUNCTIONS = ['encode', 'encodedLength', 'encodeInto', 'decode', 'FrameDecoder']

/** @throws LiminalError `INVALID_ARGUMENT` unless it can be used as a codec (or is `undefined`). */
export function checkCodec(argument: string, value: unknown): void {
  if (value === undefined) return
  const isCodec =
    typeof value === 'object' &&
    value !== null &&
    CODEC_FUNCTIONS.every((name) => typeof Reflect.get(value, name) === 'function')
  if (!isCodec) throw invalidArgument(argument, `a codec, with the functions ${CODEC_FUNCTIONS.join(', ')}`, value)
}

/** How many characters must be added, removed or replaced to make one text of the other. */
function editDistance(one: string, other: string): number {
  // Nothing close is this long, and keys may be anybody's.
  if (one.length > 64) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let at = 1; at <= one.length; at++) {
    const next = [at]
    for (let index = 1; index <= other.length; index++) {
      const replaced = row[index - 1] + (one[at - 1] === other[index - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[index] + 1, next[index - 1] + 1))
    }
    row = next
  }
  return row[other.length]
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is an integer of at least `least` (or `undefined`). */
export function checkInteger(argument: string, value: unknown, least: number): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && Number(value) >= least)) {
    throw invalidArgument(argument, `an integer of at least ${least}`, value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is one of `allowed` (or `undefined`). */
export function checkOneOf(argument: string, value: unknown, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.some((candidate) => candidate === value)) {
    throw invalidArgument(argument, allowed.map((candidate) => `'${candidate}'`).join(' or '), value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a function. */
export function checkFunction(argument: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidArgument(argument, 'a function', value)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a boolean (or `undefined`). */
export function checkBoolean(argument: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(argument, 'a boolean', value)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is text that has a UTF-8 form. */
export function checkText(argument: string, value: unknown): void {
  if (typeof value !== 'string' || !value.isWellFormed()) {
    throw invalidArgument(argument, 'a string without lone surrogates', value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a causal context: two members, each of which may be `null` (or `undefined` as a whole). */
export function checkCausal(argument: string, value: CausalContext | undefined): void {
  if (value === undefined) return
  checkOptions(argument, value)
  const { parentId, vectorClockEntry } = value
  if (parentId !== null) checkText(`${argument}.parentId`, parentId)
  const fits = typeof vectorClockEntry === 'bigint' && vectorClockEntry >= 0n && vectorClockEntry <= MAX_U64
  if (vectorClockEntry !== null && !fits) {
    throw invalidArgument(`${argument}.vectorClockEntry`, 'null or a bigint from 0 to 2^64 - 1', vectorClockEntry)
  }
}
