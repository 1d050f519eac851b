import { checkInteger, checkOptions, describe, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import type { EventBatch, StoreKey, StoreWrite } from './event-store.ts'
import { describeStoreKey } from './store-key.ts'

/** Most bytes of a value that is set. */
export const MAX_VALUE_BYTES = 64 * 1024

/** Most bytes of the events of one append. */
export const MAX_APPEND_BYTES = 512 * 1024 * 1024

/** Most writes are listed by `keys` unless it is told otherwise. */
export const DEFAULT_KEYS_LIMIT = 1024

const MAX_U64 = 0xffff_ffff_ffff_ffffn

/** Checks everything of a change but its key. @throws LiminalError `INVALID_ARGUMENT` */
export function checkChange(change: StoreWrite): void {
  checkOptions('change', change)
  switch (change?.type) {
    case 'append':
      checkSequence('expected', change.expected)
      checkBatch(change.events)
      break
    case 'truncate':
      checkSequence('before', change.before)
      break
    case 'remove':
      break
    case 'set':
      if (change.value !== null) checkValue(change.value)
      break
    case 'compareAndSet':
      if (change.expected !== null) checkSequence('expected', change.expected)
      checkSequence('value', change.value)
      break
    default:
      throw invalidArgument('change', "an 'append', 'truncate', 'remove', 'set' or 'compareAndSet'", change)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a bigint from 0 to 2^64 - 1. */
export function checkSequence(argument: string, value: unknown): void {
  if (typeof value !== 'bigint' || value < 0n || value > MAX_U64) {
    throw invalidArgument(argument, 'a bigint from 0 to 2^64 - 1', value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` */
export function checkTimestamp(value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value)) throw invalidArgument('timestamp', 'milliseconds', value)
}

/** @throws LiminalError `INVALID_ARGUMENT` */
export function checkKeyPage(page: { after?: StoreKey; limit?: number } | undefined): void {
  checkOptions('page', page)
  checkInteger('page.limit', page?.limit, 1)
}

/** What an append says whose expectation does not hold. */
export function appendConflict(stream: StoreKey, expected: bigint, found: bigint): LiminalError {
  const message = `${describeStoreKey(stream)}: the next sequence is ${found}, but ${expected} was expected. Nothing was written; read the state of the stream and decide again.`
  return new LiminalError('SEQUENCE_CONFLICT', message)
}

/** What a `compareAndSet` says whose expectation does not hold. `found`: how the value is shown that is there. */
export function numberConflict(key: StoreKey, expected: bigint | null, found: string): LiminalError {
  const wanted = expected === null ? 'none' : expected
  const message = `${describeStoreKey(key)}: the number is ${found}, but ${wanted} was expected. Nothing was written; read the number and decide again.`
  return new LiminalError('SEQUENCE_CONFLICT', message)
}

/** What a store says that was closed. */
export function storeClosed(): LiminalError {
  return new LiminalError('CLOSED', 'The store is closed.')
}

function checkBatch(events: EventBatch): void {
  checkOptions('events', events)
  const { bytes, ends } = events ?? {}
  if (!(bytes instanceof Uint8Array)) throw invalidArgument('events.bytes', 'a Uint8Array', bytes)
  if (!(ends instanceof Uint32Array) || ends.length === 0) {
    throw invalidArgument('events.ends', 'a Uint32Array with at least one end', ends)
  }
  if (bytes.length > MAX_APPEND_BYTES) {
    throw invalidArgument('events.bytes', `at most ${MAX_APPEND_BYTES} bytes long`, `${bytes.length} bytes`)
  }
  let before = 0
  for (let index = 0; index < ends.length; index++) {
    if (ends[index] < before) throw invalidArgument('events.ends', 'in order', `${before} before ${ends[index]}`)
    before = ends[index]
  }
  if (before !== bytes.length) {
    const message = `The last end of the events must be the length of their bytes, ${bytes.length}, but is ${before}.`
    throw new LiminalError('INVALID_ARGUMENT', message)
  }
}

function checkValue(value: unknown): void {
  if (!(value instanceof Uint8Array)) throw invalidArgument('value', 'a Uint8Array or null', describe(value))
  if (value.length > MAX_VALUE_BYTES) {
    throw invalidArgument('value', `at most ${MAX_VALUE_BYTES} bytes long`, `${value.length} bytes`)
  }
}
