import { describe, invalidArgument } from '../arguments.ts'
import { MAX_PATH_SEGMENTS } from './field-path.ts'
import { type FieldPath, formatFieldPath, readFieldPath } from './field-path-text.ts'
import {
  type ComparisonOperator,
  checkPredicate,
  type Literal,
  MAX_PREDICATE_DEPTH,
  order,
  type Predicate,
} from './predicate.ts'
import { Tokens } from './predicate-tokens.ts'

/**
 * The text form of predicates, for rules in configuration:
 *
 *     amount > 1000 and currency in ["EUR", "CHF"] and not exists refund
 *     order.total between 10 and 20.5 or (customer["first.name"] starts with 'A' and items[0].sku != null)
 *
 * `not` binds more tightly than `and`, `and` more tightly than `or`. Operators: `=` (or `==`), `!=`, `<`, `<=`, `>`, `>=`, `between x and y`, `in [..]`,
 * `starts with`, `exists`. `true` and `false` stand for themselves. Strings are JSON strings, or the same in single quotes. A field whose name is a keyword or has other
 * characters goes in brackets: `["in"]`, `["first.name"]`.
 */

const OPERATORS: ReadonlyMap<string, ComparisonOperator> = new Map<string, ComparisonOperator>([
  ['=', 'eq'],
  ['==', 'eq'],
  ['!=', 'ne'],
  ['<', 'lt'],
  ['<=', 'lte'],
  ['>', 'gt'],
  ['>=', 'gte'],
])

/**
 * The predicate that a text stands for.
 * @throws PredicateSyntaxError (`INVALID_ARGUMENT`), whose message shows the place; LiminalError `LIMIT_EXCEEDED` for too many clauses.
 */
export function parsePredicate(text: string): Predicate {
  if (typeof text !== 'string') throw invalidArgument('predicate', 'a string', text)
  const tokens = new Tokens(text)
  const predicate = readOr(tokens, 1)
  if (tokens.peek().kind !== 'end') throw tokens.unexpected("'and', 'or' or the end")
  checkPredicate(predicate)
  return predicate
}

function readOr(tokens: Tokens, depth: number): Predicate {
  return readList(tokens, 'or', depth, readAnd)
}

function readAnd(tokens: Tokens, depth: number): Predicate {
  return readList(tokens, 'and', depth, readUnary)
}

function readList(
  tokens: Tokens,
  kind: 'and' | 'or',
  depth: number,
  readClause: (tokens: Tokens, depth: number) => Predicate,
): Predicate {
  const first = readClause(tokens, depth)
  const clauses = [first]
  while (tokens.skip(kind)) clauses.push(readClause(tokens, depth))
  return clauses.length === 1 ? first : Object.freeze({ kind, clauses: Object.freeze(clauses) })
}

function readUnary(tokens: Tokens, depth: number): Predicate {
  // Each level may take three levels of the predicate: an `or`, an `and` and a `not`. The check at the end is the exact one.
  if (depth > MAX_PREDICATE_DEPTH) {
    throw tokens.failure(`A predicate may be nested ${MAX_PREDICATE_DEPTH} deep`, tokens.peek().offset)
  }
  if (tokens.skip('not')) return Object.freeze({ kind: 'not', clause: readUnary(tokens, depth + 1) })
  if (tokens.skip('(')) {
    const inner = readOr(tokens, depth + 1)
    if (!tokens.skip(')')) throw tokens.unexpected("')', 'and' or 'or'")
    return inner
  }
  if (tokens.skip('true')) return Object.freeze({ kind: 'and', clauses: [] })
  if (tokens.skip('false')) return Object.freeze({ kind: 'or', clauses: [] })
  if (tokens.skip('exists')) return Object.freeze({ kind: 'exists', field: readField(tokens) })
  return readClause(tokens)
}

function readClause(tokens: Tokens): Predicate {
  const field = readField(tokens)
  if (tokens.skip('in')) return Object.freeze({ kind: 'in', field, values: readValues(tokens) })
  if (tokens.skip('between')) return readRange(tokens, field)
  if (tokens.skip('starts')) {
    if (!tokens.skip('with')) throw tokens.unexpected("'with' behind 'starts'")
    if (tokens.peek().kind !== 'string') throw tokens.unexpected('a string')
    return Object.freeze({ kind: 'prefix', field, prefix: String(tokens.take().value) })
  }
  const operator = OPERATORS.get(tokens.peek().text)
  if (operator === undefined || tokens.peek().kind !== 'mark') {
    throw tokens.unexpected("a comparison ('=', '!=', '<', '<=', '>', '>=', 'between', 'in', 'starts with')")
  }
  tokens.take()
  const value = operator === 'eq' || operator === 'ne' ? readLiteral(tokens) : readOrdered(tokens)
  return Object.freeze({ kind: 'comparison', field, operator, value })
}

function readRange(tokens: Tokens, field: FieldPath): Predicate {
  const lower = readOrdered(tokens)
  if (!tokens.skip('and')) throw tokens.unexpected("'and' between the bounds")
  const { offset } = tokens.peek()
  const upper = readOrdered(tokens)
  if (typeof lower !== typeof upper) throw tokens.failure('Both bounds must be of one type', offset)
  if (order(lower, upper) === 1) throw tokens.failure(`The upper bound is below ${describe(lower)}`, offset)
  return Object.freeze({ kind: 'range', field, lower, upper })
}

function readValues(tokens: Tokens): readonly Literal[] {
  if (!tokens.skip('[')) throw tokens.unexpected("'[' behind 'in'")
  const values: Literal[] = []
  if (tokens.skip(']')) return Object.freeze(values)
  do values.push(readLiteral(tokens))
  while (tokens.skip(','))
  if (!tokens.skip(']')) throw tokens.unexpected("',' or ']'")
  return Object.freeze(values)
}

function readField(tokens: Tokens): FieldPath {
  const { offset } = tokens.peek()
  const field = readFieldPath(tokens)
  if (field.length > MAX_PATH_SEGMENTS) throw tokens.failure(`A field may have ${MAX_PATH_SEGMENTS} parts`, offset)
  return field
}

function readLiteral(tokens: Tokens): Literal {
  if (tokens.skip('true')) return true
  if (tokens.skip('false')) return false
  if (tokens.skip('null')) return null
  const { kind, value } = tokens.peek()
  if (kind === 'string' || kind === 'number') {
    tokens.take()
    return value
  }
  throw tokens.unexpected('a string, a number, true, false or null')
}

function readOrdered(tokens: Tokens): string | number {
  const { value } = tokens.peek()
  if (value === null) throw tokens.unexpected('a string or a number')
  tokens.take()
  return value
}

const SIGNS: { readonly [operator in ComparisonOperator]: string } = {
  eq: '=',
  ne: '!=',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
}

/** The text of a predicate, which parses to one that gives the same answers. @throws LiminalError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` as `checkPredicate`. */
export function formatPredicate(predicate: Predicate): string {
  checkPredicate(predicate)
  return format(predicate)
}

function format(predicate: Predicate): string {
  switch (predicate.kind) {
    case 'and':
    case 'or': {
      const [first, ...others] = predicate.clauses
      if (first === undefined) return predicate.kind === 'and' ? 'true' : 'false'
      return others.length === 0 ? format(first) : predicate.clauses.map(bracket).join(` ${predicate.kind} `)
    }
    case 'not':
      return `not ${bracket(predicate.clause)}`
    case 'exists':
      return `exists ${formatFieldPath(predicate.field)}`
    case 'in':
      return `${formatFieldPath(predicate.field)} in [${predicate.values.map(formatLiteral).join(', ')}]`
    case 'prefix':
      return `${formatFieldPath(predicate.field)} starts with ${formatLiteral(predicate.prefix)}`
    case 'range':
      return `${formatFieldPath(predicate.field)} between ${formatLiteral(predicate.lower)} and ${formatLiteral(predicate.upper)}`
    case 'comparison':
      return `${formatFieldPath(predicate.field)} ${SIGNS[predicate.operator]} ${formatLiteral(predicate.value)}`
  }
}

function bracket(predicate: Predicate): string {
  if (predicate.kind !== 'and' && predicate.kind !== 'or') return format(predicate)
  const { clauses } = predicate
  // A list of one is written as its clause, which may need the brackets itself.
  if (clauses.length === 1) return bracket(clauses[0])
  return clauses.length === 0 ? format(predicate) : `(${format(predicate)})`
}

function formatLiteral(literal: Literal): string {
  return JSON.stringify(literal)
}
