import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { afterAll, describe, expect, it } from 'vitest'
import { RECORDS, REMAINS } from '../../ts/durability/embedded/layout.ts'
import { EmbeddedStore, type EventStore, type StoreKey, type StoreWrite } from '../../ts/durability/index.ts'
import { eventually } from '../eventually.ts'
import { allTexts, append, eventsOfSize, stream } from './event-store-tools.ts'

const root = mkdtempSync(join(tmpdir(), 'liminal-remains-'))
const orders = stream('orders')
/** Of one event of 100 bytes each: more than are deleted in a few transactions. */
const MANY = 20_000

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

/** Appends records of one event until there are so many. */
async function fill(store: EventStore, name: StoreKey, from: bigint, count = MANY): Promise<void> {
  for (let at = 0; at < count; at += 2_000) {
    const changes = Array.from(
      { length: 2_000 },
      (_, index): StoreWrite => ({
        type: 'append',
        stream: name,
        expected: from + BigInt(at + index),
        events: eventsOfSize(1, 100),
      }),
    )
    await store.write(changes)
  }
}

/** How many records a file has, and notes of records to be deleted. Also of a store that is open: LMDB shares it within a process. */
async function counted(path: string): Promise<{ records: number; notes: number }> {
  const database = open({ path: join(path, 'data.mdb'), keyEncoding: 'binary', encoding: 'binary' })
  const count = (table: number): number => database.getKeysCount({ start: Buffer.of(table), end: Buffer.of(table + 1) })
  const found = { records: count(RECORDS), notes: count(REMAINS) }
  await database.close()
  return found
}

/** Writes and closes in one turn, so that nothing comes behind the commit but the close. */
async function writeLast(store: EventStore, changes: readonly StoreWrite[]): Promise<void> {
  await Promise.all([store.write(changes), store.close()])
}

async function swept(path: string, records: number): Promise<void> {
  await eventually(async () => expect(await counted(path)).toEqual({ records, notes: 0 }))
}

describe('truncating a stream of very many records', () => {
  it('hides them at once, deletes some, and leaves the others to later commits, also of the next process', async () => {
    const path = join(root, 'truncated')
    let store = await EmbeddedStore.open({ path, sync: 'os' })
    await fill(store, orders, 0n)
    await writeLast(store, [{ type: 'truncate', stream: orders, before: BigInt(MANY - 2) }])
    const left = await counted(path)
    expect(left.notes).toBe(1)
    expect(left.records).toBeGreaterThan(MANY / 2)
    expect(left.records).toBeLessThanOrEqual(MANY - 2_000)
    store = await EmbeddedStore.open({ path, sync: 'os' })
    expect(await store.state(orders)).toMatchObject({ first: BigInt(MANY - 2), next: BigInt(MANY), bytes: 200 })
    expect((await store.read(orders, 0n)).batches.map(({ first }) => first)).toEqual([19_998n, 19_999n])
    expect(await store.sequenceAt(orders, 0)).toBe(19_998n)
    await swept(path, 2)
    expect(await allTexts(store, orders, 19_998n)).toHaveLength(2)
    await store.close()
  })

  it('lets no other write wait for all of it', async () => {
    const path = join(root, 'not-held-up')
    await using store = await EmbeddedStore.open({ path, sync: 'os' })
    await fill(store, orders, 0n)
    const truncated = store.write([{ type: 'truncate', stream: orders, before: BigInt(MANY) }])
    const other = store.write([append(stream('other'), 0n, 'here')])
    await Promise.all([truncated, other])
    // They were answered by commits that deleted some thousand at most.
    expect((await counted(path)).records).toBeGreaterThan(2_000)
    expect(await store.state(orders)).toMatchObject({ first: BigInt(MANY), next: BigInt(MANY), bytes: 0 })
    await store.write([append(orders, BigInt(MANY), 'on')])
    expect(await allTexts(store, orders, BigInt(MANY))).toEqual(['on'])
    await swept(path, 2)
    expect(await allTexts(store, orders, BigInt(MANY))).toEqual(['on'])
  })

  it('bounds what is deleted by bytes as well', async () => {
    const path = join(root, 'large')
    const store = await EmbeddedStore.open({ path, sync: 'os' })
    for (let at = 0n; at < 40n; at++) {
      await store.write([{ type: 'append', stream: orders, expected: at, events: eventsOfSize(1, 1024 * 1024) }])
    }
    await writeLast(store, [{ type: 'truncate', stream: orders, before: 40n }])
    const { records, notes } = await counted(path)
    expect([records <= 24, records > 0, notes]).toEqual([true, true, 1])
    await using again = await EmbeddedStore.open({ path, sync: 'os' })
    await swept(path, 0)
    expect(await again.state(orders)).toMatchObject({ first: 40n, next: 40n })
  })

  it('makes its room usable by the very next write', async () => {
    const path = join(root, 'room')
    await using store = await EmbeddedStore.open({ path, sync: 'os', maxBytes: 4_000_000 })
    await fill(store, orders, 0n)
    const other = stream('other')
    const large = (expected: bigint): StoreWrite => ({
      type: 'append',
      stream: other,
      expected,
      events: eventsOfSize(1, 1_800_000),
    })
    await expect(store.write([large(0n)])).rejects.toMatchObject({ code: 'STORE_FULL' })
    const truncating = store.write([{ type: 'truncate', stream: orders, before: BigInt(MANY) }])
    await store.write([large(0n)])
    await store.write([large(1n)])
    await truncating
    await swept(path, 2)
    // What was deleted has been counted once: there is room for this, and for no more.
    await store.write([{ type: 'append', stream: other, expected: 2n, events: eventsOfSize(1, 390_000) }])
    await expect(store.write([append(other, 3n, 'x'.repeat(10_000))])).rejects.toMatchObject({ code: 'STORE_FULL' })
  })
})

describe('removing a stream of very many records', () => {
  it('lets it begin anew in the same write, and shows nothing of what it was', async () => {
    const path = join(root, 'anew')
    let store = await EmbeddedStore.open({ path, sync: 'os' })
    await fill(store, orders, 0n)
    await writeLast(store, [
      { type: 'remove', stream: orders },
      append(orders, 0n, 'new', 'newer'),
      append(orders, 2n, 'last'),
    ])
    expect((await counted(path)).records).toBeGreaterThan(MANY / 2)
    store = await EmbeddedStore.open({ path, sync: 'os' })
    expect(await store.state(orders)).toMatchObject({ first: 0n, next: 3n, bytes: 12 })
    expect(await allTexts(store, orders)).toEqual(['new', 'newer', 'last'])
    await store.write([append(orders, 3n, 'more')])
    await swept(path, 3)
    expect(await allTexts(store, orders)).toEqual(['new', 'newer', 'last', 'more'])
    await store.close()
    store = await EmbeddedStore.open({ path, sync: 'os' })
    expect(await allTexts(store, orders)).toEqual(['new', 'newer', 'last', 'more'])
    await store.close()
  })

  it('forgets its name at once', async () => {
    const path = join(root, 'removed')
    const store = await EmbeddedStore.open({ path, sync: 'os' })
    await fill(store, orders, 0n)
    await writeLast(store, [{ type: 'remove', stream: orders }])
    await using again = await EmbeddedStore.open({ path, sync: 'os' })
    expect((await again.keys('channel', [])).keys).toEqual([])
    expect(again.stats().streams).toBe(0)
    expect(await again.state(orders)).toMatchObject({ first: 0n, next: 0n })
    await swept(path, 0)
  })

  it('does so again and again before anything could be deleted', async () => {
    const path = join(root, 'again')
    let store = await EmbeddedStore.open({ path, sync: 'os' })
    // More lives than there are slots, each with more records than one transaction deletes.
    for (let life = 0; life < 5; life++) {
      await fill(store, orders, 0n)
      await writeLast(store, [{ type: 'remove', stream: orders }, append(orders, 0n, `life ${life}`)])
      store = await EmbeddedStore.open({ path, sync: 'os' })
      expect(await allTexts(store, orders)).toEqual([`life ${life}`])
      await store.write([{ type: 'remove', stream: orders }])
    }
    const changes: StoreWrite[] = []
    for (let at = 0n; at < 6_000n; at++) changes.push(append(orders, at, 'x'))
    const lives = Array.from({ length: 6 }, (): StoreWrite[] => [{ type: 'remove', stream: orders }, ...changes])
    // All in one commit, with one budget: nothing of the later ones is deleted.
    await Promise.all(lives.map((life) => store.write(life)))
    expect(await allTexts(store, orders)).toEqual(Array.from({ length: 6_000 }, () => 'x'))
    await swept(path, 6_000)
    expect(await allTexts(store, orders)).toHaveLength(6_000)
    await store.close()
  })
})
