import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BusOptions, createBus, type Delivery, type LocalBus } from '../../ts/bus/index.ts'
import { EmbeddedStore } from '../../ts/durability/embedded/embedded-store.ts'
import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'

const buses: LocalBus[] = []

async function open(options: BusOptions): Promise<LocalBus> {
  const bus = await createBus(options)
  buses.push(bus)
  return bus
}

async function take<T>(deliveries: AsyncIterable<Delivery<T>>, count: number): Promise<Delivery<T>[]> {
  const taken: Delivery<T>[] = []
  for await (const delivery of deliveries) {
    taken.push(delivery)
    if (taken.length === count) break
  }
  return taken
}

/** A store that can be made to hold its writes back. */
class SlowStore extends MemoryStore {
  gate: Promise<void> = Promise.resolve()

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    await this.gate
    await super.write(changes)
  }
}

describe('a bus with a store', () => {
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.close()
  })

  it('acknowledges what is published to a durable channel with its position', async () => {
    const bus = await open({ store: new MemoryStore(), channels: [{ name: 'orders', durable: true }] })
    const orders = bus.channel('orders')
    const receipts = await Promise.all([1, 2, 3].map((id) => orders.publish({ id })))
    expect(receipts.map(({ position }) => position)).toEqual([0n, 1n, 2n])
    expect((await bus.channel('plain').publish(1)).position).toBeNull()
  })

  it('counts who owns a cursor among those that a message reaches', async () => {
    const bus = await open({ store: new MemoryStore(), channels: [{ name: 'orders', durable: true }] })
    const orders = bus.channel('orders')
    await orders.subscribe({ cursor: 'billing' }).ready()
    expect(await orders.publish(1)).toMatchObject({ delivered: true, deliveredTo: 1 })
  })

  it('gives a subscription what was published before it, and says where each message is', async () => {
    const bus = await open({ store: new MemoryStore(), channels: [{ name: 'orders', durable: true }] })
    const orders = bus.channel<number>('orders')
    for (let id = 0; id < 5; id++) await orders.publish(id)
    const subscription = orders.subscribe({ from: { position: 2n } })
    const taken = await take(subscription, 3)
    expect(taken.map(({ value, position, attempt, sequence }) => [value, position, attempt, sequence])).toEqual([
      [2, 2n, 1, 1n],
      [3, 3n, 1, 2n],
      [4, 4n, 1, 3n],
    ])
  })

  it('catches a subscription up over thousands of messages while more are published, without a gap', async () => {
    const bus = await open({ store: new MemoryStore(), channels: [{ name: 'orders', durable: true }] })
    const orders = bus.channel<number>('orders')
    const before = Array.from({ length: 5_000 }, (_, id) => orders.publish(id))
    await Promise.all(before)
    const reading = take(orders.subscribe({ from: 'earliest', maxInFlight: 100 }), 10_000)
    for (let id = 5_000; id < 10_000; id += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, offset) => orders.publish(id + offset)))
    }
    expect((await reading).map(({ value }) => value)).toEqual(Array.from({ length: 10_000 }, (_, id) => id))
  })

  it.each([
    ['a subscription', {}],
    ['a cursor', { cursor: 'billing' }],
  ])('brings everything to %s whose queue is smaller than what is published', async (_who, demand) => {
    const bus = await open({
      store: new MemoryStore(),
      subscriptionQueue: { maxBytes: 1_000_000 },
      channels: [{ name: 'orders', durable: true }],
    })
    const orders = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    const subscription = orders.subscribe({ accept: 'explicit', maxInFlight: 1, ...demand })
    await subscription.ready()
    const payload = new Uint8Array(20_000)
    // Each commit is more than half of the queue.
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 40 }, () => orders.publish(payload)))
    let position = 0n
    for await (const delivery of subscription) {
      expect(delivery.position).toBe(position++)
      delivery.accept()
      if (position === 200n) break
    }
    await subscription.closed
  })

  it('is where it was in its next life', async () => {
    const store = new MemoryStore()
    const first = await open({ store, channels: [{ name: 'orders', durable: { retention: { maxMessages: 100 } } }] })
    await first.channel('orders').publish(1, { idempotencyKey: 'k' })
    await first.close()
    const second = await open({ store, createChannels: false })
    const orders = second.channel<number>('orders')
    expect(await orders.publish(1, { idempotencyKey: 'k' })).toMatchObject({ duplicate: true, position: 0n })
    expect(await orders.publish(2)).toMatchObject({ duplicate: false, position: 1n })
    expect((await take(orders.subscribe({ from: 'earliest' }), 2)).map(({ value }) => value)).toEqual([1, 2])
  })

  it('has as many cursors for a channel as it is told', async () => {
    const store = new MemoryStore()
    const channels = ['orders', 'others'].map((name) => ({ name, durable: true }))
    const bus = await open({ store, channels, maxCursorsPerChannel: 2 })
    for (const name of ['orders', 'others']) {
      for (const cursor of ['a', 'b', 'a']) await bus.channel(name).subscribe({ cursor }).ready()
      const refused = { code: 'LIMIT_EXCEEDED', message: expect.stringContaining('maxCursorsPerChannel') }
      await expect(bus.channel(name).subscribe({ cursor: 'c' }).ready()).rejects.toMatchObject(refused)
      await expect(bus.administration.setCursor(name, 'c', 'latest')).rejects.toMatchObject(refused)
      await bus.administration.removeCursor(name, 'a')
      await bus.channel(name).subscribe({ cursor: 'c' }).ready()
    }
    await bus.close()
    const fewer = await open({ store, maxCursorsPerChannel: 1 })
    expect(await fewer.administration.cursors('orders')).toHaveLength(2)
    const wrong = createBus({ maxCursorsPerChannel: 0 })
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('writes nothing in a life in which nothing happens and nothing was changed, and reads what it knows of a channel once', async () => {
    const store = new MemoryStore()
    const schema = { type: 'number' }
    const orders = { name: 'orders', durable: { sync: 'os' as const, retention: { maxMessages: 100 } }, schema }
    const first = await open({ store, channels: [orders, { name: 'jobs', durable: true }] })
    await first.channel('orders').publish(1)
    await first.close()
    const { commits } = store.stats()
    const get = vi.spyOn(store, 'get')
    for (const channels of [[orders, { name: 'jobs', durable: true }], [orders, { name: 'jobs' }], []]) {
      get.mockClear()
      await (await open({ store, channels })).close()
      const definitions = get.mock.calls.filter(([{ kind, parts }]) => kind === 'meta' && parts[0] === 'channel')
      expect(definitions.map(([{ parts }]) => parts[1]).sort()).toEqual(['jobs', 'orders'])
    }
    expect(store.stats().commits).toBe(commits)
    const changed = { ...orders, durable: { ...orders.durable, retention: { maxMessages: 200 } } }
    await (await open({ store, channels: [changed, { name: 'jobs' }] })).close()
    expect(store.stats().commits).toBe(commits + 1)
  })

  it('stores what was sent without waiting, and counts what could not be', async () => {
    const store = new SlowStore()
    const bus = await open({ store, channels: [{ name: 'orders', durable: true }] })
    const orders = bus.channel<number>('orders')
    orders.send(1)
    const { position } = await orders.publish(2)
    expect(position).toBe(1n)
    store.gate = Promise.reject(new LiminalError('STORE_FULL', 'The disk is full.'))
    store.gate.catch(() => {})
    orders.send(3)
    await expect(orders.publish(4)).rejects.toMatchObject({ code: 'STORE_FULL', retryable: true })
    expect(orders.sendCounts).toMatchObject({ sent: 2, failed: 1, lastError: { code: 'STORE_FULL' } })
    store.gate = Promise.resolve()
  })

  it('gives up waiting for a store at the timeout or the signal, and says that the message may be stored', async () => {
    const store = new SlowStore()
    const bus = await open({ store, channels: [{ name: 'orders', durable: true }] })
    let release = (): void => {}
    store.gate = new Promise((resolve) => {
      release = resolve
    })
    const controller = new AbortController()
    const aborted = bus.channel('orders').publish(1, { signal: controller.signal })
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    const late = bus.channel('orders').publish(2, { timeoutMs: 10 })
    await expect(late).rejects.toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('may be stored') })
    release()
  })

  it('answers what is being stored before it closes', async () => {
    const store = new SlowStore()
    const bus = await open({ store, channels: [{ name: 'orders', durable: true }] })
    let release = (): void => {}
    store.gate = new Promise((resolve) => {
      release = resolve
    })
    const publishing = bus.channel('orders').publish(1)
    const closing = bus.close()
    release()
    expect((await publishing).position).toBe(0n)
    await closing
  })
})

describe('what is not durable', () => {
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.close()
  })

  it('is refused where there is nowhere to store it', async () => {
    const declared = createBus({ channels: [{ name: 'orders', durable: true }] })
    await expect(declared).rejects.toMatchObject({ code: 'NOT_SUPPORTED', message: expect.stringContaining('dataDir') })
  })

  it('has no past and no cursors', async () => {
    const bus = await open({})
    const plain = bus.channel('plain')
    await expect(plain.subscribe({ from: 'earliest' }).ready()).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    await expect(plain.subscribe({ cursor: 'c' }).ready()).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    const subscription = plain.subscribe()
    await subscription.checkpoint()
  })

  it.each<[string, BusOptions]>([
    ['dataDir', { dataDir: '' }],
    ['store', { dataDir: '/tmp', store: new MemoryStore() }],
    ['syncIntervalMs', { syncIntervalMs: 0 }],
    ['durable', JSON.parse('{"channels":[{"name":"a","durable":{"sync":"sometimes"}}]}')],
    ['retention', { channels: [{ name: 'a', durable: { retention: { maxMessages: 0 } } }] }],
  ])('is not made of a wrong %s', async (_what, options) => {
    await expect(createBus(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('is durable again if it was and nothing is said of it, and refuses to forget', async () => {
    const store = new MemoryStore()
    const first = await open({ store, channels: [{ name: 'orders', durable: true }] })
    await first.close()
    const second = await open({ store, channels: [{ name: 'orders' }] })
    expect((await second.channel('orders').publish(1)).position).toBe(0n)
    await second.close()
    const third = createBus({ store, channels: [{ name: 'orders', durable: false }] })
    await expect(third).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('durable') })
  })

  it('lets go of its directory even if its last writes fail', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'liminal-bus-'))
    try {
      const bus = await createBus({ dataDir: folder, channels: [{ name: 'orders', durable: true }] })
      await bus.channel('orders').publish(1, { idempotencyKey: 'k' })
      const subscription = bus.channel('orders').subscribe({ cursor: { name: 'c', checkpoint: 'explicit' } })
      await subscription.ready()
      vi.spyOn(EmbeddedStore.prototype, 'write').mockRejectedValue(new LiminalError('STORE_FULL', 'The disk is full.'))
      await bus.close().catch((error: LiminalError) => expect(error.code).toBe('STORE_FULL'))
      vi.restoreAllMocks()
      const again = await createBus({ dataDir: folder })
      expect((await again.channel('orders').publish(2)).position).toBe(1n)
      await again.close()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('leaves nothing behind if it cannot be declared, and keeps nobody else from being there', async () => {
    const store = new MemoryStore()
    for (const name of ['', 'a\0b', 'x'.repeat(256)]) {
      const refused = createBus({
        store,
        channels: [
          { name: 'orders', durable: true },
          { name, durable: true },
        ],
      })
      await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    }
    const full = createBus({
      store,
      maxChannels: 1,
      channels: ['orders', 'more'].map((name) => ({ name, durable: true })),
    })
    await expect(full).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect((await store.keys('meta', ['channel'], {})).keys.map(({ parts }) => parts[1])).toEqual(['orders'])
    // Of a version that wrote before it looked.
    const definition = Buffer.from(JSON.stringify({ sync: 'each', retention: {}, schema: null }))
    await store.write([{ type: 'set', key: { kind: 'meta', parts: ['channel', ''] }, value: definition }])
    const bus = await open({ store })
    expect((await bus.channel('orders').publish(1)).position).toBe(0n)
  })

  it('cannot have its sync changed', async () => {
    const store = new MemoryStore()
    const first = await open({ store, channels: [{ name: 'orders', durable: { sync: 'os' } }] })
    await first.close()
    const again = createBus({ store, channels: [{ name: 'orders', durable: { sync: 'each' } }] })
    await expect(again).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining("'os'") })
  })

  it('is a directory that is a file, or is missing and may not be made', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'liminal-bus-'))
    try {
      await writeFile(join(folder, 'file'), '')
      await expect(createBus({ dataDir: join(folder, 'file') })).rejects.toMatchObject({ code: 'STORE_FAILED' })
      const missing = createBus({ dataDir: join(folder, 'missing'), createDataDir: false })
      await expect(missing).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: false })
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
