import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compilePredicate,
  evaluatePredicate,
  formatPredicate,
  type Predicate,
  parsePredicate,
} from '../../ts/routing/index.ts'

// Few names and values, so that predicates and messages meet.
const name = fc.constantFrom('a', 'b', 'first.name', 'in', '0', '')
const text = fc.oneof(
  fc.constantFrom('', 'a', 'ab', "it's", '"', '\\', '\n'),
  fc.string({ unit: 'binary', maxLength: 3 }),
)
const number = fc.oneof(fc.constantFrom(0, -0, 1, 1.5, -2, 1e300), fc.double({ noNaN: true, noDefaultInfinity: true }))
const literal = fc.oneof(text, number, fc.boolean(), fc.constant(null))
const field = fc.array(name, { minLength: 1, maxLength: 3 })
const ordered = fc.oneof(text, number)

const bounds = fc.oneof(fc.tuple(number, number), fc.tuple(text, text)).filter(([lower, upper]) => {
  const one = Buffer.from(String(lower))
  const other = Buffer.from(String(upper))
  return typeof lower === 'number'
    ? lower <= Number(upper)
    : Buffer.compare(one, other) <= 0 && isWhole(String(lower), String(upper))
})

/** Lone halves of code points have no UTF-8 form to compare. */
function isWhole(...texts: string[]): boolean {
  return texts.every((one) => !/\p{Cs}/u.test(one))
}

const { predicate } = fc.letrec<{ predicate: Predicate }>((tie) => ({
  predicate: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.record({ kind: fc.constant('exists' as const), field }),
    fc.record({
      kind: fc.constant('comparison' as const),
      field,
      operator: fc.constantFrom('eq' as const, 'ne' as const),
      value: literal,
    }),
    fc.record({
      kind: fc.constant('comparison' as const),
      field,
      operator: fc.constantFrom('lt' as const, 'lte' as const, 'gt' as const, 'gte' as const),
      value: ordered,
    }),
    fc.record({ kind: fc.constant('in' as const), field, values: fc.array(literal, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('prefix' as const), field, prefix: text }),
    fc.tuple(field, bounds).map(([path, [lower, upper]]): Predicate => ({ kind: 'range', field: path, lower, upper })),
    fc.record({ kind: fc.constant('not' as const), clause: tie('predicate') }),
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      clauses: fc.array(tie('predicate'), { maxLength: 4 }),
    }),
  ),
}))

const message = fc.oneof(
  fc.dictionary(
    name,
    fc.oneof(literal, fc.array(literal, { maxLength: 2 }), fc.dictionary(name, literal, { maxKeys: 3 })),
    { maxKeys: 5 },
  ),
  fc.jsonValue({ maxDepth: 2 }),
)

describe('any predicate and any message', () => {
  it('get one answer, compiled or not, and the predicate stays as it is', () => {
    fc.assert(
      fc.property(predicate, fc.array(message, { minLength: 1, maxLength: 5 }), (clause, messages) => {
        const before = JSON.stringify(clause)
        const compiled = compilePredicate(clause)
        for (const one of messages) expect(compiled(one)).toBe(evaluatePredicate(clause, one))
        expect(JSON.stringify(clause)).toBe(before)
      }),
      { numRuns: 1_000 },
    )
  })

  it('get the same answer when the predicate went through its text', () => {
    fc.assert(
      fc.property(predicate, fc.array(message, { minLength: 1, maxLength: 5 }), (clause, messages) => {
        const written = formatPredicate(clause)
        const read = parsePredicate(written)
        expect(formatPredicate(read)).toBe(written)
        for (const one of messages) expect(evaluatePredicate(read, one)).toBe(evaluatePredicate(clause, one))
      }),
      { numRuns: 1_000 },
    )
  })
})
