import { usageError } from './failure.ts'

/**
 * Reads the fields of a JSON object and says exactly which one is wrong. Every field must be asked for: one that nobody asked for is an error.
 * Absent optionals may be `null` or left out.
 */
export class JsonFields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #asked = new Set<string>()

  /** @throws LiminalError `INVALID_ARGUMENT` if `value` is not an object. */
  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw usageError(`${path} must be a JSON object, not ${described(value)}`)
    }
    this.#values = { ...value }
    this.#path = path
  }

  /** An unsigned integer of at most 32 bits. */
  integer(name: string, bits: 8 | 16 | 32, fallback?: number): number {
    const value = this.#take(name) ?? fallback
    const most = 2 ** bits - 1
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
      throw this.#wrong(name, `an integer from 0 to ${most}`, value)
    }
    return value
  }

  /** A u64: a decimal string, as JSON numbers end at 2^53. */
  u64(name: string): bigint {
    const value = this.#take(name)
    if (typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) < 1n << 64n) return BigInt(value)
    throw this.#wrong(name, 'a decimal string from "0" to "18446744073709551615"', value)
  }

  text(name: string): string {
    return this.#text(name, this.#take(name))
  }

  /** Bytes as hex digits. */
  bytes(name: string): Uint8Array {
    return this.#hex(name, this.#take(name))
  }

  schemaId(name: string): Uint8Array {
    return this.#schemaId(name, this.#take(name))
  }

  fields(name: string): JsonFields {
    return new JsonFields(this.#take(name), `${this.#path}.${name}`)
  }

  texts(name: string): string[] {
    return this.#list(name).map((value, index) => this.#text(`${name}[${index}]`, value))
  }

  schemaIds(name: string): Uint8Array[] {
    return this.#list(name).map((value, index) => this.#schemaId(`${name}[${index}]`, value))
  }

  objects<T>(name: string, read: (fields: JsonFields) => T): T[] {
    return this.#list(name).map((value, index) => {
      const fields = new JsonFields(value, `${this.#path}.${name}[${index}]`)
      const result = read(fields)
      fields.end()
      return result
    })
  }

  /** `read(name)`, or null where the field is `null` or left out. */
  optional<T>(name: string, read: (name: string) => T): T | null {
    if (this.#take(name) !== undefined) return read(name)
    return null
  }

  /** @throws LiminalError `INVALID_ARGUMENT` if a field is left that nobody asked for. */
  end(): void {
    const unknown = Object.keys(this.#values).find((name) => !this.#asked.has(name))
    if (unknown !== undefined) throw usageError(`${this.#path} has no field ${JSON.stringify(unknown)}`)
  }

  /** The error of a field with the wrong value. */
  wrong(name: string, expected: string): Error {
    return this.#wrong(name, expected, this.#values[name])
  }

  #take(name: string): unknown {
    this.#asked.add(name)
    return Object.hasOwn(this.#values, name) ? (this.#values[name] ?? undefined) : undefined
  }

  #text(name: string, value: unknown): string {
    if (typeof value !== 'string') throw this.#wrong(name, 'a string', value)
    return value
  }

  #hex(name: string, value: unknown): Uint8Array {
    if (typeof value !== 'string' || value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) {
      throw this.#wrong(name, 'pairs of hex digits', value)
    }
    return Buffer.from(value, 'hex')
  }

  #schemaId(name: string, value: unknown): Uint8Array {
    const bytes = this.#hex(name, value)
    if (bytes.length !== 32) throw this.#wrong(name, '64 hex digits', value)
    return bytes
  }

  #list(name: string): readonly unknown[] {
    const value = this.#take(name)
    if (!Array.isArray(value)) throw this.#wrong(name, 'an array', value)
    return value
  }

  #wrong(name: string, expected: string, value: unknown): Error {
    return usageError(`${this.#path}.${name} must be ${expected}, not ${described(value)}`)
  }
}

function described(value: unknown): string {
  if (value === undefined) return 'left out'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
