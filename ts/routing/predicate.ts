import { invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { checkFieldPath, fieldPath } from './field-path.ts'
import type { FieldPath } from './field-path-text.ts'

/** Predicates over JSON values, as data (spec routing §1). How they judge is written in docs/decisions/routing.md. */

/** What a field is compared with: what JSON has that is not a container. Numbers are finite. */
export type Literal = string | number | boolean | null

/** `eq` and `ne` take any literal; the others have an order and take numbers and strings. */
export type ComparisonOperator = 'eq' | 'ne' | 'lt' | 'lte' | 'gt' | 'gte'

/** True if the field compares like that with the literal. `ne` is exactly the opposite of `eq`: true also where the field is missing or of another type. */
export interface ComparisonPredicate {
  readonly kind: 'comparison'
  readonly field: FieldPath
  readonly operator: ComparisonOperator
  readonly value: Literal
}

/** True if the field is within both bounds, which belong to it. Both are numbers, or both are strings, and `lower` is not above `upper`. */
export interface RangePredicate {
  readonly kind: 'range'
  readonly field: FieldPath
  readonly lower: string | number
  readonly upper: string | number
}

/** True if the field is there, `null` included. */
export interface ExistsPredicate {
  readonly kind: 'exists'
  readonly field: FieldPath
}

/** True if the field equals one of the values. */
export interface InPredicate {
  readonly kind: 'in'
  readonly field: FieldPath
  readonly values: readonly Literal[]
}

/** True if the field is a string that begins with `prefix`. */
export interface PrefixPredicate {
  readonly kind: 'prefix'
  readonly field: FieldPath
  readonly prefix: string
}

/** True if every clause is; without clauses true. */
export interface AndPredicate {
  readonly kind: 'and'
  readonly clauses: readonly Predicate[]
}

/** True if any clause is; without clauses false. */
export interface OrPredicate {
  readonly kind: 'or'
  readonly clauses: readonly Predicate[]
}

/** True if the clause is false. */
export interface NotPredicate {
  readonly kind: 'not'
  readonly clause: Predicate
}

/** A question about one message. */
export type Predicate =
  | ComparisonPredicate
  | RangePredicate
  | ExistsPredicate
  | InPredicate
  | PrefixPredicate
  | AndPredicate
  | OrPredicate
  | NotPredicate

/** How deep predicates may be nested: a comparison alone has depth 1. */
export const MAX_PREDICATE_DEPTH = 64
/** Most clauses of a predicate, combinators and the values of `in` included. */
export const MAX_PREDICATE_CLAUSES = 4_096

const OPERATORS: readonly string[] = ['eq', 'ne', 'lt', 'lte', 'gt', 'gte'] satisfies ComparisonOperator[]

/** `field` compared with `value`. @throws LiminalError `INVALID_ARGUMENT` for a bad path, or an order asked of a boolean or `null`. */
export function compare(field: string | FieldPath, operator: ComparisonOperator, value: Literal): ComparisonPredicate {
  return checked({ kind: 'comparison', field: fieldPath(field), operator, value })
}

/** `field` from `lower` to `upper`, both included. @throws LiminalError `INVALID_ARGUMENT` for bounds of different types or in the wrong order. */
export function range<Bound extends string | number>(
  field: string | FieldPath,
  lower: Bound,
  upper: Bound,
): RangePredicate {
  return checked({ kind: 'range', field: fieldPath(field), lower, upper })
}

/** Whether `field` is there. @throws LiminalError `INVALID_ARGUMENT` for a bad path. */
export function exists(field: string | FieldPath): ExistsPredicate {
  return checked({ kind: 'exists', field: fieldPath(field) })
}

/** Whether `field` equals one of `values`. @throws LiminalError `INVALID_ARGUMENT` for a bad path or values that are no literals. */
export function oneOf(field: string | FieldPath, values: readonly Literal[]): InPredicate {
  return checked({ kind: 'in', field: fieldPath(field), values: Object.freeze([...values]) })
}

/** Whether `field` is a string that begins with `prefix`. @throws LiminalError `INVALID_ARGUMENT` for a bad path. */
export function startsWith(field: string | FieldPath, prefix: string): PrefixPredicate {
  return checked({ kind: 'prefix', field: fieldPath(field), prefix })
}

/** Whether all hold. @throws LiminalError `INVALID_ARGUMENT` for what is no predicate, `LIMIT_EXCEEDED` if it nests too deep or has too many clauses. */
export function and(...clauses: readonly Predicate[]): AndPredicate {
  return checked({ kind: 'and', clauses: Object.freeze([...clauses]) })
}

/** Whether any holds. @throws LiminalError as {@link and}. */
export function or(...clauses: readonly Predicate[]): OrPredicate {
  return checked({ kind: 'or', clauses: Object.freeze([...clauses]) })
}

/** Whether it does not hold. @throws LiminalError as {@link and}. */
export function not(clause: Predicate): NotPredicate {
  return checked({ kind: 'not', clause })
}

/**
 * Checks a predicate from anywhere, for instance from JSON.
 * @throws LiminalError `INVALID_ARGUMENT` that names the member, `LIMIT_EXCEEDED` past {@link MAX_PREDICATE_DEPTH} or {@link MAX_PREDICATE_CLAUSES}.
 */
export function checkPredicate(predicate: unknown): asserts predicate is Predicate {
  visit(predicate, 'predicate', 1, { clauses: 0 })
}

function checked<Kind extends Predicate>(predicate: Kind): Kind {
  checkPredicate(predicate)
  return Object.freeze(predicate)
}

function visit(value: unknown, where: string, depth: number, count: { clauses: number }): void {
  if (depth > MAX_PREDICATE_DEPTH) {
    throw new LiminalError('LIMIT_EXCEEDED', `A predicate may be nested ${MAX_PREDICATE_DEPTH} deep. Flatten it.`)
  }
  if (typeof value !== 'object' || value === null || !('kind' in value)) {
    throw invalidArgument(where, 'a predicate', value)
  }
  countClauses(count, 1)
  const predicate = value as Predicate
  switch (predicate.kind) {
    case 'and':
    case 'or':
      if (!Array.isArray(predicate.clauses)) throw invalidArgument(`${where}.clauses`, 'a list', predicate.clauses)
      predicate.clauses.forEach((clause, at) => {
        visit(clause, `${where}.clauses[${at}]`, depth + 1, count)
      })
      return
    case 'not':
      visit(predicate.clause, `${where}.clause`, depth + 1, count)
      return
    case 'comparison':
      checkFieldPath(`${where}.field`, predicate.field)
      if (!OPERATORS.includes(predicate.operator)) {
        throw invalidArgument(`${where}.operator`, OPERATORS.join(', '), predicate.operator)
      }
      if (predicate.operator === 'eq' || predicate.operator === 'ne') checkLiteral(`${where}.value`, predicate.value)
      else checkOrdered(`${where}.value`, predicate.value)
      return
    case 'range':
      checkFieldPath(`${where}.field`, predicate.field)
      checkRange(where, predicate)
      return
    case 'exists':
      checkFieldPath(`${where}.field`, predicate.field)
      return
    case 'in':
      checkFieldPath(`${where}.field`, predicate.field)
      if (!Array.isArray(predicate.values)) throw invalidArgument(`${where}.values`, 'a list', predicate.values)
      countClauses(count, predicate.values.length)
      predicate.values.forEach((literal, at) => {
        checkLiteral(`${where}.values[${at}]`, literal)
      })
      return
    case 'prefix':
      checkFieldPath(`${where}.field`, predicate.field)
      if (typeof predicate.prefix !== 'string') throw invalidArgument(`${where}.prefix`, 'a string', predicate.prefix)
      return
    default:
      throw invalidArgument(`${where}.kind`, 'a kind of predicate', Reflect.get(value, 'kind'))
  }
}

function countClauses(count: { clauses: number }, more: number): void {
  count.clauses += more
  if (count.clauses > MAX_PREDICATE_CLAUSES) {
    throw new LiminalError('LIMIT_EXCEEDED', `A predicate may have ${MAX_PREDICATE_CLAUSES} clauses. Split it.`)
  }
}

function checkLiteral(argument: string, value: unknown): void {
  const fits = value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
  if (!fits) throw invalidArgument(argument, 'a string, a finite number, a boolean or null', value)
}

function checkOrdered(argument: string, value: unknown): void {
  // Such a clause could never hold: better told to its author than found out.
  if (typeof value !== 'string' && !Number.isFinite(value)) {
    throw invalidArgument(argument, 'a string or a finite number, which have an order', value)
  }
}

function checkRange(where: string, { lower, upper }: RangePredicate): void {
  checkOrdered(`${where}.lower`, lower)
  checkOrdered(`${where}.upper`, upper)
  if (typeof lower !== typeof upper) throw invalidArgument(`${where}.upper`, `a ${typeof lower}, as is lower`, upper)
  if (order(lower, upper) === 1) throw invalidArgument(`${where}.upper`, 'at least lower', upper)
}

/**
 * Which of two values is first: -1, 0 or 1; `undefined` if they have no order between them. Numbers by size, whatever way they are written; strings by their
 * code points, which is the order of their UTF-8 bytes.
 */
export function order(one: unknown, other: unknown): -1 | 0 | 1 | undefined {
  if (typeof one === 'number' && typeof other === 'number') {
    if (one < other) return -1
    if (one > other) return 1
    return one === other ? 0 : undefined
  }
  if (typeof one === 'string' && typeof other === 'string') return orderText(one, other)
  return undefined
}

function orderText(one: string, other: string): -1 | 0 | 1 {
  if (one === other) return 0
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    const left = one.charCodeAt(at)
    const right = other.charCodeAt(at)
    if (left !== right) return rank(left) < rank(right) ? -1 : 1
  }
  return one.length < other.length ? -1 : 1
}

/** Halves of code points above U+FFFF come after all others, although their numbers are lower than those of U+E000 to U+FFFF. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
