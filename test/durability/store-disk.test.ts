import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { EmbeddedStore, type EventStore } from '../../ts/durability/index.ts'
import { allTexts, append, eventsOfSize, meta, stream } from './event-store-tools.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'

const MIB = 1024 * 1024
const root = mkdtempSync(join(tmpdir(), 'liminal-disk-'))
const disks: SmallDisk[] = []
const orders = stream('orders')

afterEach(() => {
  for (const disk of disks.splice(0)) disk.unmount()
})

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

function mount(path: string, bytes: number): SmallDisk | null {
  const disk = mountSmallDisk(path, bytes)
  if (disk !== null) disks.push(disk)
  else console.warn('This process may not mount: the limit of the store stands in for a full disk.')
  return disk
}

/** Appends until the store is full; returns what it said, and how much went in. */
async function fillUp(store: EventStore, size: number): Promise<{ error: unknown; next: bigint }> {
  for (let next = (await store.state(orders)).next; ; next++) {
    try {
      await store.write([{ type: 'append', stream: orders, expected: next, events: eventsOfSize(1, size) }])
    } catch (error) {
      return { error, next }
    }
    if (next > 10_000n) throw new Error('it is never full')
  }
}

/** Writes a file until its disk has no room for another byte. */
function fillDisk(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, new Uint8Array(512))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
}

describe('a store on a disk that is full', () => {
  it.each(['each', 'interval', 'os'] as const)(
    'says so, keeps all it has, and goes on once there is room, synced: %s',
    async (sync) => {
      const path = join(root, `full-${sync}`)
      const disk = mount(path, 4 * MIB)
      const ballast = join(path, 'ballast')
      if (disk !== null) writeFileSync(ballast, new Uint8Array(MIB))
      const limit = disk === null ? { maxBytes: 2 * MIB } : {}
      let store = await EmbeddedStore.open({ path: join(path, 'store'), sync, ...limit })
      await store.write([append(stream('kept'), 0n, 'kept')])
      const { error, next } = await fillUp(store, 40_000)
      expect(error).toMatchObject({
        code: 'STORE_FULL',
        retryable: true,
        message: expect.stringContaining('try again'),
      })
      expect(next).toBeGreaterThan(20n)
      // Nothing of it is there, and all of what was acknowledged.
      expect(await store.state(orders)).toMatchObject({ next })
      expect(await allTexts(store, orders)).toHaveLength(Number(next))
      expect(await allTexts(store, stream('kept'))).toEqual(['kept'])
      // Again and again, all in one commit: each is told.
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5 }, (_, at) =>
          store.write([
            { type: 'append', stream: stream(`new ${at}`), expected: 0n, events: eventsOfSize(1, 400_000) },
          ]),
        ),
      )
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'STORE_FULL' } })
      if (disk === null) await store.write([{ type: 'truncate', stream: orders, before: next / 2n }])
      else unlinkSync(ballast)
      await store.write([{ type: 'append', stream: orders, expected: next, events: eventsOfSize(3, 10_000) }])
      expect(await store.state(orders)).toMatchObject({ next: next + 3n })
      await fillUp(store, 40_000)
      const end = (await store.state(orders)).next
      await store.close()
      // A store that is full can be opened: something may be removed from it then.
      if (disk !== null) fillDisk(ballast)
      store = await EmbeddedStore.open({ path: join(path, 'store'), sync, ...limit })
      expect(await store.state(orders)).toMatchObject({ next: end })
      const { first } = await store.state(orders)
      expect(await allTexts(store, orders, first)).toHaveLength(Number(end - first))
      await store.close()
    },
  )

  it('is not made where there is no room, and says so', async () => {
    const path = join(root, 'no-room')
    const disk = mount(path, MIB)
    const store = join(path, 'store')
    if (disk === null) {
      // A file in the place of the directory is what can be had without a mount: it cannot be made either.
      writeFileSync(store, '')
      await expect(EmbeddedStore.open({ path: store })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      return
    }
    mkdirSync(store)
    for (const room of [0, 4_096, 8_192, 12_288, 16_384, 65_536]) {
      writeFileSync(join(path, 'ballast'), new Uint8Array(MIB - room))
      await expect(EmbeddedStore.open({ path: store })).rejects.toMatchObject({
        code: 'STORE_FULL',
        message: expect.stringContaining(store),
      })
      unlinkSync(join(path, 'ballast'))
    }
    await (await EmbeddedStore.open({ path: store })).close()
  })
})

describe('the limit of a store', () => {
  it('refuses the write that is too much, and no other of its commit', async () => {
    await using store = await EmbeddedStore.open({ path: join(root, 'limit'), maxBytes: 100_000 })
    const outcomes = await Promise.allSettled([
      store.write([{ type: 'append', stream: orders, expected: 0n, events: eventsOfSize(1, 50_000) }]),
      store.write([{ type: 'append', stream: orders, expected: 1n, events: eventsOfSize(1, 60_000) }]),
      store.write([append(orders, 1n, 'small')]),
      store.write([{ type: 'set', key: meta('value'), value: new Uint8Array(60_000) }]),
    ])
    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { reason: { code: 'STORE_FULL', retryable: true, message: expect.stringMatching(/may hold 100000 bytes/) } },
      { status: 'fulfilled' },
      { reason: { code: 'STORE_FULL' } },
    ])
    expect(await store.state(orders)).toMatchObject({ next: 2n })
  })

  it('counts what is removed, also across restarts', async () => {
    const options = { path: join(root, 'counted'), maxBytes: 100_000 }
    for (let round = 0; round < 5; round++) {
      await using store = await EmbeddedStore.open(options)
      const { next } = await store.state(orders)
      const filled = await fillUp(store, 9_000)
      expect(filled.error).toMatchObject({ code: 'STORE_FULL' })
      expect(filled.next - next).toBe(round === 0 ? 11n : 10n)
      await store.write([{ type: 'truncate', stream: orders, before: filled.next - 1n }])
    }
  })

  it('always lets go of what is there', async () => {
    const path = join(root, 'lowered')
    {
      await using store = await EmbeddedStore.open({ path })
      await store.write([{ type: 'append', stream: orders, expected: 0n, events: eventsOfSize(10, 9_000) }])
    }
    await using store = await EmbeddedStore.open({ path, maxBytes: 1_000 })
    await expect(store.write([append(orders, 10n, 'x')])).rejects.toMatchObject({ code: 'STORE_FULL' })
    await store.write([{ type: 'remove', stream: orders }])
    await store.write([append(orders, 0n, 'x')])
  })

  it('does not let the file grow while as much goes as comes', async () => {
    const path = join(root, 'reused')
    await using store = await EmbeddedStore.open({ path, sync: 'os' })
    const round = async (at: bigint): Promise<void> => {
      await store.write([{ type: 'append', stream: orders, expected: at, events: eventsOfSize(1, 20_000) }])
      if (at > 20n) await store.write([{ type: 'truncate', stream: orders, before: at - 20n }])
    }
    for (let at = 0n; at < 100n; at++) await round(at)
    const { size } = statSync(join(path, 'data.mdb'))
    for (let at = 100n; at < 600n; at++) await round(at)
    expect(statSync(join(path, 'data.mdb')).size).toBeLessThan(size * 2)
  })
})

describe('what waits for its commit', () => {
  const write = (store: EventStore, name: string, size: number): Promise<void> =>
    store.write([{ type: 'append', stream: stream(name), expected: 0n, events: eventsOfSize(1, size) }])

  it('is bounded: once it fills its room a write is refused, and whoever asked is told when there is room', async () => {
    await using store = await EmbeddedStore.open({ path: join(root, 'busy'), maxPendingBytes: 100_000 })
    expect(store.hold()).toBeNull()
    const writes = ['a', 'b', 'c'].map((name) => write(store, name, 40_000))
    const held = store.hold()
    expect(held).toBeInstanceOf(Promise)
    expect(store.stats().pendingBytes).toBeGreaterThan(120_000)
    await expect(write(store, 'd', 1)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      retryable: true,
      message: expect.stringContaining('hold()'),
    })
    await held
    expect(store.hold()).toBeNull()
    await Promise.all(writes)
    expect(store.stats().pendingBytes).toBe(0)
    expect(await store.state(stream('d'))).toMatchObject({ next: 0n })
  })

  it('takes a write that is larger than its room, beside others that do not fill it', async () => {
    await using store = await EmbeddedStore.open({ path: join(root, 'busy-large'), maxPendingBytes: 100_000 })
    const small = [write(store, 'small', 60_000)]
    const large = write(store, 'large', 300_000)
    // Now it is full, by the large one.
    await expect(write(store, 'late', 1)).rejects.toMatchObject({ code: 'STORE_BUSY' })
    await Promise.all([...small, large])
    expect(await store.state(stream('large'))).toMatchObject({ next: 1n, bytes: 300_000 })
    await write(store, 'alone', 300_000)
  })

  it('never refuses whoever waits until hold() is null, however much others write', async () => {
    await using store = await EmbeddedStore.open({
      path: join(root, 'busy-held'),
      sync: 'os',
      maxPendingBytes: 100_000,
    })
    const untilFree = async (): Promise<void> => {
      // All who wait are told at once: those before may have filled it again.
      for (let held = store.hold(); held !== null; held = store.hold()) await held
    }
    let isOver = false
    const others = Array.from({ length: 4 }, async (_, writer) => {
      for (let at = 0; !isOver; at++) {
        await untilFree()
        await write(store, `other ${writer} ${at}`, 20_000)
      }
    })
    for (let at = 0; at < 50; at++) {
      await untilFree()
      await write(store, `large ${at}`, 90_000)
    }
    isOver = true
    await Promise.all(others)
  })
})

describe('a directory that cannot be used', () => {
  it('is refused if it is a file, or lies in one', async () => {
    const file = join(root, 'file')
    writeFileSync(file, 'not a directory')
    for (const path of [file, join(file, 'store')]) {
      await expect(EmbeddedStore.open({ path })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(path),
      })
    }
  })

  it('is not made if that is not wanted', async () => {
    const path = join(root, 'missing')
    const refusal = { code: 'STORE_FAILED', retryable: false, message: expect.stringMatching(/missing.*create: false/) }
    await expect(EmbeddedStore.open({ path, create: false })).rejects.toMatchObject(refusal)
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    mkdirSync(path)
    await expect(EmbeddedStore.open({ path, create: false })).rejects.toMatchObject(refusal)
  })

  it('is refused if it may only be read, and stays as it is', async () => {
    const path = join(root, 'read-only')
    const disk = mountSmallDisk(path, 4 * MIB)
    if (disk !== null) disks.push(disk)
    {
      await using store = await EmbeddedStore.open({ path })
      await store.write([append(orders, 0n, 'kept')])
    }
    // Without a mount the modes have to do; whoever may mount is root, whom they do not stop.
    if (disk === null) chmodSync(path, 0o500)
    else disk.remount('ro')
    await expect(EmbeddedStore.open({ path })).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/read-only.*may be read and written/),
    })
    if (disk === null) chmodSync(path, 0o700)
    else disk.remount('rw')
    await using store = await EmbeddedStore.open({ path })
    expect(await allTexts(store, orders)).toEqual(['kept'])
  })

  it.each([
    [{ path: '' }],
    [{ path: 7 }],
    [{ path: 'a\0b' }],
    [{ path: 'a', sync: 'always' }],
    [{ path: 'a', syncIntervalMs: 0 }],
    [{ path: 'a', maxPendingBytes: 0 }],
    [{ path: 'a', maxBytes: -1 }],
    [{ path: 'a', create: 1 }],
    [{ path: 'a', synchronise: 'each' }],
    [undefined],
  ])('is not looked at if the options are %j', async (options) => {
    await expect(Reflect.apply(EmbeddedStore.open, EmbeddedStore, [options])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })
})
