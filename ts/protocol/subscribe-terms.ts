import { type Fields, isU64Text, TermsFormat } from './terms.ts'

/** Where a subscription begins in the log of a durable channel. A time is in milliseconds since the epoch. */
export type TermsStart = 'latest' | 'earliest' | { readonly position: bigint } | { readonly time: number }

/** When a cursor writes down how far it has accepted. */
export type TermsCheckpoint = 'message' | 'explicit' | { readonly every: number; readonly withinMs?: number }

/** A named cursor, and how its owner wants it. What is left out has its default. */
export interface CursorTerms {
  readonly name: string
  readonly checkpoint?: TermsCheckpoint | undefined
  readonly leaseMs?: number | undefined
  /** `'taken'`: when the peer says that its subscriber has the delivery; what it never had costs no attempt. Left out: when the delivery is sent. */
  readonly leaseBegins?: 'taken' | undefined
  readonly maxAttempts?: number | undefined
  readonly deadLetter?: string | undefined
}

/** What a Subscribe says beside its fields (extension `DURABLE`). */
export interface SubscribeTerms {
  readonly from: TermsStart
  readonly cursor: CursorTerms | null
  /** Whether deliveries are accepted one by one, in any order. */
  readonly acceptsEach: boolean
}

const FORMAT = new TermsFormat('a subscription')
const DEFAULTS: SubscribeTerms = { from: 'latest', cursor: null, acceptsEach: false }
const OF_CURSORS = ['checkpoint', 'leaseMs', 'leaseBegins', 'maxAttempts', 'deadLetter'] as const
const MEMBERS = ['from', 'cursor', 'accept', ...OF_CURSORS] as const

/** The channel field of a Subscribe with terms: the name alone where they are the defaults. @throws LiminalError `INVALID_ARGUMENT`: they are longer than a frame may say. */
export function withSubscribeTerms(channel: string, terms: SubscribeTerms): string {
  const { from, cursor, acceptsEach } = terms
  if (from === 'latest' && cursor === null && !acceptsEach) return channel
  const start = typeof from === 'object' && 'position' in from ? { position: from.position.toString() } : from
  return FORMAT.write(channel, {
    from: start,
    ...(cursor === null ? {} : { ...cursor, name: undefined, cursor: cursor.name }),
    ...(acceptsEach ? { accept: 'each' } : {}),
  })
}

/**
 * Reads the channel field of a Subscribe with terms. Names are whoever uses them to check.
 *
 * @throws LiminalError `INVALID_ARGUMENT` that names what is wrong.
 */
export function readSubscribeTerms(field: string): { readonly channel: string; readonly terms: SubscribeTerms } {
  const { name, fields } = FORMAT.read(field, MEMBERS)
  return { channel: name, terms: fields === null ? DEFAULTS : termsOf(fields) }
}

function termsOf(fields: Fields): SubscribeTerms {
  if (fields.accept !== undefined && fields.accept !== 'each') throw FORMAT.wrong('accept', "'each', or left out")
  return {
    from: fields.from === undefined ? 'latest' : startOf(fields.from),
    cursor: cursorOf(fields),
    acceptsEach: fields.accept === 'each',
  }
}

function startOf(value: unknown): TermsStart {
  if (value === 'latest' || value === 'earliest') return value
  const fields = FORMAT.fieldsOf(value, 'from', ['position', 'time'])
  const { position, time } = fields
  if (Object.keys(fields).length !== 1) throw FORMAT.wrong('from', 'a position or a time')
  if (time !== undefined) {
    const isTime = typeof time === 'number' && time >= 0 && time <= Number.MAX_SAFE_INTEGER
    if (!isTime) throw FORMAT.wrong('from.time', 'milliseconds since the epoch')
    return { time }
  }
  if (!isU64Text(position)) throw FORMAT.wrong('from.position', 'the decimal digits of a u64')
  return { position: BigInt(position) }
}

function cursorOf(fields: Fields): CursorTerms | null {
  const { cursor: name, checkpoint, leaseMs, leaseBegins, maxAttempts, deadLetter } = fields
  if (name === undefined) {
    const stray = OF_CURSORS.find((member) => fields[member] !== undefined)
    if (stray !== undefined) throw FORMAT.invalid(`'${stray}' needs a 'cursor'`)
    return null
  }
  if (typeof name !== 'string') throw FORMAT.wrong('cursor', 'text')
  if (leaseBegins !== undefined && leaseBegins !== 'taken') throw FORMAT.wrong('leaseBegins', "'taken', or left out")
  if (deadLetter !== undefined && typeof deadLetter !== 'string') throw FORMAT.wrong('deadLetter', 'text')
  return {
    name,
    checkpoint: checkpoint === undefined ? undefined : checkpointOf(checkpoint),
    leaseMs: countOf('leaseMs', leaseMs),
    leaseBegins,
    maxAttempts: countOf('maxAttempts', maxAttempts),
    deadLetter,
  }
}

function checkpointOf(value: unknown): TermsCheckpoint {
  if (value === 'message' || value === 'explicit') return value
  const { every, withinMs } = FORMAT.fieldsOf(value, 'checkpoint', ['every', 'withinMs'])
  const count = countOf('checkpoint.every', every)
  if (count === undefined) throw FORMAT.wrong('checkpoint.every', 'there')
  const within = countOf('checkpoint.withinMs', withinMs)
  return within === undefined ? { every: count } : { every: count, withinMs: within }
}

function countOf(member: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw FORMAT.wrong(member, 'an integer of at least 1')
  }
  return value
}
