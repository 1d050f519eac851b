import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { afterAll, describe, expect, it } from 'vitest'
import { type Database, StoreReader } from '../../ts/durability/embedded/store-reader.ts'
import { EmbeddedStore } from '../../ts/durability/index.ts'
import { encodeStoreKey } from '../../ts/durability/store-key.ts'
import { append, eventsOfSize, stream, textsOf } from './event-store-tools.ts'

const root = mkdtempSync(join(tmpdir(), 'liminal-reader-'))
const orders = stream('orders')

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

/** A reader of a closed store, and how often it has asked for records. */
class CountedReader {
  lookups = 0
  readonly database: Database
  readonly reader: StoreReader
  readonly #named = { name: orders, key: encodeStoreKey(orders) }

  constructor(path: string) {
    this.database = open({ path: join(path, 'data.mdb'), keyEncoding: 'binary', encoding: 'binary' })
    const counted = new Proxy(this.database, {
      get: (target, name) => {
        if (name === 'getRange') this.lookups++
        const found: unknown = Reflect.get(target, name)
        return typeof found === 'function' ? found.bind(target) : found
      },
    })
    this.reader = new StoreReader(counted, path)
  }

  /** Reads all in pages of so many events, and returns how many there were. */
  readAll(maxEvents: number): number {
    const { next } = this.reader.state(this.#named)
    let events = 0
    for (let at = 0n; at < next; ) {
      const page = this.reader.read(this.#named, at, { maxEvents })
      events += textsOf(page).length
      at = page.next
    }
    return events
  }
}

async function stored(name: string, ...records: { count: number; size: number }[]): Promise<string> {
  const path = join(root, name)
  await using store = await EmbeddedStore.open({ path, sync: 'os' })
  let expected = 0n
  for (const { count, size } of records) {
    await store.write([{ type: 'append', stream: orders, expected, events: eventsOfSize(count, size) }])
    expected += BigInt(count)
  }
  return path
}

describe('reading in small pages', () => {
  it('fetches and checks a record once, however many events it has', async () => {
    const counted = new CountedReader(await stored('once', { count: 2_000, size: 100 }, { count: 2_000, size: 100 }))
    expect(counted.readAll(3)).toBe(4_000)
    // Each of the two, and what follows the first one.
    expect(counted.lookups).toBeLessThanOrEqual(3)
    await counted.database.close()
  })

  it('keeps no record that is larger than what it may keep', async () => {
    const counted = new CountedReader(await stored('large', { count: 20, size: 1024 * 1024 }))
    expect(counted.readAll(1)).toBe(20)
    expect(counted.lookups).toBeGreaterThanOrEqual(20)
    await counted.database.close()
  })

  it('keeps what a reader did to its page from the next one', async () => {
    await using store = await EmbeddedStore.open({ path: join(root, 'own'), sync: 'os' })
    await store.write([append(orders, 0n, 'a', 'b', 'c')])
    for (let round = 0; round < 3; round++) {
      const page = await store.read(orders, 0n, { maxEvents: 2 })
      expect(textsOf(page).map(({ text }) => text)).toEqual(['a', 'b'])
      page.batches[0].bytes.fill(0)
      page.batches[0].ends.fill(0)
    }
  })
})

describe('a stream that was read and begins anew', () => {
  it('is never read as it was before, not even while it is being removed', async () => {
    await using store = await EmbeddedStore.open({ path: join(root, 'anew'), sync: 'os' })
    await store.write([append(orders, 0n, 'old 0', 'old 1')])
    for (let round = 0; round < 50; round++) {
      const before = textsOf(await store.read(orders, 0n))[0].text
      const writing = store.write([{ type: 'remove', stream: orders }, append(orders, 0n, `new ${round}`)])
      let isWritten = false
      const written = writing.then(() => {
        isWritten = true
      })
      while (!isWritten) {
        const seen = textsOf(await store.read(orders, 0n, { maxEvents: 1 }))[0].text
        expect([before, `new ${round}`]).toContain(seen)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await written
      expect(textsOf(await store.read(orders, 0n)).map(({ text }) => text)).toEqual([`new ${round}`])
    }
  })
})
