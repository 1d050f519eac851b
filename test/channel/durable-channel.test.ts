import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type ChannelCore,
  type ChannelDeclaration,
  ChannelRegistry,
  ClaimDesk,
  DurableChannels,
  oneMessageRun,
} from '../../ts/channel/index.ts'
import { type EventStore, MemoryStore, type StoreWrite, storesOf } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { eventually } from '../eventually.ts'
import { RecordingObserver, RecordingSink, scannedRun } from './runs.ts'

const SECRET = Buffer.alloc(16, 7)

interface Life {
  readonly registry: ChannelRegistry
  readonly durable: DurableChannels
  channel(declaration?: Partial<ChannelDeclaration>): Promise<ChannelCore>
  end(): Promise<void>
}

/** One life of a bus's channels on a store. */
function live(store: EventStore, limits: { windowMs?: number } = {}): Life {
  const registry = new ChannelRegistry({ create: true, claims: new ClaimDesk(SECRET, limits) })
  const durable = new DurableChannels(registry, storesOf(store))
  return {
    registry,
    durable,
    channel: (declaration) => durable.declare({ name: 'orders', durable: true, ...declaration }),
    end: async () => {
      await durable.idle()
      registry.closeAll(new LiminalError('CLOSED', 'over'))
      await durable.close(new LiminalError('CLOSED', 'over'))
    },
  }
}

async function published(channel: ChannelCore, payloads: readonly string[], keys?: readonly string[]) {
  const observer = new RecordingObserver()
  channel.publishRun(scannedRun([...payloads], keys === undefined ? undefined : [...keys]), observer)
  await channel.log?.idle()
  return observer
}

/** A store whose writes wait until they are let go, or fail. */
class GatedStore extends MemoryStore {
  gate: Promise<void> = Promise.resolve()
  readonly batches: number[] = []

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    const messages = changes.filter((change) => change.type === 'append' && change.stream.kind === 'channel')
    if (messages.length > 0) {
      this.batches.push(
        messages.reduce((sum, change) => sum + (change.type === 'append' ? change.events.ends.length : 0), 0),
      )
      await this.gate
    }
    await super.write(changes)
  }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a durable channel', () => {
  it('answers when messages are stored, with their positions, and delivers them in that order', async () => {
    const channel = await live(new MemoryStore()).channel()
    const sink = new RecordingSink()
    channel.subscribe(sink)
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['a', 'b']), observer)
    expect(observer.heard).toEqual([])
    expect(sink.payloads).toEqual([])
    await channel.log?.idle()
    expect(observer.heard).toEqual(['accepted 2 to 1'])
    expect(observer.positions).toEqual([0n])
    expect(sink.payloads).toEqual(['a', 'b'])
    expect(sink.logged).toEqual([
      { position: 0n, attempt: 1 },
      { position: 1n, attempt: 1 },
    ])
  })

  it('collects what is published during a commit for the next one', async () => {
    const store = new GatedStore()
    const channel = await live(store).channel()
    let open = (): void => {}
    store.gate = new Promise((resolve) => {
      open = resolve
    })
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['a']), observer)
    await eventually(() => expect(store.batches).toEqual([1]))
    for (const payload of ['b', 'c', 'd']) channel.publishRun(scannedRun([payload]), observer)
    open()
    await channel.log?.idle()
    expect(store.batches).toEqual([1, 3])
    expect(observer.positions).toEqual([0n, 1n, 2n, 3n])
  })

  it('goes on where it was after a restart, declared again or not', async () => {
    const store = new MemoryStore()
    const first = live(store)
    await published(await first.channel(), ['a', 'b'])
    await first.end()
    const second = live(store)
    expect((await published(await second.channel(), ['c'])).positions).toEqual([2n])
    await second.end()
    const third = live(store)
    await third.durable.recover()
    const channel = third.registry.get('orders')
    const sink = new RecordingSink()
    channel.subscribe(sink, 'earliest')
    await published(channel, ['d'])
    await eventually(() => expect(sink.payloads).toEqual(['a', 'b', 'c', 'd']))
  })

  it('gives rising ids and times after a restart, also where the clock was set back', async () => {
    const store = new MemoryStore()
    const first = live(store)
    const before = await published(await first.channel(), ['a'])
    await first.end()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 })
    const channel = await live(store).channel()
    const after = await published(channel, ['b'])
    expect(after.ids[0]).toBeGreaterThan(before.ids[0])
    const times = [(await channel.log?.message(0n))?.timestamp, (await channel.log?.message(1n))?.timestamp]
    expect(times[1]).toBeGreaterThanOrEqual(times[0] ?? Number.POSITIVE_INFINITY)
  })

  it('is refused by name after a restart if its store is damaged, and the others are there', async () => {
    const store = new MemoryStore()
    const first = live(store)
    await published(await first.channel(), ['a'])
    await published(await first.channel({ name: 'others', durable: { sync: 'os' } }), ['b'])
    await first.end()
    const registry = new ChannelRegistry({ create: true, claims: new ClaimDesk(SECRET, {}) })
    const damaged = new LiminalError('STORE_CORRUPT', 'The store os is damaged.')
    const stores = {
      ...storesOf(store),
      store: (policy: string) => (policy === 'os' ? Promise.reject(damaged) : Promise.resolve(store)),
    }
    await new DurableChannels(registry, stores).recover()
    expect((await published(registry.get('orders'), ['c'])).positions).toEqual([1n])
    expect(() => registry.get('others')).toThrow(damaged)
  })

  it('comes back with its schema', async () => {
    const store = new MemoryStore()
    const first = live(store)
    await first.channel({ schema: { type: 'object', required: ['id'] } })
    await first.end()
    const second = live(store)
    await second.durable.recover()
    const observer = await published(second.registry.get('orders'), ['{}', '{"id":1}'])
    expect(observer.heard).toEqual(['refused PAYLOAD_INVALID', 'accepted 1 to 0'])
  })

  it('stores nothing of what its schema refuses, and answers in the order of the publishes', async () => {
    const store = new MemoryStore()
    const channel = await live(store).channel({ schema: { type: 'object', required: ['id'] } })
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['{"id":1}', '{}', '{"id":2}', 'nothing']), observer)
    await channel.log?.idle()
    expect(observer.heard).toEqual([
      'accepted 1 to 0',
      'refused PAYLOAD_INVALID',
      'accepted 1 to 0',
      'refused PAYLOAD_INVALID',
    ])
    expect(await store.state({ kind: 'channel', parts: ['orders'] })).toMatchObject({ first: 0n, next: 2n })
  })

  it('stores the bytes that are delivered, defaults and all, and says who and what they were', async () => {
    const schema = { type: 'object', properties: { count: { type: 'integer', default: 1 } } }
    const channel = await live(new MemoryStore()).channel({ schema })
    const sink = new RecordingSink()
    channel.subscribe(sink)
    const causal = { parentId: 'parent', vectorClockEntry: 7n }
    channel.publishRun(oneMessageRun(Buffer.from('{}'), causal, 'key-1'), new RecordingObserver())
    await channel.log?.idle()
    const message = await channel.log?.message(0n)
    expect(sink.payloads).toEqual(['{"count":1}'])
    expect(Buffer.from(message?.payload ?? []).toString()).toBe('{"count":1}')
    expect(Buffer.from(message?.key ?? []).toString()).toBe('key-1')
    expect(Buffer.from(message?.schemaId ?? [])).toEqual(Buffer.from(channel.schemaId))
    expect(Buffer.from(message?.envelope.subarray(0, 32) ?? [])).toEqual(Buffer.from(channel.schemaId))
    expect(Math.abs((message?.timestamp ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it('tells the publishers of a commit that failed, keeps nothing of it, and goes on', async () => {
    const store = new GatedStore()
    const channel = await live(store).channel()
    store.gate = Promise.reject(new LiminalError('STORE_FULL', 'The disk is full.'))
    store.gate.catch(() => {})
    const failed = await published(channel, ['a', 'b'], ['1', '2'])
    expect(failed.heard).toEqual(['refused STORE_FULL', 'refused STORE_FULL'])
    store.gate = Promise.resolve()
    const again = await published(channel, ['a', 'b'], ['1', '2'])
    expect(again.heard).toEqual(['accepted 2 to 0'])
    expect(again.positions).toEqual([0n])
  })
})

describe('two owners of one log', () => {
  it('are told of the conflict, and go on behind each other', async () => {
    const store = new MemoryStore()
    const [one, other] = [await live(store).channel(), await live(store).channel()]
    expect((await published(one, ['a'])).positions).toEqual([0n])
    expect((await published(other, ['b'])).heard).toEqual(['refused SEQUENCE_CONFLICT'])
    expect((await published(other, ['b'], ['1'])).positions).toEqual([1n])
  })
})

describe('dead letters', () => {
  it('have a channel before the first of them, which somebody may listen to already', async () => {
    const life = live(new MemoryStore())
    const channel = await life.channel()
    await channel.subscribeCursor(new RecordingSink(), { name: 'c', start: 'earliest', maxInFlight: 1, maxAttempts: 1 })
    expect(life.registry.get('orders.dead-letter').log).not.toBeNull()
    life.registry.get('plain')
    const subscribing = channel.subscribeCursor(new RecordingSink(), {
      name: 'd',
      start: 'earliest',
      maxInFlight: 1,
      maxAttempts: 1,
      deadLetter: 'plain',
    })
    await expect(subscribing).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  })

  it('do not come back to their own channel', async () => {
    const channel = await live(new MemoryStore()).channel()
    const demand = { name: 'c', start: 'earliest', maxInFlight: 1, maxAttempts: 1, deadLetter: 'orders' } as const
    const subscribing = channel.subscribeCursor(new RecordingSink(), demand)
    await expect(subscribing).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('stop when two channels take those of each other', async () => {
    const life = live(new MemoryStore())
    const [orders, others] = [await life.channel(), await life.channel({ name: 'others' })]
    const reject = async (channel: ChannelCore, deadLetter: string) => {
      const sink = new RecordingSink()
      const cursor = await channel.subscribeCursor(sink, {
        name: 'c',
        start: 'earliest',
        maxInFlight: 1,
        maxAttempts: 1,
        deadLetter,
      })
      sink.onDeliver = () => {
        const at = BigInt(sink.payloads.length)
        setImmediate(() => cursor.reject(at, {}))
        return true
      }
      return sink
    }
    await reject(orders, 'others')
    await reject(others, 'orders')
    await published(orders, ['poison'])
    await eventually(() => expect((orders.log?.next ?? 0n) + (others.log?.next ?? 0n)).toBe(17n))
    await new Promise((resolve) => setImmediate(resolve))
    expect((orders.log?.next ?? 0n) + (others.log?.next ?? 0n)).toBe(17n)
  })
})

describe('idempotency keys of a durable channel', () => {
  it('have one effect, and repeat what became of the first publish', async () => {
    const channel = await live(new MemoryStore()).channel()
    channel.subscribe(new RecordingSink())
    const first = await published(channel, ['a', 'b'], ['1', '2'])
    const again = await published(channel, ['x', 'b', 'c'], ['1', '2', '3'])
    expect(again.heard).toEqual(['duplicate to 1', 'duplicate to 1', 'accepted 1 to 1'])
    expect(again.positions).toEqual([0n, 1n, 2n])
    expect(again.ids.slice(0, 2)).toEqual([first.ids[0], first.ids[0] + 1n])
  })

  it('wait for the original while that is underway', async () => {
    const store = new GatedStore()
    const channel = await live(store).channel()
    let open = (): void => {}
    store.gate = new Promise((resolve) => {
      open = resolve
    })
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['a'], ['1']), observer)
    await eventually(() => expect(store.batches).toEqual([1]))
    channel.publishRun(scannedRun(['a again', 'b'], ['1', '2']), observer)
    expect(observer.heard).toEqual([])
    open()
    await channel.log?.idle()
    expect(observer.heard).toEqual(['accepted 1 to 0', 'duplicate to 0', 'accepted 1 to 0'])
    expect(observer.positions).toEqual([0n, 0n, 1n])
  })

  it('are free again if the original was not stored, and say so to whoever repeated it', async () => {
    const store = new GatedStore()
    const channel = await live(store).channel()
    let fail = (_error: Error): void => {}
    store.gate = new Promise((_resolve, reject) => {
      fail = reject
    })
    const observer = new RecordingObserver()
    channel.publishRun(scannedRun(['a'], ['1']), observer)
    await eventually(() => expect(store.batches).toEqual([1]))
    channel.publishRun(scannedRun(['a again'], ['1']), observer)
    fail(new LiminalError('STORE_FULL', 'The disk is full.'))
    await channel.log?.idle()
    expect(observer.heard).toEqual(['refused STORE_FULL', 'refused STORE_FAILED'])
    store.gate = Promise.resolve()
    expect((await published(channel, ['a'], ['1'])).heard).toEqual(['accepted 1 to 0'])
  })

  it('are remembered across restarts with what became of them, if their message was stored', async () => {
    const store = new MemoryStore()
    const first = live(store)
    const channel = await first.channel()
    channel.subscribe(new RecordingSink())
    const stored = await published(channel, ['a', 'b'], ['1', '2'])
    await first.end()
    const second = live(store)
    const again = await published(await second.channel(), ['a', 'c', 'b'], ['1', '3', '2'])
    expect(again.heard).toEqual(['duplicate to 1', 'accepted 1 to 0', 'duplicate to 1'])
    expect(again.positions).toEqual([0n, 2n, 1n])
    expect(again.ids[0]).toBe(stored.ids[0])
  })

  it('know after a crash that the message was stored, but not how many it reached', async () => {
    const store = new MemoryStore()
    const channel = await live(store).channel()
    channel.subscribe(new RecordingSink())
    await published(channel, ['a'], ['1'])
    // No end: the bus is gone with what it knew.
    const again = await published(await live(store).channel(), ['a'], ['1'])
    expect(again.heard).toEqual(['duplicate to null'])
    expect(again.positions).toEqual([0n])
  })

  it('mean something else on another channel', async () => {
    const life = live(new MemoryStore())
    await published(await life.channel(), ['a'], ['1'])
    const other = await published(await life.channel({ name: 'others' }), ['a'], ['1'])
    expect(other.heard).toEqual(['accepted 1 to 0'])
  })

  it('expire, and what is stored of them is removed', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    const store = new MemoryStore()
    const channel = await live(store, { windowMs: 1_000 }).channel()
    await published(channel, ['a'], ['1'])
    vi.advanceTimersByTime(1_001)
    expect((await published(channel, ['a'], ['1'])).heard).toEqual(['accepted 1 to 0'])
    vi.advanceTimersByTime(1_001)
    await channel.log?.expireClaims()
    const { first, next } = await store.state({ kind: 'claims', parts: ['orders'] })
    expect(first).toBe(next)
  })

  it('are known as long as they should be, also where the clock was set back', async () => {
    const store = new MemoryStore()
    const first = live(store, { windowMs: 60_000 })
    await published(await first.channel(), ['a'], ['1'])
    await first.end()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 })
    const second = live(store, { windowMs: 60_000 })
    const channel = await second.channel()
    await published(channel, ['b'], ['2'])
    await channel.log?.expireClaims()
    // A crash: only what is stored is known.
    const again = await published(await live(store, { windowMs: 60_000 }).channel(), ['a', 'b'], ['1', '2'])
    expect(again.heard.map((heard) => heard.split(' ')[0])).toEqual(['duplicate', 'duplicate'])
  })

  it('still suppress what was removed from the log, without saying its id', async () => {
    const channel = await live(new MemoryStore()).channel()
    await published(channel, ['a', 'b'], ['1', '2'])
    await channel.log?.removeBefore(1n)
    const again = await published(channel, ['a'], ['1'])
    expect(again.heard).toEqual(['duplicate to 0'])
    expect(again.ids).toEqual([0n])
  })
})

describe('a subscription to a durable channel', () => {
  it('begins at a position, a time or the oldest, and joins what is published meanwhile without a gap or a repetition', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    const channel = await live(new MemoryStore()).channel()
    await published(channel, ['a', 'b'])
    vi.setSystemTime(Date.now() + 10_000)
    const between = Date.now()
    vi.setSystemTime(Date.now() + 10_000)
    await published(channel, ['c'])
    const starts = ['earliest', { position: 1n }, { time: between }, { position: 99n }, 'latest'] as const
    const sinks = starts.map((start) => {
      const sink = new RecordingSink()
      channel.subscribe(sink, start)
      return sink
    })
    const observer = new RecordingObserver()
    for (let index = 0; index < 50; index++) channel.publishRun(scannedRun([`${index}`]), observer)
    await channel.log?.idle()
    const later = Array.from({ length: 50 }, (_, index) => `${index}`)
    await eventually(() => expect(sinks[0].payloads).toEqual(['a', 'b', 'c', ...later]))
    await eventually(() => expect(sinks[1].payloads).toEqual(['b', 'c', ...later]))
    await eventually(() => expect(sinks[2].payloads).toEqual(['c', ...later]))
    expect(sinks[4].payloads).toEqual(later)
    // A position that was not there yet begins at the end.
    expect(sinks[3].payloads.at(-1)).toBe('49')
    expect(sinks[0].logged.map(({ position }) => position)).toEqual(sinks[0].payloads.map((_, index) => BigInt(index)))
  })

  it('is not shed when it is behind: it goes back to the log, and holds nobody up', async () => {
    const channel = await live(new MemoryStore()).channel()
    const slow = new RecordingSink()
    const quick = new RecordingSink()
    slow.free = 2
    channel.subscribe(slow)
    channel.subscribe(quick)
    const all: string[] = []
    for (let index = 0; index < 20; index++) {
      all.push(`${index}`)
      const { heard } = await published(channel, [`${index}`])
      expect(heard).toEqual(['accepted 1 to 2'])
    }
    expect(channel.hold()).toBeNull()
    expect(quick.payloads).toEqual(all)
    expect(slow.payloads).toEqual(['0', '1'])
    slow.makeRoom(5)
    await eventually(() => expect(slow.payloads).toHaveLength(7))
    slow.makeRoom(Number.POSITIVE_INFINITY)
    await eventually(() => expect(slow.payloads).toEqual(all))
    all.push('live')
    await published(channel, ['live'])
    expect(slow.payloads).toEqual(all)
    expect(slow.ends).toEqual([])
  })

  it('gets from the log what is too large to be taken as it is stored', async () => {
    const channel = await live(new MemoryStore()).channel()
    const sink = new RecordingSink()
    sink.freeBytes = 1_000
    channel.subscribe(sink)
    const many = Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(20_000, '-'))
    await published(channel, many)
    await eventually(() => expect(sink.payloads).toEqual(many))
    // Of one commit, in pages of 256 KiB.
    expect(sink.runs).toEqual([13, 7])
    await published(channel, ['small'])
    expect(sink.payloads).toEqual([...many, 'small'])
  })

  it('takes no more of a page than there is still room for, and leaves nothing out', async () => {
    const channel = await live(new MemoryStore()).channel()
    const all = ['a', 'b', 'c', 'd', 'e', 'f']
    for (let index = 0; index < all.length; index += 2) await published(channel, all.slice(index, index + 2))
    const sink = new RecordingSink()
    // Full with the first delivery, however few messages that is.
    sink.onDeliver = () => {
      sink.free = 0
      return true
    }
    channel.subscribe(sink, 'earliest')
    await eventually(() => expect(sink.payloads).toEqual(['a', 'b']))
    sink.onDeliver = () => {
      // It was full after the first message, and somebody takes it at once.
      sink.free = sink.payloads.length === 2 ? 10 : Number.POSITIVE_INFINITY
      return true
    }
    sink.makeRoom(1)
    await eventually(() => expect(sink.payloads).toEqual(all))
    expect(sink.logged.map(({ position }) => position)).toEqual(all.map((_, index) => BigInt(index)))
    expect(sink.ends).toEqual([])
  })

  it('begins with the oldest message that is left', async () => {
    const channel = await live(new MemoryStore()).channel()
    await published(channel, ['a', 'b', 'c'])
    await channel.log?.removeBefore(2n)
    const sink = new RecordingSink()
    channel.subscribe(sink, { position: 0n })
    await eventually(() => expect(sink.payloads).toEqual(['c']))
    expect(sink.logged).toEqual([{ position: 2n, attempt: 1 }])
  })

  it('is not told of damage when what it reads is removed meanwhile', async () => {
    const channel = await live(new MemoryStore()).channel()
    const sinks = Array.from({ length: 20 }, () => new RecordingSink())
    for (let round = 0; round < 20; round++) {
      await published(
        channel,
        Array.from({ length: 50 }, () => 'm'),
      )
      channel.subscribe(sinks[round], 'earliest')
      const [removed, more] = await Promise.all([
        channel.log?.removeBefore(BigInt(round * 50 + 40)),
        channel.log?.removeBefore(BigInt(round * 50 + 30)),
      ])
      expect(Number(removed ?? 0n) + Number(more ?? 0n)).toBe(round === 0 ? 40 : 50)
    }
    for (const sink of sinks) expect(sink.ends).toEqual([])
  })

  it('waits at the end of a log whose messages were all removed, and lets others go on', async () => {
    const channel = await live(new MemoryStore()).channel()
    await published(channel, ['a', 'b', 'c'])
    await channel.log?.removeBefore(3n)
    const sink = new RecordingSink()
    channel.subscribe(sink, { position: 0n })
    await new Promise((resolve) => setImmediate(resolve))
    await published(channel, ['d'])
    await eventually(() => expect(sink.payloads).toEqual(['d']))
    expect(sink.logged).toEqual([{ position: 3n, attempt: 1 }])
  })

  it('ends with its channel, and gets nothing after it has left', async () => {
    const life = live(new MemoryStore())
    const channel = await life.channel()
    const sink = new RecordingSink()
    const left = new RecordingSink()
    channel.subscribe(sink)
    const subscription = channel.subscribe(left)
    subscription.unsubscribe()
    expect(channel.subscriberCount).toBe(1)
    await published(channel, ['a'])
    expect(left.payloads).toEqual([])
    channel.close()
    expect(sink.ends.map(({ code }) => code)).toEqual(['CHANNEL_CLOSED'])
  })

  it('cannot begin in the past of a channel that is not durable', () => {
    const channel = live(new MemoryStore()).registry.get('plain')
    expect(() => channel.subscribe(new RecordingSink(), 'earliest')).toThrow(
      expect.objectContaining({ code: 'NOT_SUPPORTED' }),
    )
  })

  it('is ended with what prevents reading, and not with silence', async () => {
    const store = new MemoryStore()
    const life = live(store)
    const channel = await life.channel()
    await published(channel, ['a'])
    await life.end()
    const second = live(store)
    const reopened = await second.channel()
    vi.spyOn(store, 'read').mockRejectedValue(new LiminalError('STORE_CORRUPT', 'Event 0 is damaged.'))
    const sink = new RecordingSink()
    reopened.subscribe(sink, 'earliest')
    await eventually(() => expect(sink.ends.map(({ code }) => code)).toEqual(['STORE_CORRUPT']))
  })
})

describe('the retention of a durable channel', () => {
  const state = (store: EventStore) => store.state({ kind: 'channel', parts: ['orders'] })

  it('keeps the newest messages', async () => {
    const store = new MemoryStore()
    const channel = await live(store).channel({ durable: { retention: { maxMessages: 10 } } })
    for (let index = 0; index < 30; index++) await published(channel, ['m'])
    await eventually(async () => expect(Number((await state(store)).first)).toBeGreaterThanOrEqual(19))
    expect((await state(store)).next).toBe(30n)
    await eventually(async () => expect(channel.log?.first).toBe((await state(store)).first))
  })

  it('removes what is too old', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    const store = new MemoryStore()
    const first = live(store)
    await published(await first.channel({ durable: { retention: { maxAgeMs: 1_000 } } }), ['a', 'b'])
    await first.end()
    vi.setSystemTime(Date.now() + 5_000)
    const channel = await live(store).channel({ durable: { retention: { maxAgeMs: 1_000 } } })
    await eventually(async () => expect(await state(store)).toMatchObject({ first: 2n, next: 2n }))
    expect((await published(channel, ['c'])).positions).toEqual([2n])
  })

  it('keeps to a number of bytes', async () => {
    const store = new MemoryStore()
    const channel = await live(store).channel({ durable: { retention: { maxBytes: 10_000 } } })
    for (let index = 0; index < 8; index++) {
      await published(
        channel,
        Array.from({ length: 300 }, () => 'twenty bytes of text'),
      )
    }
    await eventually(async () => expect((await state(store)).bytes).toBeLessThan(200_000))
    const large = new MemoryStore()
    const other = await live(large).channel({ durable: { retention: { maxBytes: 100_000 } } })
    for (let index = 0; index < 50; index++) await published(other, ['large'.repeat(4_000)])
    await eventually(async () => expect((await state(large)).bytes).toBeLessThan(200_000))
  })
})
