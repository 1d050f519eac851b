import {
  checkBoolean,
  checkCausal,
  checkInteger,
  checkKnownOptions,
  checkName,
  checkOneOf,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import { checkIsolation, type IsolationOptions } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { MAX_TAGS } from '../routing/index.ts'
import { checkDuration, checkSignal, checkWait } from '../waiting.ts'
import type {
  AskOptions,
  ConversationRequestOptions,
  ConverseOptions,
  DispatchRequestOptions,
  IsolatedRespondOptions,
  ResponderCloseOptions,
  RespondOptions,
  StreamOptions,
} from './bus.ts'
import { actionOf, type CrashPolicy, checkCrashPolicy } from './compensation.ts'

const ASK = ['timeoutMs', 'signal', 'causal', 'payload', 'onCrash']
const DISPATCH = ['key', 'timeoutMs', 'signal', 'whenUnavailable', 'waitMs', 'maxAttempts', 'causal', 'payload']
const CONVERSE = [
  'timeoutMs',
  'signal',
  'payload',
  'onCrash',
  'deadlineMs',
  'idleTimeoutMs',
  'causal',
  'durable',
  'key',
]
const RESPOND = ['payload', 'signal', 'capacity', 'tags']
const ISOLATED = ['isolated', 'payload', 'signal']
const LONGEST_REASON = 1_024

/** Checks the options of a request. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkAskOptions(options: AskOptions | StreamOptions): void {
  checkRequest(options, ASK)
}

/** Checks the options of a request in a durable conversation. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkConversationRequestOptions(options: ConversationRequestOptions): void {
  checkRequest(options, [...ASK, 'requestId'])
  if (options.requestId !== undefined) checkName('requestId', options.requestId)
}

/** Checks the options of a request in a conversation that is not durable. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkPlainRequestOptions(options: ConversationRequestOptions): void {
  checkConversationRequestOptions(options)
  if (options.requestId === undefined) return
  const message =
    'requestId is for durable conversations: nothing is remembered of requests in others. Open the conversation with durable: true.'
  throw new LiminalError('INVALID_ARGUMENT', message)
}

function checkRequest(options: AskOptions | StreamOptions, known: readonly string[]): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, known)
  checkWait(options)
  checkCausal('causal', options.causal)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
  checkCrashPolicy(options.onCrash)
}

/**
 * Checks the crash policy of a request against that of its conversation: a compensation is the asker's, but what becomes of the requests of a participant that crashes is one
 * thing for all of them.
 * @throws LiminalError `INVALID_ARGUMENT`.
 */
export function checkOverride(policy: CrashPolicy | undefined, conversation: CrashPolicy | undefined): void {
  if (policy === undefined || typeof policy === 'object' || actionOf(policy) === actionOf(conversation)) return
  throw new LiminalError(
    'INVALID_ARGUMENT',
    `onCrash of a request cannot differ from that of its conversation, which is '${actionOf(conversation)}'. Give it to converse(), or pass a compensation.`,
  )
}

/** Checks the options of `dispatch`. Those of the group are checked by the group. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkDispatchOptions(options: DispatchRequestOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, DISPATCH)
  checkWait(options)
  checkCausal('causal', options.causal)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
  if (options.key !== undefined) checkName('key', options.key)
  checkOneOf('whenUnavailable', options.whenUnavailable, ['wait', 'fail'])
  checkDuration('waitMs', options.waitMs)
  checkInteger('maxAttempts', options.maxAttempts, 1)
}

/** Checks the options of `converse`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkConverseOptions(options: ConverseOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, CONVERSE)
  checkWait(options)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
  checkCrashPolicy(options.onCrash)
  checkDuration('deadlineMs', options.deadlineMs)
  checkDuration('idleTimeoutMs', options.idleTimeoutMs)
  checkCausal('causal', options.causal)
  checkBoolean('durable', options.durable)
  if (options.key === undefined) return
  checkName('key', options.key)
  if (options.durable === true) return
  throw new LiminalError(
    'INVALID_ARGUMENT',
    'key is what a durable conversation is called. Open it with durable: true.',
  )
}

/** Checks the options of `respond`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkRespondOptions(options: RespondOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, RESPOND)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
  checkSignal(options.signal)
  checkInteger('capacity', options.capacity, 1)
  checkTags('tags', options.tags)
}

/** Checks the options of an isolated `respond`. Returns those of its threads. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkIsolatedOptions(options: RespondOptions | IsolatedRespondOptions): IsolationOptions {
  checkOptions('options', options)
  checkKnownOptions('options', options, ISOLATED)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
  checkSignal(options.signal)
  const isolated = 'isolated' in options ? options.isolated : undefined
  if (isolated === true) return {}
  if (typeof isolated !== 'object') {
    throw invalidArgument('isolated', 'true, or an object with its options: a module is run in threads', isolated)
  }
  checkIsolation(isolated)
  return isolated
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a behaviour, of one turn or of several. */
export function checkBehaviour(behaviour: unknown): void {
  if (typeof behaviour === 'function') return
  const opens = typeof behaviour === 'object' && behaviour !== null && 'open' in behaviour
  if (opens && typeof behaviour.open === 'function') return
  throw invalidArgument('behaviour', "a function, or an object with a function 'open'", behaviour)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it can be said to the other side. */
export function checkCloseReason(reason: unknown): void {
  if (reason === undefined || (typeof reason === 'string' && reason.length <= LONGEST_REASON)) return
  throw invalidArgument('reason', `a string of at most ${LONGEST_REASON} characters`, reason)
}

/** The grace of a close, `undefined` if nobody said. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkCloseGrace(options: BusCloseOptions): number | undefined {
  checkOptions('options', options)
  checkKnownOptions('options', options, ['graceMs'])
  checkDuration('graceMs', options.graceMs)
  return options.graceMs
}

/** The same for a responder. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkResponderGrace(options: ResponderCloseOptions): number | undefined {
  checkOptions('options', options)
  checkKnownOptions('options', options, ['graceMs'])
  checkDuration('graceMs', options.graceMs)
  return options.graceMs
}

/** How a bus in this process is closed. */
export interface BusCloseOptions {
  /** Milliseconds for what is underway, here and behind the servers of the bus. Default: servers take their own, 5,000; then what is underway here ends at once. */
  readonly graceMs?: number
}

function checkTags(argument: string, tags: unknown): void {
  if (tags === undefined) return
  if (!Array.isArray(tags) || tags.length > MAX_TAGS) {
    throw invalidArgument(argument, `a list of at most ${MAX_TAGS} tags`, tags)
  }
  for (const tag of tags) checkName(`${argument}[]`, tag)
}
