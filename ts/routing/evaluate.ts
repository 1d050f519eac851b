import { LiminalError } from '../errors.ts'
import { MISSING, readField } from './field-path.ts'
import {
  type ComparisonPredicate,
  type InPredicate,
  MAX_PREDICATE_DEPTH,
  order,
  type Predicate,
  type PrefixPredicate,
  type RangePredicate,
} from './predicate.ts'

/**
 * What a predicate says of a JSON value (spec routing §2), clause by clause in the order written. `compilePredicate` gives the same answers faster.
 * @throws LiminalError `LIMIT_EXCEEDED` for a predicate that nests deeper than `MAX_PREDICATE_DEPTH`.
 */
export function evaluatePredicate(predicate: Predicate, value: unknown): boolean {
  return judge(predicate, value, 1)
}

function judge(predicate: Predicate, value: unknown, depth: number): boolean {
  if (depth > MAX_PREDICATE_DEPTH) {
    throw new LiminalError('LIMIT_EXCEEDED', `A predicate may be nested ${MAX_PREDICATE_DEPTH} deep. Flatten it.`)
  }
  switch (predicate.kind) {
    case 'and':
      return predicate.clauses.every((clause) => judge(clause, value, depth + 1))
    case 'or':
      return predicate.clauses.some((clause) => judge(clause, value, depth + 1))
    case 'not':
      return !judge(predicate.clause, value, depth + 1)
    default:
      return judgeField(predicate, readField(value, predicate.field))
  }
}

/** A predicate about one field. */
export type FieldPredicate = Exclude<Predicate, { readonly kind: 'and' | 'or' | 'not' }>

/** What a predicate about one field says of that field's value, which may be `MISSING`. */
export function judgeField(predicate: FieldPredicate, found: unknown): boolean {
  switch (predicate.kind) {
    case 'exists':
      return found !== MISSING
    case 'comparison':
      return judgeComparison(predicate, found)
    case 'range':
      return judgeRange(predicate, found)
    case 'in':
      return judgeIn(predicate, found)
    case 'prefix':
      return judgePrefix(predicate, found)
  }
}

function judgeComparison({ operator, value }: ComparisonPredicate, found: unknown): boolean {
  switch (operator) {
    case 'eq':
      return found === value
    case 'ne':
      return found !== value
    case 'lt':
      return order(found, value) === -1
    case 'gt':
      return order(found, value) === 1
    case 'lte': {
      const result = order(found, value)
      return result === -1 || result === 0
    }
    case 'gte': {
      const result = order(found, value)
      return result === 1 || result === 0
    }
  }
}

function judgeRange({ lower, upper }: RangePredicate, found: unknown): boolean {
  const fromLower = order(found, lower)
  if (fromLower !== 0 && fromLower !== 1) return false
  const fromUpper = order(found, upper)
  return fromUpper === 0 || fromUpper === -1
}

function judgeIn({ values }: InPredicate, found: unknown): boolean {
  return values.some((value) => value === found)
}

function judgePrefix({ prefix }: PrefixPredicate, found: unknown): boolean {
  return typeof found === 'string' && found.startsWith(prefix)
}
