import { InvalidArgumentError } from 'commander'
import type { RetentionOptions } from '../channel/index.ts'

/** What `--retain` says of a channel. */
export interface Retained {
  readonly name: string
  readonly retention: RetentionOptions
}

/** How it is written. */
export const RETAIN_SYNTAX = 'name:age=7d,bytes=1g,count=1000000,past-cursors'

const AGES: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])
const BYTES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 1_024],
  ['m', 1_024 ** 2],
  ['g', 1_024 ** 3],
  ['t', 1_024 ** 4],
])
const COUNTS: ReadonlyMap<string, number> = new Map([['', 1]])

type Limits = { -readonly [Key in keyof RetentionOptions]: RetentionOptions[Key] }

/** Reads `name:limit=value,...`, for `command.option`; repeatable. @throws InvalidArgumentError */
export function retained(text: string, before: readonly Retained[]): readonly Retained[] {
  // Names may have colons, limits have none.
  const split = text.lastIndexOf(':')
  if (split < 1) throw wrong(`It must say of which channel, and what: ${RETAIN_SYNTAX}`)
  const name = text.slice(0, split)
  if (before.some((other) => other.name === name)) throw wrong(`Say all of channel '${name}' in one.`)
  const retention: Limits = {}
  for (const part of text.slice(split + 1).split(',')) addLimit(part, retention)
  return [...before, { name, retention }]
}

function addLimit(part: string, limits: Limits): void {
  const [key, value = ''] = part.split(/=(.*)/s)
  switch (key) {
    case 'age':
      limits.maxAgeMs = once(limits.maxAgeMs, key, amount(key, value, AGES, '30s, 10m, 12h or 7d'))
      break
    case 'bytes':
      limits.maxBytes = once(limits.maxBytes, key, amount(key, value, BYTES, '1048576, 64k, 100m, 10g or 1t'))
      break
    case 'count':
      limits.maxMessages = once(limits.maxMessages, key, amount(key, value, COUNTS, '1000000'))
      break
    case 'past-cursors':
      if (part !== key) throw wrong("'past-cursors' has no value.")
      limits.pastCursors = once(limits.pastCursors, key, true)
      break
    default:
      throw wrong(`'${key}' is no limit; known are age, bytes, count and past-cursors.`)
  }
}

function amount(key: string, text: string, units: ReadonlyMap<string, number>, examples: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([a-z]*)$/i.exec(text) ?? []
  const value = Number(digits) * (units.get(unit.toLowerCase()) ?? Number.NaN)
  if (digits !== '' && Number.isSafeInteger(value) && value >= 1) return value
  throw wrong(`'${text}' is no ${key}; give something like ${examples}.`)
}

function once<Value>(before: Value | undefined, key: string, value: Value): Value {
  if (before !== undefined) throw wrong(`It says '${key}' twice.`)
  return value
}

function wrong(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message)
}
