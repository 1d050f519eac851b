import { describe, expect, it } from 'vitest'
import {
  type ChannelCore,
  type ChannelDeclaration,
  ChannelRegistry,
  ClaimDesk,
  DurableChannels,
  MessageIds,
} from '../../ts/channel/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import {
  type EventStore,
  MemoryStore,
  type StoreKey,
  type StoreKind,
  type Stores,
  type StoreWrite,
  storesOf,
} from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { eventually } from '../eventually.ts'
import { RecordingObserver, RecordingSink, scannedRun } from './runs.ts'

const SECRET = Buffer.alloc(16, 7)
const KINDS: readonly StoreKind[] = ['channel', 'claims', 'cursor', 'conversation', 'snapshot', 'meta']

/** One life of a bus's channels on stores. */
function live(stores: Stores, claims = new ClaimDesk(SECRET, {})) {
  const registry = new ChannelRegistry({ create: true, claims, messageIds: new MessageIds() })
  const durable = new DurableChannels(registry, stores)
  return {
    registry,
    durable,
    channel: (declaration?: Partial<ChannelDeclaration>) =>
      durable.declare({ name: 'orders', durable: true, ...declaration }),
    end: async () => {
      registry.closeAll(new LiminalError('CLOSED', 'over'))
      await durable.close(new LiminalError('CLOSED', 'over'))
    },
  }
}

type Life = ReturnType<typeof live>

async function published(channel: ChannelCore, payloads: readonly string[], keys?: readonly string[]) {
  const observer = new RecordingObserver()
  channel.publishRun(scannedRun([...payloads], keys === undefined ? undefined : [...keys]), observer)
  await channel.log?.idle()
  return observer
}

/** A channel with messages, keys and cursors. */
async function filled(life: Life, declaration?: Partial<ChannelDeclaration>, cursors = 3): Promise<ChannelCore> {
  const channel = await life.channel(declaration)
  await published(channel, ['a', 'b'], ['1', '2'])
  for (let index = 0; index < cursors; index++) await channel.storage?.cursors.set(`cursor ${index}`, 1n)
  return channel
}

/** Everything that a store keeps, but for its secrets. */
async function keysOf(store: EventStore): Promise<readonly StoreKey[]> {
  const pages = await Promise.all(KINDS.map((kind) => store.keys(kind, [], { limit: 10_000 })))
  return pages.flatMap(({ keys }) => keys)
}

async function namesIn(store: EventStore): Promise<readonly string[]> {
  return (await keysOf(store)).map(({ kind, parts }) => [kind, ...parts].join(' '))
}

/** A store that ends like a process: from some write on nothing is kept. */
class EndingStore extends MemoryStore {
  writesLeft = Number.POSITIVE_INFINITY

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    if (this.writesLeft <= 0) throw new LiminalError('STORE_FAILED', 'It has ended.')
    this.writesLeft--
    await super.write(changes)
  }
}

/** A store whose writes of messages take until somebody says so. */
class GatedStore extends MemoryStore {
  readonly gate = new Deferred<void>()
  writing = new Deferred<void>()

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    if (changes.some((change) => change.type === 'append' && change.stream.kind === 'channel')) {
      this.writing.resolve()
      await this.gate.promise
    }
    await super.write(changes)
  }
}

/** Two stores: one for what is synced at once, and one for the rest. */
function twoStores(primary: EventStore, relaxed: EventStore): Stores {
  return {
    ...storesOf(primary),
    open: [primary, relaxed],
    store: (policy) => Promise.resolve(policy === 'each' ? primary : relaxed),
  }
}

describe('a durable channel that is removed', () => {
  it('leaves nothing in the store, and other channels as they are', async () => {
    const store = new MemoryStore()
    const life = live(storesOf(store))
    await filled(life, { name: 'orders.dead-letter' })
    await filled(life, { name: 'order' })
    const others = await namesIn(store)
    // More cursors than are deleted at once.
    await filled(life, {}, 1_024)
    await (await life.channel({ name: 'more' })).storage?.cursors.set('a', 0n)
    expect(await namesIn(store)).toHaveLength(others.length + 2 + 1_024 + 1 + 2)
    expect(await life.durable.remove('more')).toBe(true)
    expect(await life.durable.remove('orders')).toBe(true)
    expect(await namesIn(store)).toEqual(others)
    expect(await life.durable.remove('orders')).toBe(false)
    const observer = await published(life.registry.get('order'), ['c'])
    expect(observer.positions).toEqual([2n])
  })

  it('ends its subscriptions, with a cursor and without one, and refuses publishes', async () => {
    const life = live(storesOf(new MemoryStore()))
    const channel = await filled(life)
    const sinks = [new RecordingSink(), new RecordingSink(), new RecordingSink()]
    channel.subscribe(sinks[0])
    channel.subscribe(sinks[1], 'earliest')
    await channel.subscribeCursor(sinks[2], { name: 'billing', start: 'earliest', maxInFlight: 8 })
    await life.durable.remove('orders')
    for (const sink of sinks) {
      expect(sink.ends).toMatchObject([{ code: 'CHANNEL_CLOSED', message: "Channel 'orders' was removed." }])
    }
    expect((await published(channel, ['c'])).heard).toEqual(['refused CHANNEL_CLOSED'])
  })

  it('answers what was being published when it was removed, and refuses what comes then', async () => {
    const store = new GatedStore()
    const life = live(storesOf(store))
    const channel = await life.channel()
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['a', 'b']), observer)
    await store.writing.promise
    channel.publishRun(scannedRun(['c']), observer)
    const removing = life.durable.remove('orders')
    // Declared meanwhile, it is another one.
    const anew = life.channel()
    await eventually(() => expect(channel.closed).toBe(true))
    expect(observer.heard).toEqual([])
    channel.publishRun(scannedRun(['d']), observer)
    store.gate.resolve()
    expect(await removing).toBe(true)
    expect(observer.heard.toSorted()).toEqual(['accepted 1 to 0', 'accepted 2 to 0', 'refused CHANNEL_CLOSED'])
    expect((await published(await anew, ['e'])).positions).toEqual([0n])
  })

  it('refuses its name while it is being removed', async () => {
    const store = new GatedStore()
    const life = live(storesOf(store))
    const channel = await life.channel()
    channel.publishRun(scannedRun(['a']), new RecordingObserver())
    await store.writing.promise
    const removing = life.durable.remove('orders')
    await eventually(() => expect(channel.closed).toBe(true))
    expect(() => life.registry.get('orders')).toThrow(expect.objectContaining({ code: 'CHANNEL_CLOSED' }))
    store.gate.resolve()
    await removing
    // Until it is declared: a channel made by the next publish would store nothing.
    expect(() => life.registry.get('orders')).toThrow(expect.objectContaining({ code: 'CHANNEL_NOT_FOUND' }))
    expect(life.registry.declare({ name: 'orders' }).log).toBeNull()
    expect(life.registry.get('orders').log).toBeNull()
  })

  it.each([true, false])('can be declared anew (durable: %s), and nothing of it is known then', async (again) => {
    const store = new MemoryStore()
    const life = live(storesOf(store))
    await filled(life)
    await life.durable.remove('orders')
    const channel = again ? await life.channel({ durable: { sync: 'os' } }) : life.registry.declare({ name: 'orders' })
    const { heard } = await published(channel, ['c', 'd'], ['1', '2'])
    expect(heard).toEqual(['accepted 2 to 0'])
    if (!again) return
    expect(channel.log?.next).toBe(2n)
    expect(channel.storage?.cursors.cursors).toEqual([])
    await life.end()
    // Its own keys are, after a restart too.
    const next = live(storesOf(store))
    await next.durable.recover()
    expect((await published(next.registry.get('orders'), ['d'], ['2'])).positions).toEqual([1n])
  })

  it('does not suppress with keys of a version that knew no removals', async () => {
    const store = new MemoryStore()
    const definition = Buffer.from(JSON.stringify({ sync: 'each', retention: {}, schema: null }))
    await store.write([{ type: 'set', key: { kind: 'meta', parts: ['channel', 'orders'] }, value: definition }])
    const claims = new ClaimDesk(SECRET, {})
    const first = live(storesOf(store), claims)
    await filled(first)
    await first.end()
    const life = live(storesOf(store), claims)
    const channel = await life.channel()
    expect((await published(channel, ['a'], ['1'])).heard).toEqual(['duplicate to 0'])
    await life.durable.remove('orders')
    const anew = life.registry.declare({ name: 'orders' })
    expect((await published(anew, ['a'], ['1'])).heard).toEqual(['accepted 1 to 0'])
  })

  it.each(['each', 'os'] as const)('is whole or gone wherever a crash ends that (sync: %s)', async (sync) => {
    const fates = new Set<string>()
    for (let writes = 0; !fates.has('removed'); writes++) {
      const [primary, relaxed] = [new EndingStore(), new EndingStore()]
      const stores = twoStores(primary, relaxed)
      const life = live(stores)
      await filled(life, { durable: { sync } })
      await life.end()
      const crashing = live(stores)
      await crashing.durable.recover()
      for (const store of [primary, relaxed]) store.writesLeft = writes
      const outcome = await crashing.durable.remove('orders').then(
        () => 'removed',
        (error: LiminalError) => error.code,
      )
      for (const store of [primary, relaxed]) store.writesLeft = Number.POSITIVE_INFINITY
      const next = live(stores)
      await next.durable.recover()
      const left = [...(await namesIn(primary)), ...(await namesIn(relaxed))]
      if (next.registry.find('orders') === null) {
        expect(left).toEqual([])
        fates.add(outcome === 'removed' ? outcome : 'finished')
      } else {
        const channel = next.registry.get('orders')
        expect([outcome, channel.log?.next, channel.storage?.cursors.cursors.length]).toEqual(['STORE_FAILED', 2n, 3])
        expect((await published(channel, ['a'], ['1'])).heard[0]).toMatch(/^duplicate/)
        fates.add('whole')
      }
    }
    expect([...fates]).toEqual(['whole', 'finished', 'removed'])
  })

  it('is there as before if the store takes nothing, and is removed when it does', async () => {
    const store = new EndingStore()
    const life = live(storesOf(store))
    await filled(life)
    store.writesLeft = 0
    await expect(life.durable.remove('orders')).rejects.toMatchObject({ code: 'STORE_FAILED' })
    store.writesLeft = Number.POSITIVE_INFINITY
    const channel = life.registry.get('orders')
    expect((await published(channel, ['c'])).positions).toEqual([2n])
    expect(channel.storage?.cursors.cursors).toHaveLength(3)
    expect(await life.durable.remove('orders')).toBe(true)
    expect(await namesIn(store)).toEqual([])
  })

  it('is gone, and its name free, if not all of it could be deleted: the next call or declaration goes on', async () => {
    for (const next of ['remove', 'declare'] as const) {
      const store = new EndingStore()
      const life = live(storesOf(store))
      await filled(life)
      await life.end()
      const again = live(storesOf(store))
      await again.durable.recover()
      store.writesLeft = 1
      await expect(again.durable.remove('orders')).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: true })
      expect(again.registry.find('orders')).toBeNull()
      await expect(again.channel()).rejects.toMatchObject({ code: 'STORE_FAILED' })
      store.writesLeft = Number.POSITIVE_INFINITY
      if (next === 'remove') expect(await again.durable.remove('orders')).toBe(true)
      else expect((await published(await again.channel(), ['c'], ['1'])).positions).toEqual([0n])
      expect((await namesIn(store)).filter((name) => name.startsWith('cursor') || name.includes('removed'))).toEqual([])
    }
  })

  it('may be one that cannot be read', async () => {
    const store = new MemoryStore()
    const life = live(storesOf(store))
    await filled(life)
    await life.end()
    const { state } = store
    store.state = () => Promise.reject(new LiminalError('STORE_CORRUPT', 'The log is damaged.'))
    const next = live(storesOf(store))
    await next.durable.recover()
    expect(() => next.registry.get('orders')).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }))
    expect(await next.durable.remove('orders')).toBe(true)
    store.state = state
    expect(await namesIn(store)).toEqual([])
    expect((await published(await next.channel(), ['c'])).positions).toEqual([0n])
  })
})
