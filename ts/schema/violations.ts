import type { ErrorObject } from 'ajv'
import { LiminalError } from '../errors.ts'

/** One place where a payload breaks its schema. */
export interface Violation {
  /** JSON Pointer (RFC 6901) into the payload; empty for the payload itself. */
  readonly path: string
  /** What it must be, as the subject's predicate: "must be string". */
  readonly message: string
  /** The schema keyword that says so. */
  readonly keyword: string
}

/** Violations that a message spells out. */
const SPELLED_OUT = 5

/** `PAYLOAD_INVALID` with each place that was wrong. */
export class SchemaViolationError extends LiminalError {
  /** At least one. All of them for a payload up to 64 KiB, the first for a larger one. */
  readonly violations: readonly Violation[]

  /** @param owner Whose schema it is, e.g. "channel 'orders'". */
  constructor(owner: string, violations: readonly Violation[]) {
    const list = violations
      .slice(0, SPELLED_OUT)
      .map(({ path, message }) => `${path === '' ? '(root)' : path} ${message}`)
    const more = violations.length > SPELLED_OUT ? ` (and ${violations.length - SPELLED_OUT} more)` : ''
    super('PAYLOAD_INVALID', `The payload breaks the schema of ${owner}: ${list.join('; ')}${more}.`)
    this.violations = violations
  }

  override get name(): string {
    return 'SchemaViolationError'
  }
}

/** Violations from what Ajv reports. */
export function violationsOf(errors: readonly ErrorObject[]): Violation[] {
  return errors.map((error) => {
    const extra = error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties'
    // Ajv reports an unwanted property at its object; the path of what is wrong is the property's.
    const property: unknown = extra ? Object.values(error.params)[0] : undefined
    return {
      path: typeof property === 'string' ? `${error.instancePath}/${escapePointer(property)}` : error.instancePath,
      message: typeof property === 'string' ? 'is not allowed' : (error.message ?? `breaks "${error.keyword}"`),
      keyword: error.keyword,
    }
  })
}

function escapePointer(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1')
}
