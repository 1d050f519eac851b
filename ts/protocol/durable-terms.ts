import { type Fields, isU64Text, TermsFormat } from './terms.ts'

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

const MEMBERS = ['key', 'existing', 'onCrash', 'deadlineMs', 'idleTimeoutMs', 'parentId', 'vectorClockEntry']
const LONGEST_MS = 2_147_483_647
const FORMAT = new TermsFormat('a durable conversation')

/** The subject field of a ConversationOpen for a durable conversation. @throws LiminalError `INVALID_ARGUMENT`: the terms are longer than a frame may say. */
export function withDurableTerms(subject: string, terms: DurableOpenTerms): string {
  return FORMAT.write(subject, terms)
}

/**
 * Reads the subject field of a ConversationOpen for a durable conversation. Names are whoever uses them to check.
 *
 * @throws LiminalError `INVALID_ARGUMENT` that names what is wrong.
 */
export function readDurableTerms(field: string): { readonly subject: string; readonly terms: DurableOpenTerms } {
  const { name, fields } = FORMAT.read(field, MEMBERS)
  if (fields === null) throw FORMAT.invalid('there are none')
  return { subject: name, terms: termsOf(fields) }
}

function termsOf(fields: Fields): DurableOpenTerms {
  const { key, existing, onCrash, deadlineMs, idleTimeoutMs, parentId, vectorClockEntry } = fields
  if (typeof key !== 'string') throw FORMAT.wrong('key', 'text')
  if (existing !== undefined && typeof existing !== 'boolean') throw FORMAT.wrong('existing', 'true or false')
  if (onCrash !== undefined && onCrash !== 'fail' && onCrash !== 'route-to-next') {
    throw FORMAT.wrong('onCrash', "'fail' or 'route-to-next'")
  }
  if (parentId !== undefined && typeof parentId !== 'string') throw FORMAT.wrong('parentId', 'text')
  if (vectorClockEntry !== undefined && !isU64Text(vectorClockEntry)) {
    throw FORMAT.wrong('vectorClockEntry', 'the decimal digits of a u64')
  }
  return {
    key,
    existing,
    onCrash,
    deadlineMs: durationOf('deadlineMs', deadlineMs),
    idleTimeoutMs: durationOf('idleTimeoutMs', idleTimeoutMs),
    parentId,
    vectorClockEntry,
  }
}

function durationOf(member: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0 && value <= LONGEST_MS)) throw FORMAT.wrong(member, 'milliseconds')
  return value
}
