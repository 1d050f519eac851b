import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scopeOf } from '../../ts/durability/claim-index.ts'
import { ClaimRows } from '../../ts/durability/claim-rows.ts'
import { columnsOf, makeNative, makeTypeScript } from './claims.ts'

/** One call, by both. Claims are numbered, and later steps name them by their number. */
type Step =
  | { readonly do: 'claim'; readonly scope: number; readonly keys: readonly (number | null)[]; readonly passed: number }
  | { readonly do: 'complete' | 'release' | 'look'; readonly claim: number; readonly from: number; readonly to: number }
  | { readonly do: 'restore'; readonly claim: number; readonly ago: number }
  | { readonly do: 'sweep'; readonly budget: number; readonly passed: number }

const scopes = [scopeOf('orders'), scopeOf('payments')]
const passed = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 2_000 }))

function steps(keys: number, runLength: number): fc.Arbitrary<readonly Step[]> {
  const key = fc.oneof({ weight: 20, arbitrary: fc.nat(keys) }, { weight: 1, arbitrary: fc.constant(null) })
  return fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('claim' as const),
          scope: fc.nat(1),
          keys: fc.array(key, { minLength: 1, maxLength: runLength, size: 'max' }),
          passed,
        }),
      },
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constantFrom('complete' as const, 'release' as const, 'look' as const),
          claim: fc.nat(7),
          from: fc.nat(3),
          to: fc.nat(runLength),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('restore' as const), claim: fc.nat(7), ago: fc.nat(1_500) }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('sweep' as const), budget: fc.nat(3_000), passed }) },
    ),
    { minLength: 5, maxLength: 60, size: 'max' },
  )
}

/** Both indexes, step by step; everything that can be seen must be the same. */
function compare(all: readonly Step[], maxKeys: number): void {
  const pair = [makeNative, makeTypeScript].map((make) => ({
    index: make({ ttlMs: 1_000, maxKeys }),
    claims: [] as ClaimRows[],
  }))
  let now = 2 ** 32 - 2_000
  let owner = 0
  for (const step of all) {
    if ('passed' in step) now += step.passed
    if (step.do === 'claim') owner++
    const [native, twin] = pair.map(({ index, claims }) => {
      if (step.do === 'sweep') return [index.sweep(now, step.budget), index.size]
      if (step.do === 'claim') {
        const { bytes, columns } = columnsOf(step.keys.map((key) => (key === null ? null : `key ${key}`)))
        const rows = new ClaimRows(step.keys.length)
        index.claim(scopes[step.scope], bytes, columns, 0, rows.capacity, owner, now, rows)
        claims.push(rows)
        return [[...rows.words], index.size]
      }
      const at = claims.length - 1 - (step.claim % Math.max(1, claims.length))
      if (at < 0) return []
      const rows = claims[at]
      if (step.do === 'restore') {
        const hashes = new Uint8Array(rows.capacity * 16)
        const count = rows.copyHashes(0, rows.capacity, hashes)
        index.restore(hashes, count, BigInt(at) << 33n, at, now - step.ago, now)
        return [index.size]
      }
      const first = Math.min(step.from, rows.capacity)
      const count = Math.max(0, Math.min(step.to, rows.capacity) - first)
      if (step.do === 'look') {
        index.look(rows, first, count, now)
        return [[...rows.words]]
      }
      const done =
        step.do === 'complete'
          ? index.complete(rows, first, count, at + 1, 2n ** 40n * BigInt(at), at, now)
          : index.release(rows, first, count, at + 1)
      return [done, index.size]
    })
    expect(twin, step.do).toEqual(native)
  }
  for (const { index } of pair) index.close()
}

describe('the native index of claims and its twin', () => {
  it('do the same with few keys', () => {
    fc.assert(
      fc.property(steps(12, 6), (all) => compare(all, 1_000)),
      { numRuns: 300 },
    )
  })

  it('do the same while they grow and shrink', () => {
    fc.assert(
      fc.property(steps(3_000, 300), (all) => compare(all, 100_000)),
      { numRuns: 60 },
    )
  })

  it('do the same when keys have to give way', () => {
    fc.assert(
      fc.property(steps(80, 30), (all) => compare(all, 40)),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(steps(9_000, 300), (all) => compare(all, 2_100)),
      { numRuns: 40 },
    )
  })
})
