import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntegerMap } from '../ts/integer-map.ts'

const key = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
)

describe('a map of integers', () => {
  it('does what a Map does, whatever comes and goes', () => {
    const step = fc.constantFrom<1 | 2>(1, 2)
    const operations = fc.array(fc.tuple(fc.constantFrom('set', 'set', 'delete', 'get'), key), { maxLength: 400 })
    fc.assert(
      fc.property(step, operations, (by, list) => {
        const map = new IntegerMap<string>(by)
        const model = new Map<number | bigint, string>()
        list.forEach(([operation, at], index) => {
          if (operation === 'set') {
            map.set(at, `${index}`)
            model.set(at, `${index}`)
          } else if (operation === 'delete') expect(map.delete(at)).toBe(model.delete(at))
          expect(map.get(at)).toBe(model.get(at))
          expect(map.has(at)).toBe(model.has(at))
          expect(map.size).toBe(model.size)
        })
        const rising = [...model].sort(([one], [other]) => (one < other ? -1 : 1))
        expect(map.entries()).toEqual(rising)
        expect(map.values()).toEqual(rising.map(([, value]) => value))
        map.clear()
        expect(map.size).toBe(0)
        expect(map.values()).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('holds many at once, and rising keys for ever', () => {
    const map = new IntegerMap<number>(2)
    for (let stream = 1; stream < 400_000; stream += 2) {
      map.set(stream, stream)
      if (stream > 200_000) expect(map.delete(stream - 200_000)).toBe(true)
    }
    expect(map.size).toBe(100_000)
    for (let stream = 200_001; stream < 400_000; stream += 2)
      if (map.get(stream) !== stream) throw new Error(`${stream}`)
  })

  it('lists as many as there may ever be', () => {
    const map = new IntegerMap<number>(2)
    const count = 300_000
    for (let index = 0; index < count; index++) map.set(2 * index + 1, index)
    const values = map.values()
    expect(values).toHaveLength(count)
    values.forEach((value, index) => {
      if (value !== index) throw new Error(`${value} is at ${index}`)
    })
  })
})
