import { LiminalError } from '../errors.ts'

/** Bytes of a head's length. */
export const HEAD_PREFIX_BYTES = 4
/** Bytes of a head's text, at most. */
export const LARGEST_HEAD_BYTES = 4_096

/** A payload that came with a head (extension `WORK`). */
export interface Headed {
  /** What the head's text says. */
  readonly head: Readonly<Record<string, unknown>>
  /** The payload proper, a view into what was read. */
  readonly payload: Uint8Array
}

/** How a request is to be dispatched. What is left out has the default of the group. */
export interface DispatchHead {
  readonly key?: string | undefined
  readonly timeoutMs?: number | undefined
  readonly waitMs?: number | undefined
  readonly whenUnavailable?: 'wait' | 'fail' | undefined
  readonly maxAttempts?: number | undefined
}

/** What a responder is told beside a request. What is left out: attempt 1, no deadline, no key. */
export interface RequestHead {
  readonly attempt?: number | undefined
  /** Milliseconds since the epoch. */
  readonly deadline?: number | undefined
  readonly key?: string | undefined
  /** What the request of a durable conversation is called (extension `DURABLE`). */
  readonly requestId?: string | undefined
  /** Whether its steps are recorded (extension `DURABLE`). */
  readonly steps?: boolean | undefined
}

/** What whoever runs the steps of a request says of one (extension `DURABLE`). The output of one that is done is the payload. */
export interface StepQuestion {
  /** What the answer repeats: unique among those that have none yet. */
  readonly id: number
  readonly does: 'begin' | 'complete' | 'fail'
  readonly name: string
  readonly ordinal: number
  /** Of one that failed. */
  readonly message?: string | undefined
}

/** What it is told. The output of one that is done is the payload. */
export interface StepAnswer {
  readonly id: number
  readonly is: 'done' | 'run' | 'error'
  /** Of one that is to be run. */
  readonly token?: string | undefined
  readonly attempt?: number | undefined
  /** Of an error. */
  readonly code?: string | undefined
  readonly message?: string | undefined
}

/** One time that a dispatched message went on to another consumer. */
export interface RerouteHead {
  readonly consumer: string
  readonly attempt: number
  readonly reason: 'error' | 'killed' | 'noconnection' | 'handed-back'
  readonly microseconds: number
}

/** What became of a dispatch. */
export interface OutcomeHead {
  readonly deliveredTo: string
  readonly attempts: number
  readonly reroutedFrom: readonly RerouteHead[]
  readonly queuedMs: number
  readonly durationMs: number
}

/** What a worker is told beside its work. */
export interface WorkHead {
  readonly subject: string
  /** Decimal. */
  readonly conversation: string
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly deadline: number | null
  readonly leaseMs: number | null
  readonly key: string | null
  readonly parentId: string | null
  /** Decimal. */
  readonly vectorClockEntry: string | null
}

/** What a worker says of its work. `extend` settles nothing; `capacity` is for correlation id 0 only. */
export interface AnswerHead {
  readonly status?: 'done' | 'failed' | 'handed-back' | 'extend' | undefined
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly leaseMs?: number | undefined
  readonly capacity?: number | undefined
}

const text = new TextDecoder('utf-8', { fatal: true })
const REASONS = ['error', 'killed', 'noconnection', 'handed-back'] as const
const STATUSES = ['done', 'failed', 'handed-back', 'extend'] as const

/**
 * Puts a head before a payload: u32 length, JSON text, payload.
 *
 * @throws LiminalError `PAYLOAD_TOO_LARGE` for a head of more than {@link LARGEST_HEAD_BYTES}.
 */
export function withHead(head: HeadField, payload: Uint8Array): Uint8Array {
  const encoded = Buffer.from(JSON.stringify(head))
  if (encoded.length > LARGEST_HEAD_BYTES) {
    const message = `The head of a message has ${encoded.length} bytes; ${LARGEST_HEAD_BYTES} are allowed. Use a shorter key.`
    throw new LiminalError('PAYLOAD_TOO_LARGE', message)
  }
  const bytes = new Uint8Array(HEAD_PREFIX_BYTES + encoded.length + payload.length)
  new DataView(bytes.buffer).setUint32(0, encoded.length)
  bytes.set(encoded, HEAD_PREFIX_BYTES)
  bytes.set(payload, HEAD_PREFIX_BYTES + encoded.length)
  return bytes
}

/** The object that a head is made of: one member, which says what the rest is about, or the members of an answer. */
export type HeadField =
  | { readonly dispatch: DispatchHead }
  | { readonly outcome: OutcomeHead }
  | { readonly work: WorkHead }
  | { readonly step: StepQuestion | StepAnswer }
  | RequestHead
  | AnswerHead

/** Takes the head off a payload. @throws LiminalError `PAYLOAD_INVALID` if there is none, or if it is not the JSON text of an object. */
export function readHead(bytes: Uint8Array): Headed {
  if (bytes.length < HEAD_PREFIX_BYTES) throw invalid('it has no length')
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0)
  if (length > LARGEST_HEAD_BYTES) throw invalid(`it has ${length} bytes, and ${LARGEST_HEAD_BYTES} are allowed`)
  const end = HEAD_PREFIX_BYTES + length
  if (end > bytes.length) throw invalid('it reaches past the end of the payload')
  let head: unknown
  try {
    head = JSON.parse(text.decode(bytes.subarray(HEAD_PREFIX_BYTES, end)))
  } catch (cause) {
    throw invalid('it is not JSON', cause)
  }
  return { head: objectOf(head, 'head'), payload: bytes.subarray(end) }
}

/** How a request wants to be dispatched; `null` if it does not say that it wants to. @throws LiminalError `PAYLOAD_INVALID`. */
export function readDispatchHead({ head }: Headed): DispatchHead | null {
  if (head.dispatch === undefined) return null
  const fields = objectOf(head.dispatch, 'dispatch')
  return {
    key: stringIn(fields, 'key'),
    timeoutMs: numberIn(fields, 'timeoutMs'),
    waitMs: numberIn(fields, 'waitMs'),
    whenUnavailable: oneIn(fields, 'whenUnavailable', ['wait', 'fail']),
    maxAttempts: integerIn(fields, 'maxAttempts', 1),
  }
}

/** @throws LiminalError `PAYLOAD_INVALID`. */
export function readRequestHead({ head }: Headed): RequestHead {
  return {
    attempt: integerIn(head, 'attempt', 1),
    deadline: numberIn(head, 'deadline'),
    key: stringIn(head, 'key'),
    requestId: stringIn(head, 'requestId'),
    steps: memberOf(head, 'steps') === true ? true : undefined,
  }
}

/** `null` if the head is about something else. @throws LiminalError `PAYLOAD_INVALID`. */
export function readStepQuestion({ head }: Headed): StepQuestion | null {
  if (head.step === undefined) return null
  const fields = objectOf(head.step, 'step')
  return {
    id: needed(integerIn(fields, 'id', 0), 'id'),
    does: needed(oneIn(fields, 'does', ['begin', 'complete', 'fail']), 'does'),
    name: needed(stringIn(fields, 'name'), 'name'),
    ordinal: needed(integerIn(fields, 'ordinal', 0), 'ordinal'),
    message: stringIn(fields, 'message'),
  }
}

/** `null` if the head is about something else. @throws LiminalError `PAYLOAD_INVALID`. */
export function readStepAnswer({ head }: Headed): StepAnswer | null {
  if (head.step === undefined) return null
  const fields = objectOf(head.step, 'step')
  return {
    id: needed(integerIn(fields, 'id', 0), 'id'),
    is: needed(oneIn(fields, 'is', ['done', 'run', 'error']), 'is'),
    token: stringIn(fields, 'token'),
    attempt: integerIn(fields, 'attempt', 1),
    code: stringIn(fields, 'code'),
    message: stringIn(fields, 'message'),
  }
}

/** `null` if the head is about something else. @throws LiminalError `PAYLOAD_INVALID`. */
export function readOutcomeHead({ head }: Headed): OutcomeHead | null {
  if (head.outcome === undefined) return null
  const fields = objectOf(head.outcome, 'outcome')
  const { reroutedFrom = [] } = fields
  if (!Array.isArray(reroutedFrom)) throw wrong('reroutedFrom', 'a list')
  return {
    deliveredTo: needed(stringIn(fields, 'deliveredTo'), 'deliveredTo'),
    attempts: needed(integerIn(fields, 'attempts', 1), 'attempts'),
    reroutedFrom: reroutedFrom.map(rerouteOf),
    queuedMs: needed(numberIn(fields, 'queuedMs'), 'queuedMs'),
    durationMs: needed(numberIn(fields, 'durationMs'), 'durationMs'),
  }
}

/** `null` if the head is about something else. @throws LiminalError `PAYLOAD_INVALID`. */
export function readWorkHead({ head }: Headed): WorkHead | null {
  if (head.work === undefined) return null
  const fields = objectOf(head.work, 'work')
  return {
    subject: needed(stringIn(fields, 'subject'), 'subject'),
    conversation: needed(decimalIn(fields, 'conversation'), 'conversation'),
    attempt: needed(integerIn(fields, 'attempt', 1), 'attempt'),
    deadline: numberIn(fields, 'deadline') ?? null,
    leaseMs: numberIn(fields, 'leaseMs') ?? null,
    key: stringIn(fields, 'key') ?? null,
    parentId: stringIn(fields, 'parentId') ?? null,
    vectorClockEntry: decimalIn(fields, 'vectorClockEntry') ?? null,
  }
}

/** @throws LiminalError `PAYLOAD_INVALID`. */
export function readAnswerHead({ head }: Headed): AnswerHead {
  return {
    status: oneIn(head, 'status', STATUSES),
    code: stringIn(head, 'code'),
    message: stringIn(head, 'message'),
    leaseMs: numberIn(head, 'leaseMs'),
    capacity: integerIn(head, 'capacity', 1),
  }
}

type Fields = Readonly<Record<string, unknown>>

function rerouteOf(value: unknown): RerouteHead {
  const fields = objectOf(value, 'reroutedFrom[]')
  return {
    consumer: needed(stringIn(fields, 'consumer'), 'consumer'),
    attempt: needed(integerIn(fields, 'attempt', 1), 'attempt'),
    reason: needed(oneIn(fields, 'reason', REASONS), 'reason'),
    microseconds: needed(numberIn(fields, 'microseconds'), 'microseconds'),
  }
}

function objectOf(value: unknown, member: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(member, 'an object')
  return value as Fields
}

/** A member that is left out, or `null`, is `undefined`. */
function memberOf(fields: Fields, member: string): unknown {
  const value = Object.hasOwn(fields, member) ? fields[member] : undefined
  return value === null ? undefined : value
}

function stringIn(fields: Fields, member: string): string | undefined {
  const value = memberOf(fields, member)
  if (value !== undefined && typeof value !== 'string') throw wrong(member, 'text')
  return value
}

function decimalIn(fields: Fields, member: string): string | undefined {
  const value = stringIn(fields, member)
  if (value !== undefined && !(/^\d{1,20}$/.test(value) && BigInt(value) <= 0xffff_ffff_ffff_ffffn)) {
    throw wrong(member, 'the decimal digits of a u64')
  }
  return value
}

function numberIn(fields: Fields, member: string): number | undefined {
  const value = memberOf(fields, member)
  if (value !== undefined && !(typeof value === 'number' && value >= 0)) throw wrong(member, 'a number of at least 0')
  return value
}

function integerIn(fields: Fields, member: string, least: number): number | undefined {
  const value = numberIn(fields, member)
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) {
    throw wrong(member, `an integer of at least ${least}`)
  }
  return value
}

function oneIn<Value extends string>(fields: Fields, member: string, values: readonly Value[]): Value | undefined {
  const value = memberOf(fields, member)
  if (value === undefined) return undefined
  const found = values.find((candidate) => candidate === value)
  if (found === undefined) throw wrong(member, `one of ${values.join(', ')}`)
  return found
}

function needed<Value>(value: Value | undefined, member: string): Value {
  if (value === undefined) throw wrong(member, 'there')
  return value
}

function wrong(member: string, what: string): LiminalError {
  return invalid(`'${member}' has to be ${what}`)
}

function invalid(why: string, cause?: unknown): LiminalError {
  return new LiminalError('PAYLOAD_INVALID', `The head of a message cannot be read: ${why}.`, { cause })
}
