import { LiminalError } from '../errors.ts'
import { LARGEST_TERMS_BYTES } from './subscribe-terms.ts'

/** How a durable conversation is held (extension `DURABLE`). What is left out has its default. */
export interface DurableOpenTerms {
  readonly key: string
  /** Whether it has to be there already. */
  readonly existing?: boolean | undefined
  readonly onCrash?: 'fail' | 'route-to-next' | undefined
  readonly deadlineMs?: number | undefined
  readonly idleTimeoutMs?: number | undefined
  readonly parentId?: string | undefined
  /** Decimal. */
  readonly vectorClockEntry?: string | undefined
}

/** Between the subject and the terms: a subject has no control characters. */
const SEPARATOR = '\0'
const MEMBERS = ['key', 'existing', 'onCrash', 'deadlineMs', 'idleTimeoutMs', 'parentId', 'vectorClockEntry']
const MAX_U64 = 0xffff_ffff_ffff_ffffn
const LONGEST_MS = 2_147_483_647

/** The subject field of a ConversationOpen for a durable conversation. @throws LiminalError `INVALID_ARGUMENT`: the terms are longer than a frame may say. */
export function withDurableTerms(subject: string, terms: DurableOpenTerms): string {
  const text = JSON.stringify(terms)
  checkLength(text)
  return `${subject}${SEPARATOR}${text}`
}

/**
 * Reads the subject field of a ConversationOpen for a durable conversation. Strict: a member that is not known would change what is meant. Names are whoever uses them to check.
 *
 * @throws LiminalError `INVALID_ARGUMENT` that names what is wrong.
 */
export function readDurableTerms(field: string): { readonly subject: string; readonly terms: DurableOpenTerms } {
  const split = field.indexOf(SEPARATOR)
  if (split === -1) throw invalid('there are none')
  const text = field.slice(split + 1)
  checkLength(text)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw invalid('they are not JSON', cause)
  }
  return { subject: field.slice(0, split), terms: termsOf(parsed) }
}

function termsOf(value: unknown): DurableOpenTerms {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('they must be an object')
  const stranger = Object.keys(value).find((member) => !MEMBERS.includes(member))
  if (stranger !== undefined) throw invalid(`'${stranger.slice(0, 64)}' is not known here`)
  const { key, existing, onCrash, deadlineMs, idleTimeoutMs, parentId, vectorClockEntry } = value as Record<
    string,
    unknown
  >
  if (typeof key !== 'string') throw wrong('key', 'text')
  if (existing !== undefined && typeof existing !== 'boolean') throw wrong('existing', 'true or false')
  if (onCrash !== undefined && onCrash !== 'fail' && onCrash !== 'route-to-next') {
    throw wrong('onCrash', "'fail' or 'route-to-next'")
  }
  if (parentId !== undefined && typeof parentId !== 'string') throw wrong('parentId', 'text')
  const isClock =
    typeof vectorClockEntry === 'string' && /^\d{1,20}$/.test(vectorClockEntry) && BigInt(vectorClockEntry) <= MAX_U64
  if (vectorClockEntry !== undefined && !isClock) throw wrong('vectorClockEntry', 'the decimal digits of a u64')
  return {
    key,
    existing,
    onCrash,
    deadlineMs: durationOf('deadlineMs', deadlineMs),
    idleTimeoutMs: durationOf('idleTimeoutMs', idleTimeoutMs),
    parentId,
    vectorClockEntry: isClock ? vectorClockEntry : undefined,
  }
}

function durationOf(member: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0 && value <= LONGEST_MS)) throw wrong(member, 'milliseconds')
  return value
}

function checkLength(text: string): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > LARGEST_TERMS_BYTES) throw invalid(`they have ${bytes} bytes, and ${LARGEST_TERMS_BYTES} are allowed`)
}

function wrong(member: string, what: string): LiminalError {
  return invalid(`'${member}' has to be ${what}`)
}

function invalid(why: string, cause?: unknown): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', `The terms of a durable conversation cannot be used: ${why}.`, { cause })
}
