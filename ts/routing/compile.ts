import { type FieldPredicate, judgeField } from './evaluate.ts'
import { MISSING, readField } from './field-path.ts'
import type { FieldPath } from './field-path-text.ts'
import { checkPredicate, type Predicate } from './predicate.ts'

/** A predicate as a function. It keeps no message: at most the scalars that it read last. */
export type CompiledPredicate = (value: unknown) => boolean

type Test = (value: unknown) => boolean

/**
 * Makes a function of a predicate that answers as `evaluatePredicate` does (spec routing §3). Within a combinator cheap clauses go first, and among equally cheap
 * ones those whose field most siblings ask for; a field that several clauses ask for is read once for each message, and only if one of them is reached.
 * The predicate is left as it is.
 * @throws LiminalError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` as `checkPredicate`.
 */
export function compilePredicate(predicate: Predicate): CompiledPredicate {
  checkPredicate(predicate)
  const fields = new SharedFields()
  fields.count(predicate)
  const test = build(predicate, fields)
  return fields.areShared ? (value) => fields.during(test, value) : test
}

function build(predicate: Predicate, fields: SharedFields): Test {
  switch (predicate.kind) {
    case 'and': {
      const tests = arrange(flatten(predicate.clauses, 'and')).map((clause) => build(clause, fields))
      return (value) => {
        for (const test of tests) if (!test(value)) return false
        return true
      }
    }
    case 'or': {
      const tests = arrange(flatten(predicate.clauses, 'or')).map((clause) => build(clause, fields))
      return (value) => {
        for (const test of tests) if (test(value)) return true
        return false
      }
    }
    case 'not': {
      const test = build(predicate.clause, fields)
      return (value) => !test(value)
    }
    default:
      return buildField(predicate, fields)
  }
}

function buildField(predicate: FieldPredicate, fields: SharedFields): Test {
  const read = fields.reader(predicate.field)
  if (predicate.kind === 'in') {
    const values = new Set<unknown>(predicate.values)
    return (value) => values.has(read(value))
  }
  return (value) => judgeField(predicate, read(value))
}

/** An `and` within an `and` is one longer `and`; the same for `or`. */
function flatten(clauses: readonly Predicate[], kind: 'and' | 'or'): Predicate[] {
  return clauses.flatMap((clause) => (clause.kind === kind ? flatten(clause.clauses, kind) : [clause]))
}

function arrange(clauses: readonly Predicate[]): Predicate[] {
  const frequencies = new Map<string, number>()
  const weighed = clauses.map((clause) => {
    const field = primaryField(clause)
    if (field !== null) frequencies.set(field, (frequencies.get(field) ?? 0) + 1)
    return { clause, field, cost: cost(clause) }
  })
  const frequency = (field: string | null): number => (field === null ? 0 : (frequencies.get(field) ?? 0))
  return weighed
    .sort((one, other) => one.cost - other.cost || frequency(other.field) - frequency(one.field))
    .map(({ clause }) => clause)
}

function cost(predicate: Predicate): number {
  switch (predicate.kind) {
    case 'exists':
      return 1
    case 'comparison':
    case 'in':
    case 'prefix':
      return 2
    case 'range':
      return 3
    case 'not':
      return cost(predicate.clause)
    case 'and':
    case 'or':
      return predicate.clauses.reduce((sum, clause) => sum + cost(clause), 1)
  }
}

/** The one field that a clause asks for, as a key. */
function primaryField(predicate: Predicate): string | null {
  if (predicate.kind === 'not') return primaryField(predicate.clause)
  if (predicate.kind === 'and' || predicate.kind === 'or') return null
  return fieldKey(predicate.field)
}

function fieldKey(field: FieldPath): string {
  return JSON.stringify(field)
}

/** Stands for a container in the cache: no clause looks into one, and it must not be kept alive. */
const CONTAINER = Symbol('a list or an object')

/** The fields that more than one clause asks for, each with a place for its value in the message being judged. */
class SharedFields {
  readonly #uses = new Map<string, number>()
  readonly #places = new Map<string, number>()
  readonly #found: unknown[] = []
  /** Which judgement found it. */
  readonly #foundIn: number[] = []
  #judgements = 0
  #current = 0

  get areShared(): boolean {
    return this.#places.size > 0
  }

  count(predicate: Predicate): void {
    if (predicate.kind === 'not') this.count(predicate.clause)
    else if (predicate.kind === 'and' || predicate.kind === 'or') {
      for (const clause of predicate.clauses) this.count(clause)
    } else {
      const key = fieldKey(predicate.field)
      this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1)
    }
  }

  reader(field: FieldPath): (value: unknown) => unknown {
    const path = [...field]
    const key = fieldKey(path)
    if ((this.#uses.get(key) ?? 0) < 2) return (value) => readField(value, path)
    const place = this.#place(key)
    return (value) => {
      if (this.#foundIn[place] === this.#current) return this.#found[place]
      const judgement = this.#current
      const found = readField(value, path)
      const kept = typeof found === 'object' && found !== null ? CONTAINER : found
      this.#found[place] = kept
      this.#foundIn[place] = judgement
      return kept
    }
  }

  /** Judges one message. A getter in the message may judge another one meanwhile: each judgement finds only what it read itself. */
  during(test: Test, value: unknown): boolean {
    const before = this.#current
    this.#current = ++this.#judgements
    try {
      return test(value)
    } finally {
      this.#current = before
    }
  }

  #place(key: string): number {
    const known = this.#places.get(key)
    if (known !== undefined) return known
    const place = this.#found.length
    this.#places.set(key, place)
    this.#found.push(MISSING)
    this.#foundIn.push(0)
    return place
  }
}
