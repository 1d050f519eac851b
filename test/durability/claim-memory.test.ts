import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { nativeClaims } from '../../ts/codec/index.ts'
import { scopeOf } from '../../ts/durability/claim-index.ts'
import { claim, makeNative, manyKeys } from './claims.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const orders = scopeOf('orders')
const KEYS = 100_000

function external(): number {
  return process.memoryUsage().external
}

describe('the memory of the native index', () => {
  it('is made known to V8 and given back when it is closed', () => {
    const before = external()
    const index = makeNative({ maxKeys: KEYS })
    claim(index, orders, manyKeys(KEYS), 1)
    const { bytes } = index
    expect(bytes).toBeGreaterThan(KEYS * 32)
    collect()
    // It is told of whole mebibytes.
    expect(external() - before).toBeGreaterThan(bytes - 3 * 2 ** 20)
    index.close()
    collect()
    expect(external() - before).toBeLessThan(2 ** 20)
  })

  it('is given back when nobody holds the index any more', async () => {
    if (nativeClaims === null) throw new Error('The claim tests need the native addon; run npm run build:native')
    const probe = nativeClaims.openClaims(new Uint8Array(16), 1, 1)
    // Numbers count up, so the next one is that of the index below.
    const number = probe + 1
    const abandon = (): void => {
      claim(makeNative(), orders, ['a'], 1)
    }
    abandon()
    expect(nativeClaims.countClaims(number)).toBe(1)
    await nextTurn()
    collect()
    // Nothing tells of it but that it happened; it takes V8 a turn or two.
    while (nativeClaims.countClaims(number) !== -1) await nextTurn()
    expect(nativeClaims.countClaims(probe)).toBe(0)
    nativeClaims.closeClaims(probe)
  })

  it('is nowhere for a number that no index has', () => {
    if (nativeClaims === null) throw new Error('The claim tests need the native addon; run npm run build:native')
    for (const number of [4_000_000, 2 ** 32 - 1]) {
      expect(nativeClaims.countClaims(number)).toBe(-1)
      expect(nativeClaims.claimBytes(number)).toBe(-1)
      expect(nativeClaims.closeClaims(number)).toBe(-1)
      expect(nativeClaims.sweepClaims(number, 0, 1)).toBe(-1)
    }
    expect(nativeClaims.openClaims(new Uint8Array(15), 1, 1)).toBe(-1)
  })
})
