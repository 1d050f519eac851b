import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluatePredicate, parsePredicate, type RouteEntry, RoutingTable } from '../../ts/routing/index.ts'

describe('a routing table', () => {
  it('finds the targets of a message in the order in which they were added', () => {
    const table = new RoutingTable<string>()
    expect(table.isEmpty).toBe(true)
    table.add('orders', 'amount > 1000', 'audit')
    table.add('orders', 'currency = "EUR"', 'euro')
    table.add('orders', 'true', 'all')
    table.add('orders', 'currency = "EUR" and amount < 10', 'small')
    expect(table.resolve('orders', { amount: 2000, currency: 'EUR' })).toEqual(['audit', 'euro', 'all'])
    expect(table.resolve('orders', { amount: 5, currency: 'EUR' })).toEqual(['euro', 'all', 'small'])
    expect(table.resolve('orders', { currency: 'CHF' })).toEqual(['all'])
    expect(table.resolve('unknown', { amount: 5 })).toEqual([])
    expect(table.size('orders')).toBe(4)
  })

  it('takes out one entry of a target and leaves its others', () => {
    const table = new RoutingTable<string>()
    const first = table.add('orders', 'a = 1', 'x')
    const second = table.add('orders', 'a = 1', 'x')
    expect(table.resolve('orders', { a: 1 })).toEqual(['x', 'x'])
    first.remove()
    first.remove()
    expect(table.resolve('orders', { a: 1 })).toEqual(['x'])
    second.remove()
    expect([table.isEmpty, table.size('orders'), table.resolve('orders', { a: 1 })]).toEqual([true, 0, []])
    table.add('orders', 'a = 1', 'y')
    expect(table.resolve('orders', { a: 1 })).toEqual(['y'])
  })

  it('refuses a predicate that cannot be read, and adds nothing', () => {
    const table = new RoutingTable<string>()
    expect(() => table.add('orders', 'amount >', 'x')).toThrow(/the text ends/)
    expect(table.isEmpty).toBe(true)
  })

  it('agrees with asking every entry, through any additions and removals', () => {
    const texts = [
      'a = 1',
      'a = 2',
      'b = "x"',
      'a = null',
      'a = 1 and b = "x"',
      'not a = 1',
      'exists b',
      'a > 0',
      'a = 0',
      'false',
    ]
    const step = fc.record({ text: fc.constantFrom(...texts), remove: fc.boolean(), at: fc.nat() })
    const message = fc.record(
      { a: fc.constantFrom<unknown>(0, -0, 1, 2, '1', null, [1]), b: fc.constantFrom('x', 'y') },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.array(message, { maxLength: 4 }), (steps, messages) => {
        const table = new RoutingTable<number>()
        let entries: { readonly entry: RouteEntry<number>; readonly text: string }[] = []
        steps.forEach(({ text, remove, at }, number) => {
          if (!remove) entries.push({ entry: table.add('c', text, number), text })
          else if (entries.length > 0) {
            const [gone] = entries.splice(at % entries.length, 1)
            gone.entry.remove()
          }
        })
        for (const one of messages) {
          const expected = entries.filter(({ text }) => evaluatePredicate(parsePredicate(text), one))
          expect(table.resolve('c', one)).toEqual(expected.map(({ entry }) => entry.target))
        }
        for (const { entry } of entries) entry.remove()
        entries = []
        expect(table.isEmpty).toBe(true)
      }),
    )
  })
})
