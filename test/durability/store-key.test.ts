import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeStoreKey, encodeKeyPrefix, encodeStoreKey, type StoreKey } from '../../ts/durability/index.ts'

const kinds = ['channel', 'claims', 'cursor', 'conversation', 'snapshot', 'meta'] as const
const part = fc.string({
  unit: fc.oneof(
    fc.constantFrom('', '\u0000', '\u0004', '\u0007', 'a', 'b', ':'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
})
const key = fc.record({
  kind: fc.constantFrom(...kinds),
  parts: fc.array(part, { minLength: 1, maxLength: 4 }),
})

function compare(one: StoreKey, other: StoreKey): number {
  const byKind = kinds.indexOf(one.kind) - kinds.indexOf(other.kind)
  if (byKind !== 0) return Math.sign(byKind)
  for (let at = 0; at < Math.min(one.parts.length, other.parts.length); at++) {
    const byPart = Buffer.compare(Buffer.from(one.parts[at]), Buffer.from(other.parts[at]))
    if (byPart !== 0) return byPart
  }
  return Math.sign(one.parts.length - other.parts.length)
}

describe('the bytes of a store key', () => {
  it('are those of one key, and of no other', () => {
    fc.assert(
      fc.property(key, (one) => {
        expect(decodeStoreKey(encodeStoreKey(one))).toEqual(one)
      }),
      { numRuns: 500 },
    )
  })

  it('compare as the keys do', () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        expect(Buffer.compare(encodeStoreKey(one), encodeStoreKey(other))).toBe(compare(one, other))
      }),
      { numRuns: 500 },
    )
  })

  it('begin with those of its first parts, and with those of no other parts', () => {
    fc.assert(
      fc.property(key, key, ({ kind, parts }, other) => {
        const prefix = encodeKeyPrefix(kind, parts)
        const begins = other.kind === kind && parts.every((text, at) => other.parts[at] === text)
        const found = Buffer.from(encodeStoreKey(other)).indexOf(prefix) === 0
        expect(found).toBe(begins)
        for (let count = 0; count < parts.length; count++) {
          const less = encodeKeyPrefix(kind, parts.slice(0, count))
          expect(Buffer.compare(Buffer.from(prefix).subarray(0, less.length), less)).toBe(0)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('leave 0 to 3 to whoever puts something behind them', () => {
    fc.assert(
      fc.property(key, (one) => {
        expect(
          encodeStoreKey(one)
            .subarray(1)
            .every((byte) => byte === 4 || byte >= 8),
        ).toBe(true)
      }),
    )
  })

  it.each([
    [[]],
    [[1]],
    [[0, 105, 4]],
    [[7, 105, 4]],
    [[1, 105]],
    [[1, 3, 4]],
    [[1, 105, 4, 4, 4, 4, 4]],
    [[1, 0x88, 4]],
  ])('are not %j, which no key has', (bytes) => {
    expect(decodeStoreKey(Uint8Array.from(bytes))).toBeNull()
  })
})
