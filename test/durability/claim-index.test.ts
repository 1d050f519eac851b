import { describe, expect, it } from 'vitest'
import { createClaimIndex, scopeOf } from '../../ts/durability/claim-index.ts'
import { ClaimRows, ClaimStatus } from '../../ts/durability/claim-rows.ts'
import { LiminalError } from '../../ts/errors.ts'
import { claim, columnsOf, indexes, manyKeys, told } from './claims.ts'

const orders = scopeOf('orders')
const payments = scopeOf('payments')

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof LiminalError) return error.code
    throw error
  }
  return 'none'
}

describe.each(indexes)('the %s index of claims', (_name, make) => {
  it('gives a key to one claimant until it completes, and tells the others its fate', () => {
    const index = make()
    const rows = claim(index, orders, ['a', 'b'], 1)
    expect(told(rows)).toEqual(['FRESH', 'FRESH'])
    expect(told(claim(index, orders, ['b', 'c'], 2))).toEqual(['IN_FLIGHT of 1', 'FRESH'])
    expect(index.complete(rows, 0, 2, 1, 2n ** 63n + 41n, 3, 0)).toBe(2)
    const again = claim(index, orders, ['b', 'c', 'a'], 3)
    expect(told(again)).toEqual([
      `COMPLETED ${2n ** 63n + 42n} to 3`,
      'IN_FLIGHT of 2',
      `COMPLETED ${2n ** 63n + 41n} to 3`,
    ])
    expect(index.size).toBe(3)
  })

  it('gives a key that occurs twice in a run to its first row', () => {
    const index = make()
    const rows = claim(index, orders, ['a', 'b', 'a', 'c', 'b'], 7)
    expect(told(rows)).toEqual(['FRESH', 'FRESH', 'IN_FLIGHT of 7', 'FRESH', 'IN_FLIGHT of 7'])
    // Values count the messages that are published: the first, the second and the fourth.
    expect(index.complete(rows, 0, 5, 7, 10n, 1, 0)).toBe(3)
    index.look(rows, 0, 5, 0)
    expect(told(rows)).toEqual([
      'COMPLETED 10 to 1',
      'COMPLETED 11 to 1',
      'COMPLETED 10 to 1',
      'COMPLETED 12 to 1',
      'COMPLETED 11 to 1',
    ])
  })

  it('passes over rows without a key, and counts them as published', () => {
    const index = make()
    const rows = claim(index, orders, [null, 'a', null, 'b'], 1)
    expect(told(rows)).toEqual(['NONE', 'FRESH', 'NONE', 'FRESH'])
    expect([...rows.hash(0)]).toEqual(Array(16).fill(0))
    expect(index.size).toBe(2)
    expect(index.complete(rows, 0, 4, 1, 5n, 0, 0)).toBe(2)
    index.look(rows, 0, 4, 0)
    expect(told(rows)).toEqual(['NONE', 'COMPLETED 6 to 0', 'NONE', 'COMPLETED 8 to 0'])
  })

  it('means another key on every channel and in every incarnation of it', () => {
    const index = make()
    expect(told(claim(index, orders, ['a', ''], 1))).toEqual(['FRESH', 'FRESH'])
    expect(told(claim(index, payments, ['a', ''], 1))).toEqual(['FRESH', 'FRESH'])
    expect(told(claim(index, scopeOf('orders', 1), ['a', ''], 1))).toEqual(['FRESH', 'FRESH'])
    expect(told(claim(index, orders, ['a', ''], 2))).toEqual(['IN_FLIGHT of 1', 'IN_FLIGHT of 1'])
  })

  it('frees what its owner releases, and nothing else', () => {
    const index = make()
    const mine = claim(index, orders, ['a', 'b', 'c'], 1)
    expect(index.complete(mine, 2, 1, 1, 9n, 0, 0)).toBe(1)
    expect(index.release(mine, 0, 3, 2)).toBe(0)
    expect(index.release(mine, 1, 2, 1)).toBe(1)
    expect(told(claim(index, orders, ['a', 'b', 'c'], 3))).toEqual(['IN_FLIGHT of 1', 'FRESH', 'COMPLETED 9 to 0'])
    expect(index.release(mine, 1, 1, 1)).toBe(0)
    expect(index.size).toBe(3)
  })

  it('lets nobody complete what another holds, or what it released', () => {
    const index = make()
    const slow = claim(index, orders, ['a'], 1)
    expect(index.complete(slow, 0, 1, 2, 5n, 0, 0)).toBe(0)
    expect(index.release(slow, 0, 1, 1)).toBe(1)
    expect(index.complete(slow, 0, 1, 1, 5n, 0, 0)).toBe(0)
    const next = claim(index, orders, ['a'], 2)
    expect(index.complete(slow, 0, 1, 1, 5n, 0, 0)).toBe(0)
    expect(index.release(slow, 0, 1, 1)).toBe(0)
    expect(index.complete(next, 0, 1, 2, 6n, 4, 0)).toBe(1)
    expect(index.complete(next, 0, 1, 2, 7n, 4, 0)).toBe(0)
    expect(told(claim(index, orders, ['a'], 3))).toEqual(['COMPLETED 6 to 4'])
  })

  it('looks without claiming', () => {
    const index = make()
    const held = claim(index, orders, ['a', 'b'], 1)
    const waiting = claim(index, orders, ['a', 'b'], 2)
    index.release(held, 1, 1, 1)
    index.look(waiting, 0, 2, 0)
    expect(told(waiting)).toEqual(['IN_FLIGHT of 1', 'FREE'])
    index.complete(held, 0, 1, 1, 8n, 2, 0)
    index.look(waiting, 0, 1, 0)
    expect(told(waiting)).toEqual(['COMPLETED 8 to 2', 'FREE'])
    index.look(waiting, 0, 1, 60_000)
    expect(told(waiting)).toEqual(['FREE', 'FREE'])
    expect(index.size).toBe(1)
  })

  it('knows a key for the time to live from its completion, swept or not', () => {
    const index = make({ ttlMs: 1_000 })
    const start = Date.UTC(2026, 0, 1)
    const rows = claim(index, orders, ['a'], 1, start)
    expect(told(claim(index, orders, ['a'], 2, start + 5_000))).toEqual(['IN_FLIGHT of 1'])
    index.complete(rows, 0, 1, 1, 1n, 0, start + 5_000)
    expect(told(claim(index, orders, ['a'], 2, start + 5_999))).toEqual(['COMPLETED 1 to 0'])
    expect(told(claim(index, orders, ['a'], 2, start + 6_000))).toEqual(['FRESH'])
    expect(index.size).toBe(1)
  })

  it('keeps time over the wrap of 32 bits, and takes a clock that was set back for no time at all', () => {
    const index = make({ ttlMs: 1_000 })
    const wrap = 400 * 2 ** 32
    index.complete(claim(index, orders, ['a'], 1, wrap - 300), 0, 1, 1, 1n, 0, wrap - 300)
    expect(told(claim(index, orders, ['a'], 2, wrap + 600))).toEqual(['COMPLETED 1 to 0'])
    expect(told(claim(index, orders, ['a'], 2, wrap - 86_400_000))).toEqual(['COMPLETED 1 to 0'])
    expect(told(claim(index, orders, ['a'], 2, wrap + 700))).toEqual(['FRESH'])
  })

  it('keeps keys for longer than 32 bits of milliseconds, if told', () => {
    const year = 365 * 86_400_000
    const index = make({ ttlMs: year })
    index.complete(claim(index, orders, ['a'], 1, year), 0, 1, 1, 1n, 0, year)
    expect(told(claim(index, orders, ['a'], 2, 2 * year - 60_000))).toEqual(['COMPLETED 1 to 0'])
    expect(told(claim(index, orders, ['a'], 2, 2 * year + 60_000))).toEqual(['FRESH'])
  })

  it('sweeps expired keys in small steps, never those in flight, and gives the memory back', () => {
    const index = make({ ttlMs: 1_000 })
    const empty = index.bytes
    const keys = manyKeys(5_000)
    index.complete(claim(index, orders, keys, 1), 0, keys.length, 1, 0n, 0, 0)
    const held = claim(index, orders, ['held'], 2)
    const full = index.bytes
    expect(index.sweep(999, 1_000_000)).toBe(0)
    expect(index.sweep(1_000, 0)).toBe(0)
    let removed = 0
    let calls = 0
    for (; index.size > 1; calls++) {
      const some = index.sweep(1_000, 100)
      expect(some).toBeLessThanOrEqual(100)
      removed += some
    }
    expect(removed).toBe(5_000)
    expect(calls).toBeGreaterThanOrEqual(50)
    index.sweep(10_000_000, 100_000)
    expect(index.size).toBe(1)
    expect(index.bytes).toBeLessThan(empty + 2_000)
    expect(full).toBeGreaterThan(empty + 5_000 * 32)
    expect(index.complete(held, 0, 1, 2, 1n, 0, 0)).toBe(1)
  })

  it('loses no key while it grows, sweeps and shrinks', () => {
    const index = make({ ttlMs: 1_000 })
    const keys = manyKeys(20_000)
    for (let at = 0; at < keys.length; at += 50) {
      const rows = claim(index, orders, keys.slice(at, at + 50), 1, at)
      expect(index.complete(rows, 0, 50, 1, BigInt(at), 0, at)).toBe(50)
      index.sweep(at, 200)
    }
    // Of the completions at 0, 50, ..., 19,950 those from 19,000 on are within 1,000 ms of 19,999.
    const rows = claim(index, orders, keys, 2, 19_999)
    const known = Array.from(keys, (_key, row) => rows.status(row) === ClaimStatus.COMPLETED)
    expect(known.indexOf(true)).toBe(19_000)
    expect(known.lastIndexOf(false)).toBe(18_999)
    expect(rows.value(19_049)).toBe(19_049n)
  })

  it('lets completed keys give way to new ones when it is full, the oldest nearby first', () => {
    const index = make({ maxKeys: 1_000 })
    for (let at = 0; at < 3_000; at += 10) {
      const rows = claim(index, orders, manyKeys(10, `k${at}`), 1, at)
      expect(told(rows)).toEqual(Array(10).fill('FRESH'))
      index.complete(rows, 0, 10, 1, 0n, 0, at)
      expect(index.size).toBeLessThanOrEqual(1_000)
    }
    const known = (at: number): number => {
      const rows = claim(index, orders, manyKeys(10, `k${at}`), 1, 3_000)
      index.release(rows, 0, 10, 1)
      return told(rows).filter((row) => row.startsWith('COMPLETED')).length
    }
    // What is newest is most likely to be known, what is oldest is gone.
    expect(known(2_990)).toBe(10)
    expect(known(0)).toBe(0)
  })

  it('refuses keys when all that it knows are in flight, and only then', () => {
    const index = make({ maxKeys: 100 })
    const held = claim(index, orders, manyKeys(98, 'held'), 1)
    const done = claim(index, orders, ['done', 'done too'], 2)
    index.complete(done, 0, 2, 2, 0n, 0, 0)
    const rows = claim(index, orders, ['a', 'b', 'c', 'held-3', 'a', 'c'], 3)
    expect(told(rows)).toEqual(['FRESH', 'FRESH', 'FULL', 'IN_FLIGHT of 1', 'IN_FLIGHT of 3', 'FULL'])
    expect(index.size).toBe(100)
    expect(index.release(held, 0, 1, 1)).toBe(1)
    expect(told(claim(index, orders, ['c'], 4))).toEqual(['FRESH'])
    expect(index.complete(held, 1, 97, 1, 0n, 0, 0)).toBe(97)
  })

  it('puts stored keys back, unless they are there, are over or are none', () => {
    const index = make({ ttlMs: 1_000 })
    const rows = claim(index, orders, ['a', null, 'b', 'a', 'c'], 1)
    const hashes = new Uint8Array(5 * 16)
    // The second 'a' is not published, and not copied.
    expect(rows.copyHashes(0, 5, hashes)).toBe(4)

    const restarted = make({ ttlMs: 1_000 })
    const held = claim(restarted, orders, ['c'], 9, 500)
    restarted.restore(hashes, 4, 100n, 2, 400, 500)
    expect(restarted.size).toBe(3)
    expect(told(claim(restarted, orders, ['a', 'b', 'c'], 1, 1_399))).toEqual([
      'COMPLETED 100 to 2',
      'COMPLETED 102 to 2',
      'IN_FLIGHT of 9',
    ])
    restarted.restore(hashes, 4, 200n, 5, 1_300, 1_399)
    expect(told(claim(restarted, orders, ['a'], 1, 1_399))).toEqual(['COMPLETED 100 to 2'])
    // Expired, although still there: what is stored later is newer.
    restarted.restore(hashes, 2, 300n, 5, 1_300, 1_400)
    expect(told(claim(restarted, orders, ['a'], 1, 1_400))).toEqual(['COMPLETED 300 to 5'])
    expect(restarted.complete(held, 0, 1, 9, 7n, 0, 1_400)).toBe(1)

    const late = make({ ttlMs: 1_000 })
    late.restore(hashes, 4, 100n, 2, 400, 1_400)
    expect(late.size).toBe(0)
  })

  it('takes a forged hash for the key, so that the caller must compare keys', () => {
    const index = make()
    const victim = claim(index, orders, ['victim'], 1)
    index.release(victim, 0, 1, 1)
    // As if another key with the same hash had been published at position 77.
    index.restore(victim.hash(0).slice(), 1, 77n, 1, 0, 0)
    expect(told(claim(index, orders, ['victim'], 2))).toEqual(['COMPLETED 77 to 1'])
  })

  it('bears hashes that were chosen to fall on one place, of which it keeps the newest thousand', () => {
    const index = make()
    const hashes = new Uint8Array(1_500 * 16)
    for (let at = 0; at < 1_500; at++) {
      hashes.fill(0xff, at * 16 + 4, at * 16 + 8)
      new DataView(hashes.buffer).setUint32(at * 16 + 8, at + 1, true)
    }
    for (let at = 0; at < 1_500; at++) index.restore(hashes.subarray(at * 16), 1, BigInt(at), 0, at, 1_499)
    expect(index.size).toBe(1_023)
    const rows = new ClaimRows(1_500)
    const words = new Uint32Array(hashes.buffer)
    for (let at = 0; at < 1_500; at++) rows.words.set(words.subarray(at * 4, at * 4 + 4), at * 8)
    index.look(rows, 0, 1_500, 1_499)
    const known = told(rows)
    expect(known.slice(0, 477)).toEqual(Array(477).fill('FREE'))
    expect(known.slice(477)).toEqual(Array.from({ length: 1_023 }, (_, at) => `COMPLETED ${477 + at} to 0`))
    expect(index.sweep(1_000_000, 1_000_000)).toBe(1_023)
    index.restore(hashes, 500, 0n, 0, 1_000_000, 1_000_000)
    expect(index.size).toBe(500)
  })

  it('says so when a delivery count does not fit', () => {
    const index = make()
    index.complete(claim(index, orders, ['a'], 1), 0, 1, 1, 2n ** 64n - 1n, 2 ** 32 - 1, 0)
    expect(told(claim(index, orders, ['a'], 1))).toEqual([`COMPLETED ${2n ** 64n - 1n} to ${2 ** 30 - 1}`])
  })

  it('tells owners apart up to the largest whole number', () => {
    const index = make()
    const rows = claim(index, orders, ['a'], Number.MAX_SAFE_INTEGER)
    expect(told(claim(index, orders, ['a'], 1))).toEqual([`IN_FLIGHT of ${Number.MAX_SAFE_INTEGER}`])
    expect(index.release(rows, 0, 1, Number.MAX_SAFE_INTEGER - 2 ** 32)).toBe(0)
    expect(index.release(rows, 0, 1, Number.MAX_SAFE_INTEGER)).toBe(1)
  })

  it('claims part of a run', () => {
    const index = make()
    const { bytes, columns } = columnsOf(['a', 'b', 'c', 'd'])
    const rows = new ClaimRows(4)
    index.claim(orders, bytes, columns, 1, 2, 1, 0, rows)
    expect(told(claim(index, orders, ['a', 'b', 'c', 'd'], 2))).toEqual([
      'FRESH',
      'IN_FLIGHT of 1',
      'IN_FLIGHT of 1',
      'FRESH',
    ])
    expect(index.release(rows, 0, 2, 1)).toBe(2)
  })

  it('claims keys that lie on shared memory', () => {
    const index = make()
    const { bytes, columns } = columnsOf(['a'])
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
    shared.set(bytes)
    const rows = new ClaimRows(1)
    index.claim(orders, shared, columns, 0, 1, 1, 0, rows)
    expect(told(claim(index, orders, ['a'], 2))).toEqual(['IN_FLIGHT of 1'])
  })

  it('refuses what is no run of keys, and claims nothing then', () => {
    const index = make()
    const { bytes, columns } = columnsOf(['first', 'second'])
    const rows = new ClaimRows(2)
    const cut = bytes.subarray(0, bytes.length - 1)
    const astray = columns.slice()
    astray[astray.length - 4] = -1
    const calls: (() => unknown)[] = [
      () => index.claim(orders, cut, columns, 0, 2, 1, 0, rows),
      () => index.claim(orders, bytes, astray, 0, 2, 1, 0, rows),
      () => index.claim(orders, bytes, columns, 1, 2, 1, 0, rows),
      () => index.claim(orders, bytes, columns, -1, 1, 1, 0, rows),
      () => index.claim(orders, bytes, columns, 0, 3, 1, 0, rows),
      () => index.claim(orders, bytes, columns.subarray(0, 20), 0, 2, 1, 0, rows),
      () => index.claim(orders.subarray(1), bytes, columns, 0, 1, 1, 0, rows),
      () => index.claim(orders, bytes, columns, 0, 1, -1, 0, rows),
      () => index.claim(orders, bytes, columns, 0, 1, 1.5, 0, rows),
      () => index.complete(rows, 1, 2, 1, 0n, 0, 0),
      () => index.complete(rows, 0, 1, 1, 0n, -1, 0),
      () => index.release(rows, 0, 3, 1),
      () => index.release(rows, 0, 1, Number.NaN),
      () => index.look(rows, 3, 0, 0),
      () => index.restore(new Uint8Array(31), 2, 0n, 0, 0, 0),
    ]
    for (const call of calls) expect(codeOf(call), String(call)).toBe('INVALID_ARGUMENT')
    expect(index.size).toBe(0)
  })

  it('is of no use once it is closed', () => {
    const index = make()
    const rows = claim(index, orders, manyKeys(100), 1)
    index.close()
    index.close()
    expect([index.size, index.bytes]).toEqual([0, 0])
    const calls: (() => unknown)[] = [
      () => claim(index, orders, ['a'], 1),
      () => index.complete(rows, 0, 1, 1, 0n, 0, 0),
      () => index.release(rows, 0, 1, 1),
      () => index.look(rows, 0, 1, 0),
      () => index.restore(new Uint8Array(16), 1, 0n, 0, 0, 0),
      () => index.sweep(0, 10),
    ]
    for (const call of calls) expect(codeOf(call)).toBe('CLOSED')
  })
})

describe('making an index of claims', () => {
  const good = { secret: new Uint8Array(16), ttlMs: 1, maxKeys: 1 }

  it('takes the addon where there is one', () => {
    const index = createClaimIndex(good)
    expect(index.constructor.name).toBe('NativeClaimIndex')
    expect(told(claim(index, orders, ['a', 'b'], 1))).toEqual(['FRESH', 'FULL'])
  })

  it('refuses options that make no sense', () => {
    const wrong = [
      { secret: new Uint8Array(15) },
      { ttlMs: 0.5 },
      { ttlMs: Number.POSITIVE_INFINITY },
      { maxKeys: 0 },
      { maxKeys: 2 ** 32 },
      { maxKeys: 1.5 },
    ]
    for (const options of wrong) {
      expect(codeOf(() => createClaimIndex({ ...good, ...options }))).toBe('INVALID_ARGUMENT')
    }
  })
})

describe('the scope of a channel', () => {
  it('differs for every name and incarnation', () => {
    const scopes = [scopeOf(''), scopeOf('a'), scopeOf('a', 1), scopeOf('a', 11), scopeOf('a1'), scopeOf('a1', 1)]
    expect(new Set(scopes.map((scope) => Buffer.from(scope).toString('hex'))).size).toBe(scopes.length)
    for (const scope of scopes) expect(scope).toHaveLength(16)
    expect(scopeOf('a')).toEqual(scopeOf('a', 0))
  })
})
