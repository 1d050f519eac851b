import { inspect } from 'node:util'
import { LiminalError } from './errors.ts'
import type { CausalContext } from './protocol/index.ts'

/** Checks of what callers pass, before anything is done with it. Each failure is an `INVALID_ARGUMENT` that names the argument and its value. */

/** Most bytes of a channel name or a subject, as UTF-8. */
export const MAX_NAME_BYTES = 255

// Control characters would break every line-oriented tool; a lone surrogate has no UTF-8 form.
const UNFIT_FOR_NAME = /[\p{Cc}\p{Cs}]/u
const LONE_SURROGATE = /\p{Cs}/u
const MAX_U64 = 0xffff_ffff_ffff_ffffn

/** A value as error messages show it: one line, short. */
export function describe(value: unknown): string {
  // No custom inspection: that is code of whoever made the value.
  const text = inspect(value, {
    depth: 0,
    breakLength: Infinity,
    maxStringLength: 64,
    maxArrayLength: 4,
    customInspect: false,
  })
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
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

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a plain options object (or `undefined`). */
export function checkOptions(argument: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value))) {
    throw invalidArgument(argument, 'an object', value)
  }
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
  if (typeof value !== 'string' || LONE_SURROGATE.test(value)) {
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
