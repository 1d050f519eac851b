import { checkInteger, checkKnownOptions, checkName, checkOneOf, checkOptions, invalidArgument } from '../arguments.ts'
import { type CursorTerms, SCHEMA_ID_BYTES, type TermsCheckpoint, type TermsStart } from '../protocol/index.ts'
import { checkSignal, MAX_TIMEOUT_MS } from '../waiting.ts'
import type { CursorOptions, DeliveryHandler, StartPosition, SubscribeOptions } from './subscription.ts'

/** The arguments of `Channel.subscribe`, checked, with their defaults. */
export interface SubscribeSettings<T> {
  readonly handler: DeliveryHandler<T> | null
  readonly maxInFlight: number
  readonly accept: 'auto' | 'explicit' | 'each'
  /** Where to begin in the log of a durable channel. */
  readonly from: TermsStart
  readonly cursor: CursorTerms | null
  /** Empty: any. */
  readonly acceptedSchemas: readonly Uint8Array[]
  readonly signal: AbortSignal | undefined
}

const ITERATOR_MAX_IN_FLIGHT = 16_384
const HANDLER_MAX_IN_FLIGHT = 65_536
/** What is in flight is delivered again after a crash. */
const CURSOR_MAX_IN_FLIGHT = 256
/** A message that brings its bus down costs an attempt of all that is in flight beside it: where attempts are limited there is less of it, and with a single attempt nothing. */
const LIMITED_MAX_IN_FLIGHT = 16
/** What a Subscribe frame can say: a u32. */
const LARGEST_MAX_IN_FLIGHT = 0xffff_ffff
const LAST_POSITION = 0xffff_ffff_ffff_ffffn
const SUBSCRIBE_OPTIONS = ['maxInFlight', 'accept', 'from', 'cursor', 'acceptedSchemas', 'signal']
const CURSOR_OPTIONS = ['name', 'checkpoint', 'leaseMs', 'maxAttempts', 'deadLetter']

/** Reads the two forms of `Channel.subscribe`. @throws LiminalError `INVALID_ARGUMENT`. */
export function subscribeArguments<T>(
  first: DeliveryHandler<T> | SubscribeOptions | undefined,
  second: SubscribeOptions | undefined,
): SubscribeSettings<T> {
  const handler = typeof first === 'function' ? first : null
  const given = typeof first === 'function' ? second : first
  const options = given === undefined ? {} : given
  checkOptions('options', options)
  checkKnownOptions('options', options, SUBSCRIBE_OPTIONS)
  checkInteger('maxInFlight', options.maxInFlight, 1)
  const plain = handler === null ? ITERATOR_MAX_IN_FLIGHT : HANDLER_MAX_IN_FLIGHT
  const fallback = options.cursor === undefined ? plain : inFlightOf(options.cursor)
  const { maxInFlight = fallback, accept = 'auto', acceptedSchemas = [], signal } = options
  if (maxInFlight > LARGEST_MAX_IN_FLIGHT) {
    throw invalidArgument('maxInFlight', `at most ${LARGEST_MAX_IN_FLIGHT}`, maxInFlight)
  }
  checkOneOf('accept', accept, ['auto', 'explicit', 'each'])
  checkSignal(signal)
  const areIds =
    Array.isArray(acceptedSchemas) &&
    acceptedSchemas.every((id: unknown) => id instanceof Uint8Array && id.length === SCHEMA_ID_BYTES)
  if (!areIds)
    throw invalidArgument('acceptedSchemas', `an array of ${SCHEMA_ID_BYTES}-byte schema ids`, acceptedSchemas)
  const from = startOf('from', options.from)
  const cursor = options.cursor === undefined ? null : cursorOf(options.cursor)
  return { handler, maxInFlight, accept, from, cursor, acceptedSchemas, signal }
}

/** Reads where in a log to begin; `'latest'` if nothing is said. @throws LiminalError `INVALID_ARGUMENT`. */
export function startOf(argument: string, start: StartPosition | undefined): TermsStart {
  if (start === undefined || start === 'latest' || start === 'earliest') return start ?? 'latest'
  if (typeof start === 'object' && start !== null) {
    if ('position' in start && Object.keys(start).length === 1) {
      const { position } = start
      if (typeof position === 'bigint' && position >= 0n && position <= LAST_POSITION) return { position }
      throw invalidArgument(`${argument}.position`, 'a bigint from 0 on', position)
    }
    if ('time' in start && Object.keys(start).length === 1) {
      const time = start.time instanceof Date ? start.time.getTime() : start.time
      if (typeof time === 'number' && time >= 0 && time <= Number.MAX_SAFE_INTEGER) return { time }
      throw invalidArgument(`${argument}.time`, 'a Date, or milliseconds since the epoch', start.time)
    }
  }
  throw invalidArgument(argument, "'latest', 'earliest', { position } or { time }", start)
}

function inFlightOf(cursor: string | CursorOptions): number {
  const maxAttempts = typeof cursor === 'object' ? cursor?.maxAttempts : undefined
  if (maxAttempts === undefined) return CURSOR_MAX_IN_FLIGHT
  return maxAttempts === 1 ? 1 : LIMITED_MAX_IN_FLIGHT
}

function cursorOf(cursor: string | CursorOptions): CursorTerms {
  if (typeof cursor === 'string') {
    checkName('cursor', cursor)
    return { name: cursor }
  }
  if (typeof cursor !== 'object' || cursor === null) throw invalidArgument('cursor', 'a name, or options', cursor)
  checkKnownOptions('cursor', cursor, CURSOR_OPTIONS)
  const { name, leaseMs, maxAttempts, deadLetter } = cursor
  checkName('cursor.name', name)
  checkInteger('cursor.leaseMs', leaseMs, 1)
  if (leaseMs !== undefined && leaseMs > MAX_TIMEOUT_MS) {
    throw invalidArgument('cursor.leaseMs', `at most ${MAX_TIMEOUT_MS}`, leaseMs)
  }
  checkInteger('cursor.maxAttempts', maxAttempts, 1)
  if (deadLetter !== undefined) checkName('cursor.deadLetter', deadLetter)
  return { name, checkpoint: checkpointOf(cursor.checkpoint), leaseMs, maxAttempts, deadLetter }
}

function checkpointOf(checkpoint: CursorOptions['checkpoint']): TermsCheckpoint | undefined {
  if (checkpoint === undefined || checkpoint === 'message' || checkpoint === 'explicit') return checkpoint
  if (typeof checkpoint !== 'object' || checkpoint === null) {
    throw invalidArgument('cursor.checkpoint', "'message', 'explicit' or { every, withinMs }", checkpoint)
  }
  checkKnownOptions('cursor.checkpoint', checkpoint, ['every', 'withinMs'])
  const { every, withinMs } = checkpoint
  if (every === undefined) throw invalidArgument('cursor.checkpoint.every', 'there', every)
  checkInteger('cursor.checkpoint.every', every, 1)
  checkInteger('cursor.checkpoint.withinMs', withinMs, 1)
  if (withinMs !== undefined && withinMs > MAX_TIMEOUT_MS) {
    throw invalidArgument('cursor.checkpoint.withinMs', `at most ${MAX_TIMEOUT_MS}`, withinMs)
  }
  return withinMs === undefined ? { every } : { every, withinMs }
}
