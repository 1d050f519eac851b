import { describe } from '../arguments.ts'
import { LiminalError } from '../errors.ts'

/** A schema definition, copied, and what matters about it. */
export interface InspectedDefinition {
  readonly definition: object | boolean
  /** Whether anything in it may be a default: `false` only if nothing is. */
  readonly hasDefaults: boolean
}

/**
 * Copies a definition, so that nobody changes it later, and looks it through.
 * @throws LiminalError `SCHEMA_INVALID` if it is neither object nor boolean, or uses the name `__proto__`.
 */
export function inspectDefinition(given: unknown, owner: string): InspectedDefinition {
  const definition: unknown = JSON.parse(JSON.stringify(given))
  if (typeof definition === 'boolean') return { definition, hasDefaults: false }
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) {
    throw invalid(owner, `it must be an object or a boolean, but is ${describe(definition)}`)
  }
  let hasDefaults = false
  const open: object[] = [definition]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const [name, member] of Object.entries(next)) {
      // Validators ignore this name, or write through it into a prototype.
      if (name === '__proto__') throw invalid(owner, 'the name "__proto__" cannot be used in it')
      if (name === 'default') hasDefaults = true
      if (typeof member === 'object' && member !== null) open.push(member)
    }
  }
  return { definition, hasDefaults }
}

function invalid(owner: string, why: string): LiminalError {
  return new LiminalError('SCHEMA_INVALID', `The schema of ${owner} cannot be used: ${why}.`)
}
