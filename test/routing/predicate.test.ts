import { describe, expect, it } from 'vitest'
import {
  and,
  checkPredicate,
  compare,
  compilePredicate,
  evaluatePredicate,
  exists,
  fieldPath,
  MAX_PREDICATE_CLAUSES,
  MAX_PREDICATE_DEPTH,
  not,
  oneOf,
  or,
  type Predicate,
  range,
  startsWith,
} from '../../ts/routing/index.ts'

/** Judges both ways, which must agree. */
function judge(predicate: Predicate, message: unknown): boolean {
  const direct = evaluatePredicate(predicate, message)
  expect(compilePredicate(predicate)(message)).toBe(direct)
  return direct
}

describe('field paths', () => {
  it('lead through objects and arrays', () => {
    expect(fieldPath('user.address.city')).toEqual(['user', 'address', 'city'])
    const message = { user: { address: { city: 'Zug' } }, items: [{ sku: 'a' }, { sku: 'b' }] }
    expect(judge(compare('user.address.city', 'eq', 'Zug'), message)).toBe(true)
    expect(judge(compare('items[1].sku', 'eq', 'b'), message)).toBe(true)
    expect(judge(exists('items[2]'), message)).toBe(false)
  })

  it('name fields with dots in brackets', () => {
    const message = { 'first.name': 'Ada', '': 1 }
    expect(judge(compare('["first.name"]', 'eq', 'Ada'), message)).toBe(true)
    expect(judge(compare([''], 'eq', 1), message)).toBe(true)
    for (const text of ['', 'a..b', 'a.', '.a', 'a[', 'a[x]', 'a b']) expect(() => fieldPath(text), text).toThrow()
    expect(() => fieldPath([])).toThrow(/1 to 64 segments/)
  })

  it('see only what JSON has', () => {
    expect(judge(exists('toString'), {})).toBe(false)
    expect(judge(exists('__proto__'), {})).toBe(false)
    expect(judge(exists('items.length'), { items: [1] })).toBe(false)
    expect(judge(exists('name.length'), { name: 'Ada' })).toBe(false)
    expect(judge(exists('a'), { a: undefined })).toBe(false)
    expect(judge(exists('a'), null)).toBe(false)
  })
})

describe('comparisons', () => {
  it('take numbers as JSON has them: by value, not by how they are written', () => {
    const above = compare('amount', 'gt', 1000)
    expect(judge(above, { amount: 1500 })).toBe(true)
    expect(judge(above, { amount: 1000.5 })).toBe(true)
    expect(judge(above, { amount: 500 })).toBe(false)
    expect(judge(compare('amount', 'eq', 100), JSON.parse('{"amount":100.0}'))).toBe(true)
    expect(judge(compare('amount', 'eq', 0), { amount: -0 })).toBe(true)
  })

  it('convert nothing', () => {
    expect(judge(compare('amount', 'eq', 100), { amount: '100' })).toBe(false)
    expect(judge(compare('amount', 'gt', 1), { amount: '2' })).toBe(false)
    expect(judge(compare('flag', 'eq', true), { flag: 1 })).toBe(false)
    expect(judge(compare('flag', 'eq', null), { flag: false })).toBe(false)
    expect(judge(compare('flag', 'eq', null), {})).toBe(false)
    expect(judge(compare('flag', 'eq', null), { flag: null })).toBe(true)
  })

  it('say of ne exactly what they say of not eq', () => {
    for (const message of [{}, { a: null }, { a: 'x' }, { a: 1 }, { a: 2 }, { a: {} }, { a: Number.NaN }]) {
      const opposite = judge(not(compare('a', 'eq', 1)), message)
      expect(judge(compare('a', 'ne', 1), message)).toBe(opposite)
    }
    expect(judge(compare('a', 'ne', 1), {})).toBe(true)
  })

  it('are false of a missing field if they need an order', () => {
    for (const operator of ['lt', 'lte', 'gt', 'gte'] as const) {
      expect(judge(compare('a', operator, 1), {})).toBe(false)
      expect(judge(compare('a', operator, 1), { a: Number.NaN })).toBe(false)
    }
  })

  it('order text by code points, as its UTF-8 bytes are ordered', () => {
    expect(judge(compare('a', 'lt', 'b'), { a: 'a' })).toBe(true)
    expect(judge(compare('a', 'lt', 'aa'), { a: 'a' })).toBe(true)
    expect(judge(compare('a', 'gt', '\uffff'), { a: '\u{1f600}' })).toBe(true)
    expect(judge(compare('a', 'lte', 'a'), { a: 'a' })).toBe(true)
  })

  it('are refused if they could never hold', () => {
    expect(() => compare('a', 'gt', true)).toThrow(/have an order/)
    expect(() => compare('a', 'gt', null)).toThrow(/have an order/)
    expect(() => compare('a', 'eq', Number.NaN)).toThrow(/finite number/)
    expect(() => range('a', 2, 1)).toThrow(/at least lower/)
    expect(() => checkPredicate({ kind: 'range', field: ['a'], lower: 1, upper: 'b' })).toThrow(/as is lower/)
    expect(() => checkPredicate({ kind: 'maybe' })).toThrow(/predicate.kind/)
    expect(() => checkPredicate({ kind: 'and', clauses: [{ kind: 'exists', field: 'a' }] })).toThrow(
      /predicate.clauses\[0\].field/,
    )
  })
})

describe('the other clauses', () => {
  it('take the bounds of a range as part of it', () => {
    const within = range('amount', 100, 200)
    for (const [amount, held] of [
      [150, true],
      [100, true],
      [200, true],
      [50, false],
      ['150', false],
    ] as const) {
      expect(judge(within, { amount })).toBe(held)
    }
    expect(judge(within, {})).toBe(false)
  })

  it('find a null field to exist', () => {
    expect(judge(exists('a'), { a: null })).toBe(true)
    expect(judge(exists('a'), {})).toBe(false)
  })

  it('look values up and compare prefixes', () => {
    expect(judge(oneOf('a', ['x', 1, null]), { a: 1 })).toBe(true)
    expect(judge(oneOf('a', ['x', 1, null]), { a: null })).toBe(true)
    expect(judge(oneOf('a', ['x', 1, null]), {})).toBe(false)
    expect(judge(oneOf('a', []), { a: 1 })).toBe(false)
    expect(judge(startsWith('a', 'or'), { a: 'order' })).toBe(true)
    expect(judge(startsWith('a', 'or'), { a: ['order'] })).toBe(false)
  })

  it('combine: nothing demanded is true, nothing offered is false', () => {
    expect(judge(and(), {})).toBe(true)
    expect(judge(or(), {})).toBe(false)
    expect(judge(not(and()), {})).toBe(false)
  })
})

describe('evaluation', () => {
  /** A message that notes which fields are read. */
  function watched(read: string[]): object {
    const noting = (name: string, value: unknown): PropertyDescriptor => ({
      enumerable: true,
      get: () => {
        read.push(name)
        return value
      },
    })
    return Object.defineProperties({}, { a: noting('a', 1), b: noting('b', 2), c: noting('c', 3) })
  }

  it('stops where the answer is known', () => {
    const no = compare('b', 'eq', 0)
    const yes = compare('b', 'eq', 2)
    for (const predicate of [
      and(compare('a', 'eq', 1), no, compare('c', 'eq', 3)),
      or(compare('a', 'eq', 0), yes, compare('c', 'eq', 3)),
    ]) {
      for (const run of [compilePredicate(predicate), (message: unknown) => evaluatePredicate(predicate, message)]) {
        const read: string[] = []
        run(watched(read))
        expect(read).toEqual(['a', 'b'])
      }
    }
  })

  it('compiled reads a field that several clauses ask for once, and cheap clauses first', () => {
    const read: string[] = []
    const predicate = and(range('c', 0, 9), compare('a', 'gt', 0), compare('b', 'gt', 0), compare('b', 'lt', 9))
    expect(compilePredicate(predicate)(watched(read))).toBe(true)
    expect(read).toEqual(['b', 'a', 'c'])
    expect(predicate.clauses[0].kind).toBe('range')
  })

  it('compiled judges a message within the judgement of another one', () => {
    const predicate = or(compare('a.b', 'eq', 1), compare('a.b', 'eq', 2), compare('c', 'eq', 3))
    const compiled = compilePredicate(predicate)
    const outer = {
      a: { b: 0 },
      get c() {
        expect(compiled({ a: { b: 2 } })).toBe(true)
        return 3
      },
    }
    expect(compiled(outer)).toBe(true)
    expect(compiled({ a: { b: 0 } })).toBe(false)
  })

  it('refuses what nests too deep or has too many clauses', () => {
    let nested: Predicate = { kind: 'exists', field: ['a'] }
    for (let depth = 1; depth < MAX_PREDICATE_DEPTH; depth++) nested = { kind: 'not', clause: nested }
    expect(judge(nested, { a: 1 })).toBe(false)
    const deeper: Predicate = { kind: 'not', clause: nested }
    expect(() => evaluatePredicate(deeper, {})).toThrow(/nested 64 deep/)
    expect(() => compilePredicate(deeper)).toThrow(/nested 64 deep/)
    const cyclic: { kind: 'not'; clause: unknown } = { kind: 'not', clause: null }
    cyclic.clause = cyclic
    expect(() => checkPredicate(cyclic)).toThrow(/nested 64 deep/)
    const values = Array.from({ length: MAX_PREDICATE_CLAUSES }, (_, index) => index)
    expect(() => oneOf('a', values)).toThrow(/4096 clauses/)
  })
})
