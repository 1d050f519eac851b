import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClaimRows } from '../../ts/durability/claim-rows.ts'
import { columnsOf, indexes, makeNative, makeTypeScript } from './claims.ts'

/** The hash of a key, as an index computes it. */
function hashOf(make: typeof makeNative, secret: Uint8Array, scope: Uint8Array, key: Uint8Array): string {
  const index = make({ secret })
  const rows = new ClaimRows(1)
  const { bytes, columns } = columnsOf([key])
  index.claim(scope, bytes, columns, 0, 1, 1, 0, rows)
  index.close()
  return Buffer.from(rows.hash(0)).toString('hex')
}

// SipHash-2-4 with 128 bits of the bytes 00, 01, 02, ... under the key 00..0f, from the reference implementation (vectors.h); the first 16 bytes are the scope.
const vectors: readonly (readonly [number, string])[] = [
  [16, '6ee2a4ca67b054bbfd3315bf85230577'],
  [17, '473d06e8738db89854c066c47ae47740'],
  [18, 'a426e5e423bf4885294da481feaef723'],
  [19, '78017731cf65fab074d5208952512eb1'],
  [20, '9e25fc833f2290733e9344a5e83839eb'],
  [21, '568e495abe525a218a2214cd3e071d12'],
  [22, '4a29b54552d16b9a469c10528eff0aae'],
  [23, 'c9d184ddd5a9f5e0cf8ce29a9abf691c'],
]

describe.each(indexes)('the hash of the %s index', (_name, make) => {
  it('is SipHash-2-4 with 128 bits over scope and key', () => {
    const counting = Uint8Array.from({ length: 64 }, (_byte, index) => index)
    for (const [length, hex] of vectors) {
      const hash = hashOf(make, counting.subarray(0, 16), counting.subarray(0, 16), counting.subarray(16, length))
      expect(hash, `${length} bytes`).toBe(hex)
    }
  })
})

describe('the hashes of both indexes', () => {
  const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 })

  it('are the same for every key', () => {
    const key = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 240, maxLength: 280 }))
    fc.assert(
      fc.property(bytes16, bytes16, key, (secret, scope, key) => {
        expect(hashOf(makeNative, secret, scope, key)).toBe(hashOf(makeTypeScript, secret, scope, key))
      }),
      { numRuns: 500 },
    )
  })

  it('are the same for long keys', () => {
    const key = fc
      .tuple(fc.integer({ min: 1_000, max: 65_536 }), fc.nat(255))
      .map(([length, seed]) => Uint8Array.from({ length }, (_byte, at) => (at * (seed | 1) + (at >> 7)) & 0xff))
    fc.assert(
      fc.property(bytes16, key, (secret, key) => {
        expect(hashOf(makeNative, secret, secret, key)).toBe(hashOf(makeTypeScript, secret, secret, key))
      }),
      { numRuns: 40 },
    )
  })

  it('can be restored by the other one', () => {
    const { bytes, columns } = columnsOf(['stored', 'too'])
    const scope = new Uint8Array(16)
    for (const [from, to] of [
      [makeNative, makeTypeScript],
      [makeTypeScript, makeNative],
    ]) {
      const rows = new ClaimRows(2)
      from().claim(scope, bytes, columns, 0, 2, 1, 0, rows)
      const hashes = new Uint8Array(32)
      rows.copyHashes(0, 2, hashes)
      const index = to()
      index.restore(hashes, 2, 5n, 1, 0, 0)
      index.claim(scope, bytes, columns, 0, 2, 1, 0, rows)
      expect([rows.value(0), rows.value(1)]).toEqual([5n, 6n])
    }
  })
})
