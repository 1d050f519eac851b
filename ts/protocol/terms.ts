import { LiminalError } from '../errors.ts'

/** UTF-8 bytes of the terms' text, at most. */
export const LARGEST_TERMS_BYTES = 4_096

/** Between a name and the terms: names have no control characters. */
const SEPARATOR = '\0'
const MAX_U64 = 0xffff_ffff_ffff_ffffn

/** The members of an object whose names are known. */
export type Fields = Readonly<Record<string, unknown>>

/** Terms as JSON text behind the name in a frame's text field, and what is said of those that cannot be used. Strict: a member that is not known would change what is meant. */
export class TermsFormat {
  readonly #of: string

  /** @param of whose terms they are, for people. */
  constructor(of: string) {
    this.#of = of
  }

  /** The field: a name and its terms. @throws LiminalError `INVALID_ARGUMENT`: they are longer than a frame may say. */
  write(name: string, terms: object): string {
    const text = JSON.stringify(terms)
    this.#checkLength(text)
    return `${name}${SEPARATOR}${text}`
  }

  /** The name and the terms of a field; those are `null` if there are none. @throws LiminalError `INVALID_ARGUMENT`. */
  read(field: string, known: readonly string[]): { readonly name: string; readonly fields: Fields | null } {
    const split = field.indexOf(SEPARATOR)
    if (split === -1) return { name: field, fields: null }
    const text = field.slice(split + 1)
    this.#checkLength(text)
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (cause) {
      throw this.invalid('they are not JSON', cause)
    }
    return { name: field.slice(0, split), fields: this.fieldsOf(parsed, 'they', known) }
  }

  /** An object that has only known members. @throws LiminalError `INVALID_ARGUMENT`. */
  fieldsOf(value: unknown, what: string, known: readonly string[]): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.invalid(`${what} must be an object`)
    }
    const stranger = Object.keys(value).find((member) => !known.includes(member))
    if (stranger !== undefined) throw this.invalid(`'${stranger.slice(0, 64)}' is not known here`)
    return value as Fields
  }

  /** The error for a member that has not the value that it has to have. */
  wrong(member: string, what: string): LiminalError {
    return this.invalid(`'${member}' has to be ${what}`)
  }

  /** The error for terms that cannot be used. */
  invalid(why: string, cause?: unknown): LiminalError {
    return new LiminalError('INVALID_ARGUMENT', `The terms of ${this.#of} cannot be used: ${why}.`, { cause })
  }

  #checkLength(text: string): void {
    const bytes = Buffer.byteLength(text)
    if (bytes <= LARGEST_TERMS_BYTES) return
    throw this.invalid(`they have ${bytes} bytes, and ${LARGEST_TERMS_BYTES} are allowed`)
  }
}

/** Whether a value is the decimal digits of a u64. */
export function isU64Text(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) <= MAX_U64
}
