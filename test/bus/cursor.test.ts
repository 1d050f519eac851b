import { describe, expect, it, vi } from 'vitest'
import type { Delivery, SubscribeOptions } from '../../ts/bus/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import {
  busOn,
  CursorStore,
  closeBusesAfterEach,
  consume,
  orders,
  positionIn,
  publish,
  pull,
  said,
  settled,
  storeFull,
} from './cursors.ts'

closeBusesAfterEach()

describe('a subscription with a cursor', () => {
  it.each<[string, SubscribeOptions, number]>([
    ['latest', {}, 5],
    ['earliest', { from: 'earliest' }, 0],
    ['a position', { from: { position: 3n } }, 3],
    ['a position behind the end', { from: { position: 99n } }, 5],
    ['a time', { from: { time: 0 } }, 0],
    ['a date', { from: { time: new Date(Date.now() + 60_000) } }, 5],
  ])('begins at %s when the cursor is new', async (_what, options, first) => {
    const { channel } = await orders(5)
    const subscription = channel.subscribe({ cursor: 'billing', ...options })
    await subscription.ready()
    await publish(channel, 5, 7)
    const deliveries = await pull(subscription[Symbol.asyncIterator](), 7 - first)
    expect(said(deliveries)).toEqual(Array.from({ length: 7 - first }, (_, index) => `${first + index}`))
    expect(deliveries.map(({ sequence }) => sequence)).toEqual(deliveries.map((_, index) => BigInt(index + 1)))
  })

  it('goes on where the cursor was, whatever it says of the beginning', async () => {
    const { channel } = await orders(5)
    const first = await consume(channel, { accept: 'explicit' })
    const taken = await pull(first.deliveries, 3)
    taken[1].accept()
    await first.subscription.close()
    const second = await consume(channel, { from: 'latest' })
    expect(said(await pull(second.deliveries, 3))).toEqual(['2/2', '3', '4'])
  })

  it('is where it was on the next bus of its store, with what was not accepted', async () => {
    const store = new MemoryStore()
    const first = await orders(6, store)
    const one = await consume(first.channel)
    await pull(one.deliveries, 4)
    await first.bus.close()
    await expect(one.subscription.closed).rejects.toMatchObject({ code: 'CLOSED' })
    const second = await busOn(store)
    expect(await second.administration.cursors('orders')).toEqual([
      { channel: 'orders', name: 'billing', position: 3n, lag: 3n, owned: false },
    ])
    const again = await consume(second.channel<number>('orders'))
    expect(said(await pull(again.deliveries, 3))).toEqual(['3/2', '4', '5'])
    expect((await second.administration.cursors())[0]).toMatchObject({ owned: true })
  })

  it('gives a handler its batches, and accepts each when it is done', async () => {
    const { bus, channel } = await orders(10)
    const gate = new Deferred<void>()
    const batches: string[][] = []
    const subscription = channel.subscribe(
      async (batch) => {
        batches.push(said(batch))
        if (batches.length === 2) await gate.promise
      },
      { from: 'earliest', cursor: 'billing', maxInFlight: 4 },
    )
    await subscription.ready()
    await settled()
    expect(batches).toEqual([
      ['0', '1', '2', '3'],
      ['4', '5', '6', '7'],
    ])
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(4n)
    gate.resolve()
    await settled()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(10n)
    await subscription.close()
  })

  it('ends with what its handler threw; the batch goes to the next one, and what waited behind it is new', async () => {
    const { channel } = await orders(4)
    const subscription = channel.subscribe(
      () => {
        throw new Error('cannot bill this')
      },
      { from: 'earliest', cursor: 'billing', maxInFlight: 2 },
    )
    await expect(subscription.closed).rejects.toThrow('cannot bill this')
    const next = await consume(channel)
    expect(said(await pull(next.deliveries, 4))).toEqual(['0/2', '1/2', '2', '3'])
  })

  it('accepts with one delivery all that were handed out before it', async () => {
    const { bus, channel } = await orders(5)
    const { subscription, deliveries } = await consume(channel, { accept: 'explicit' })
    const taken = await pull(deliveries, 5)
    taken[3].accept()
    taken[3].accept()
    taken[0].reject()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(4n)
  })

  it("accepts one by one in any order with accept: 'each', and redelivers the gaps", async () => {
    const { bus, channel } = await orders(6)
    const first = await consume(channel, { accept: 'each' })
    const taken = await pull(first.deliveries, 5)
    for (const index of [4, 0, 2]) taken[index].accept()
    await first.subscription.close()
    expect(await positionIn(bus)).toBe(1n)
    const second = await consume(channel, { accept: 'each' })
    const rest = await pull(second.deliveries, 3)
    expect(said(rest)).toEqual(['1/2', '3/2', '5'])
    for (const delivery of rest) delivery.accept()
    await second.subscription.checkpoint()
    expect(await positionIn(bus)).toBe(6n)
  })

  it('hands out no more than maxInFlight, 256 by default, and the next as soon as one is accepted', async () => {
    const { channel } = await orders(300)
    const { deliveries } = await consume(channel, { accept: 'explicit' })
    const taken = await pull(deliveries, 256)
    let came: Delivery<number> | undefined
    const next = deliveries.next().then(({ value }) => {
      came = value
    })
    await settled()
    expect(came).toBeUndefined()
    taken[0].accept()
    await next
    expect(came?.value).toBe(256)
  })

  it('has nothing to do with another one: each sees everything, at its own pace', async () => {
    const { bus, channel } = await orders(4)
    const billing = await consume(channel)
    const shipping = await consume(channel, {}, { name: 'shipping' })
    expect(said(await pull(billing.deliveries, 4))).toEqual(['0', '1', '2', '3'])
    expect(said(await pull(shipping.deliveries, 2))).toEqual(['0', '1'])
    await billing.subscription.close()
    expect(said(await pull(shipping.deliveries, 2))).toEqual(['2', '3'])
    await shipping.subscription.checkpoint()
    const cursors = await bus.administration.cursors('orders')
    expect(cursors.map(({ name, position, owned }) => [name, position, owned])).toEqual([
      ['billing', 3n, false],
      ['shipping', 3n, true],
    ])
  })

  it('sees a hundred thousand messages in order, those that were there and those that come meanwhile', async () => {
    const { bus, channel } = await orders(50_000)
    const done = new Deferred<void>()
    let next = 0
    const wrong: string[] = []
    const subscription = channel.subscribe(
      (batch) => {
        for (const { value, position, attempt } of batch) {
          if (value !== next || position !== BigInt(next) || attempt !== 1) wrong.push(`${value}/${attempt}`)
          next++
        }
        if (next === 100_000) done.resolve()
      },
      { from: 'earliest', cursor: 'billing' },
    )
    await subscription.ready()
    for (let start = 50_000; start < 100_000; start += 5_000) await publish(channel, start, start + 5_000)
    await done.promise
    expect(wrong).toEqual([])
    await subscription.close()
    expect(await positionIn(bus)).toBe(100_000n)
  })

  it('takes pages that are larger than its queue may be', async () => {
    const bus = await busOn(new MemoryStore(), { subscriptionQueue: { maxBytes: 10_000 } })
    const channel = bus.channel<string>('orders')
    const subscription = channel.subscribe({ from: 'earliest', cursor: 'billing' })
    await channel.publish('0'.padEnd(3_000))
    await settled()
    // One page, while one message waits already.
    await Promise.all(Array.from({ length: 39 }, (_, index) => channel.publish(`${index + 1}`.padEnd(3_000))))
    await settled()
    const deliveries = subscription[Symbol.asyncIterator]()
    for (let index = 0; index < 40; index++) {
      const { value } = await deliveries.next()
      expect(value?.value.trim()).toBe(`${index}`)
    }
  })

  it.each<[object, string]>([
    [{ name: '' }, 'cursor.name'],
    [{ name: 'a\n' }, 'cursor.name'],
    [{ name: 'a', leaseMs: 0 }, 'cursor.leaseMs'],
    [{ name: 'a', maxAttempts: 0 }, 'cursor.maxAttempts'],
    [{ name: 'a', deadLetter: '' }, 'cursor.deadLetter'],
    [{ name: 'a', checkpoint: 'often' }, 'cursor.checkpoint'],
    [{ name: 'a', checkpoint: { withinMs: 5 } }, 'cursor.checkpoint.every'],
    [{ name: 'a', checkpoint: { every: 1, withinMs: 0 } }, 'cursor.checkpoint.withinMs'],
    [{ name: 'a', lease: 5 }, 'lease'],
  ])('is refused with %j', async (cursor, what) => {
    const { channel } = await orders(0)
    const options: object = { cursor }
    expect(() => channel.subscribe(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(what) }),
    )
  })
})

describe('the checkpoint of a cursor', () => {
  it('follows every acceptance that moves it on, and they share writes', async () => {
    const store = new CursorStore()
    const { bus, channel } = await orders(20, store)
    const { subscription, deliveries } = await consume(channel, { accept: 'each' })
    const taken = await pull(deliveries, 20)
    const before = store.checkpoints
    taken[5].accept()
    await settled()
    expect(store.checkpoints).toBe(before)
    for (const delivery of taken) delivery.accept()
    await settled()
    expect(await positionIn(bus)).toBe(20n)
    expect(store.checkpoints - before).toBeLessThanOrEqual(2)
    await subscription.close()
  })

  it("is only what was asked for with 'explicit': the rest comes again", async () => {
    const store = new MemoryStore()
    const { bus, channel } = await orders(6, store)
    const { subscription, deliveries } = await consume(channel, { accept: 'each' }, { checkpoint: 'explicit' })
    const taken = await pull(deliveries, 5)
    for (const delivery of taken.slice(0, 2)) delivery.accept()
    await subscription.checkpoint()
    for (const delivery of taken.slice(2)) delivery.accept()
    await settled()
    expect(await positionIn(bus)).toBe(2n)
    await bus.close()
    const next = await consume((await busOn(store)).channel<number>('orders'))
    expect(said(await pull(next.deliveries, 4))).toEqual(['2/2', '3/2', '4/2', '5'])
  })

  it('comes after so many acceptances, or so long after the first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    try {
      const { bus, channel } = await orders(10)
      const { deliveries } = await consume(
        channel,
        { accept: 'explicit' },
        { checkpoint: { every: 4, withinMs: 200 }, leaseMs: 60_000 },
      )
      const taken = await pull(deliveries, 10)
      taken[2].accept()
      await settled()
      expect(await positionIn(bus)).toBe(0n)
      taken[3].accept()
      await settled()
      expect(await positionIn(bus)).toBe(4n)
      taken[4].accept()
      await vi.advanceTimersByTimeAsync(199)
      await settled()
      expect(await positionIn(bus)).toBe(4n)
      await vi.advanceTimersByTimeAsync(1)
      await settled()
      expect(await positionIn(bus)).toBe(5n)
    } finally {
      vi.useRealTimers()
    }
  })

  it('fails with a full disk and is tried again, while deliveries go on', async () => {
    const store = new CursorStore()
    const { bus, channel } = await orders(4, store)
    const { subscription, deliveries } = await consume(channel)
    await pull(deliveries, 2)
    store.failure = storeFull()
    await expect(subscription.checkpoint()).rejects.toMatchObject({ code: 'STORE_FULL', retryable: true })
    expect(said(await pull(deliveries, 2))).toEqual(['2', '3'])
    expect(await positionIn(bus)).toBeLessThan(3n)
    store.failure = null
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(3n)
  })

  it('fails once the subscription is over', async () => {
    const { channel } = await orders(1)
    const { subscription } = await consume(channel)
    await subscription.close()
    await expect(subscription.checkpoint()).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('retention', () => {
  it('leaves what a cursor has not accepted', async () => {
    const durable = { retention: { maxMessages: 3 } }
    const { bus, channel } = await orders(5, new MemoryStore(), { channels: [{ name: 'orders', durable }] })
    const { subscription, deliveries } = await consume(channel)
    await publish(channel, 5, 10)
    const first = Number((await bus.administration.channel('orders')).first)
    expect(first).toBeLessThanOrEqual(2)
    expect(said(await pull(deliveries, 10 - first))).toEqual(
      Array.from({ length: 10 - first }, (_, index) => `${first + index}`),
    )
    await subscription.checkpoint()
    await publish(channel, 10, 12)
    await settled()
    expect((await bus.administration.channel('orders')).first).toBe(9n)
  })

  it('goes past cursors where that is said, and they go on at the oldest message', async () => {
    const durable = { retention: { maxMessages: 3, pastCursors: true } }
    const { bus, channel } = await orders(2, new MemoryStore(), { channels: [{ name: 'orders', durable }] })
    const { subscription, deliveries } = await consume(channel, { maxInFlight: 1 })
    expect(said(await pull(deliveries, 1))).toEqual(['0'])
    await publish(channel, 2, 12)
    await settled()
    const { first } = await bus.administration.channel('orders')
    expect(first).toBe(9n)
    expect(said(await pull(deliveries, 3))).toEqual(['9', '10', '11'])
    await subscription.close()
    expect(await positionIn(bus)).toBe(11n)
  })
})
