import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LiminalError } from '../../ts/errors.ts'
import {
  and,
  compare,
  exists,
  formatFieldPath,
  formatPredicate,
  not,
  oneOf,
  or,
  PredicateSyntaxError,
  parsePredicate,
  range,
  startsWith,
} from '../../ts/routing/index.ts'

function failure(text: string): PredicateSyntaxError {
  try {
    parsePredicate(text)
  } catch (error) {
    if (error instanceof PredicateSyntaxError) return error
    throw error
  }
  throw new Error(`It should not parse: ${text}`)
}

describe('the text of a predicate', () => {
  it('has every form', () => {
    expect(parsePredicate('amount > 1000')).toEqual(compare('amount', 'gt', 1000))
    expect(parsePredicate('a = 1 and b == "x" and c != null')).toEqual(
      and(compare('a', 'eq', 1), compare('b', 'eq', 'x'), compare('c', 'ne', null)),
    )
    expect(parsePredicate('a <= -1.5e3 or b >= 2 or c < 3')).toEqual(
      or(compare('a', 'lte', -1500), compare('b', 'gte', 2), compare('c', 'lt', 3)),
    )
    expect(parsePredicate('order.total between 10 and 20.5')).toEqual(range('order.total', 10, 20.5))
    expect(parsePredicate('items[0].sku in ["a", 1, true, null]')).toEqual(oneOf('items[0].sku', ['a', 1, true, null]))
    expect(parsePredicate('exists a.in')).toEqual(exists(['a', 'in']))
    expect(parsePredicate('name starts with "A"')).toEqual(startsWith('name', 'A'))
    expect(parsePredicate('true')).toEqual(and())
    expect(parsePredicate(' false\n')).toEqual(or())
    expect(parsePredicate('["in"]["first.name"] = 1')).toEqual(compare(['in', 'first.name'], 'eq', 1))
  })

  it('binds not before and before or, and brackets before all', () => {
    const [a, b, c] = [exists('a'), exists('b'), exists('c')]
    expect(parsePredicate('exists a or exists b and not exists c')).toEqual(or(a, and(b, not(c))))
    expect(parsePredicate('(exists a or exists b) and exists c')).toEqual(and(or(a, b), c))
    expect(parsePredicate('a between 1 and 2 and exists b')).toEqual(and(range('a', 1, 2), b))
    expect(parsePredicate('not (not exists a)')).toEqual(not(not(a)))
  })

  it('takes strings in either quotes', () => {
    for (const [text, value] of [
      [`'it\\'s "so"'`, `it's "so"`],
      [`"it's \\"so\\""`, `it's "so"`],
      [`'\\u0041\\n\\\\'`, 'A\n\\'],
      [`''`, ''],
    ]) {
      expect(parsePredicate(`a = ${text}`)).toEqual(compare('a', 'eq', value))
    }
  })

  it('points at what is wrong with it', () => {
    const error = failure('amount > 1000 and\n  currency ~ "EUR"')
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect([error.line, error.column, error.offset]).toEqual([2, 12, 29])
    expect(error.message).toContain('  currency ~ "EUR"\n             ^')
  })

  it.each([
    ['', 0, 'Expected a field, but the text ends'],
    ['a', 1, 'Expected a comparison'],
    ['a =', 3, 'Expected a string, a number, true, false or null, but the text ends'],
    ['a = b', 4, 'but there is b'],
    ['a > true', 4, 'Expected a string or a number'],
    ['a = 1 b = 2', 6, "Expected 'and', 'or' or the end"],
    ['(a = 1', 6, "Expected ')'"],
    ['a between 1 or 2', 12, "Expected 'and' between the bounds"],
    ['a between 1 and "b"', 16, 'Both bounds must be of one type'],
    ['a between 2 and 1', 16, 'The upper bound is below 2'],
    ['a in 1', 5, "Expected '['"],
    ['a in [1 2]', 8, "Expected ',' or ']'"],
    ['a starts "x"', 9, "Expected 'with'"],
    ['a = "x', 4, 'A string is not closed'],
    ['a = "\\q"', 4, 'escape'],
    ['a = 01', 4, 'no number'],
    ['a = 1e999', 4, 'too large'],
    ['a..b = 1', 2, "Expected a name behind '.'"],
    ['exists and', 7, 'Expected a field, but there is and'],
    ['a # 1', 2, 'This character means nothing here'],
    [`${'('.repeat(100)}a = 1`, 64, 'nested 64 deep'],
    [`${'not '.repeat(100)}a = 1`, 256, 'nested 64 deep'],
  ])('is refused where it goes wrong: %s', (text, offset, problem) => {
    const error = failure(text)
    expect(error.message).toContain(problem)
    expect(error.offset).toBe(offset)
  })

  it('is refused if it is too long, whatever it says', () => {
    expect(() => parsePredicate(`a = "${'x'.repeat(70_000)}"`)).toThrow(/65536 characters/)
    const values = Array.from({ length: 5_000 }, (_, index) => index)
    expect(() => parsePredicate(`a in [${values}]`)).toThrow(/4096 clauses/)
  })

  it('of any kind parses or is refused with a typed error', () => {
    const piece = fc.constantFrom(
      'a',
      '.',
      '[',
      ']',
      '(',
      ')',
      'and',
      'or',
      'not',
      ' ',
      '=',
      '<',
      '"x"',
      "'",
      '1',
      '-',
      'in',
      '\n',
      '😀',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        try {
          parsePredicate(text)
        } catch (error) {
          expect(error).toBeInstanceOf(LiminalError)
          if (error instanceof PredicateSyntaxError) expect(error.offset).toBeLessThanOrEqual(text.length)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('is written with the brackets that it needs', () => {
    const [a, b] = [exists('a'), exists('b')]
    expect(formatPredicate(and(and(or(a, b)), not(or(not(a)))))).toBe('(exists a or exists b) and not not exists a')
    expect(formatPredicate(or(and(), or()))).toBe('true or false')
  })

  it('of a field path says the path', () => {
    expect(formatFieldPath(['user', '0', 'first.name', 'in'])).toBe('user[0]["first.name"].in')
    expect(formatFieldPath(['in'])).toBe('["in"]')
  })
})
