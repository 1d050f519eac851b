import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { codec } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { textOf } from '../thrown.ts'
import { inspectDefinition } from './definition.ts'
import { SchemaViolationError, violationsOf } from './violations.ts'

/** Payloads up to this size are searched for every violation; one violation for each element of a larger one could fill memory. */
const REPORT_ALL_BYTES = 64 * 1024

// Unknown keywords and formats are annotations, as the standard says. `ownProperties`: "constructor" is missing unless it was sent.
const OPTIONS = {
  strict: false,
  validateFormats: false,
  ownProperties: true,
  useDefaults: true,
  logger: false,
} as const

/** Knows the meta-schema. One for all, because compiling that takes longer than any schema. */
let metaSchema: Ajv2020 | null = null

/**
 * A JSON Schema (draft 2020-12), compiled once: what payloads of a channel must look like.
 *
 * A `default` fills what an object leaves out, wherever `properties` say so unconditionally; under `anyOf`, `if` and the like, and in arrays, it is an annotation.
 * References stay within the schema: nothing is ever fetched.
 */
export class Schema {
  /** SHA-256 of the canonical form, 32 bytes. */
  readonly id: Uint8Array
  readonly #owner: string
  readonly #definition: object | boolean
  readonly #hasDefaults: boolean
  readonly #validate: ValidateFunction
  #validateAll: ValidateFunction | null = null

  /**
   * @param definition The JSON Schema: an object or a boolean. It is copied.
   * @param owner Whose schema it is, for messages, e.g. "channel 'orders'".
   * @throws LiminalError `SCHEMA_INVALID` with the reason.
   */
  constructor(definition: unknown, owner: string) {
    this.id = codec.schemaId(definition)
    const inspected = inspectDefinition(definition, owner)
    this.#owner = owner
    this.#definition = inspected.definition
    this.#hasDefaults = inspected.hasDefaults
    this.#validate = compile(this.#definition, owner)
  }

  /**
   * Checks a payload. Returns `null` if it is to be published as it is, or the bytes to publish instead if a default was filled: compact JSON
   * then, with numbers as JavaScript has them.
   *
   * @throws LiminalError `PAYLOAD_INVALID` if it is not JSON; {@link SchemaViolationError} if it breaks the schema.
   */
  apply(payload: Uint8Array): Uint8Array | null {
    const value = decodePayload(payload, 'json')
    // Defaults only ever add: a filled one is seen in the number of members.
    const before = this.#hasDefaults ? countMembers(value) : 0
    if (!this.#holds(this.#validate, value)) throw this.#violation(payload)
    return this.#hasDefaults && countMembers(value) !== before ? encodePayload(value, 'json') : null
  }

  #violation(payload: Uint8Array): LiminalError {
    let errors = this.#validate.errors ?? []
    if (payload.length <= REPORT_ALL_BYTES) {
      this.#validateAll ??= compile(this.#definition, this.#owner, true)
      // Afresh: the first pass may have filled defaults before it failed.
      if (!this.#holds(this.#validateAll, decodePayload(payload, 'json'))) {
        errors = this.#validateAll.errors ?? errors
      }
    }
    return new SchemaViolationError(this.#owner, violationsOf(errors))
  }

  #holds(validate: ValidateFunction, value: unknown): boolean {
    try {
      return validate(value)
    } catch (error) {
      // A recursive schema follows the payload's nesting on the stack.
      const message = `The payload cannot be checked against the schema of ${this.#owner}: ${messageOf(error)}. It may be nested too deeply.`
      throw new LiminalError('PAYLOAD_INVALID', message, { cause: error })
    }
  }
}

function compile(definition: object | boolean, owner: string, allErrors = false): ValidateFunction {
  try {
    metaSchema ??= new Ajv2020({ strict: false, logger: false })
    if (metaSchema.validateSchema(definition) !== true) throw new Error(metaSchema.errorsText(metaSchema.errors))
    // An instance for each schema: an "$id" in one must not be found, or be in the way, in another.
    const compiled = new Ajv2020({ ...OPTIONS, allErrors, meta: false, validateSchema: false }).compile(definition)
    if ('$async' in compiled) throw new Error('"$async" schemas are not supported')
    return compiled
  } catch (error) {
    throw new LiminalError('SCHEMA_INVALID', `The schema of ${owner} cannot be used: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Members of all objects and arrays in a JSON value. */
function countMembers(value: unknown): number {
  let count = 0
  const open: object[] = typeof value === 'object' && value !== null ? [value] : []
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const member of Object.values(next)) {
      count++
      if (typeof member === 'object' && member !== null) open.push(member)
    }
  }
  return count
}

function messageOf(error: unknown): string {
  return textOf(error)
}
