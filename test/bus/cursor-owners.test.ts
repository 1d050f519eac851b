import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../ts/bus/index.ts'
import { CURSOR_FENCED, type CursorOwned } from '../../ts/channel/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import {
  buses,
  busOn,
  CursorStore,
  closeBusesAfterEach,
  consume,
  nextSaid,
  orders,
  positionIn,
  publish,
  pull,
  said,
  settled,
  storeFull,
} from './cursors.ts'

closeBusesAfterEach()

describe('the owner of a cursor that a newer subscription takes', () => {
  it('ends with CURSOR_FENCED, and hands out nothing any more of what waited', async () => {
    const { channel } = await orders(6)
    const older = await consume(channel)
    await pull(older.deliveries, 2)
    const fenced = nextSaid<CursorOwned>(CURSOR_FENCED)
    await consume(channel)
    await expect(older.subscription.closed).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    await expect(older.deliveries.next()).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    expect((await older.deliveries.next()).done).toBe(true)
    await expect(older.subscription.checkpoint()).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    expect(await fenced).toEqual({ channel: 'orders', cursor: 'billing', epoch: 1n, position: 1n })
  })

  it('has no say any more in what it was given', async () => {
    const { bus, channel } = await orders(4)
    const older = await consume(channel, { accept: 'explicit' })
    const taken = await pull(older.deliveries, 3)
    const newer = await consume(channel, { accept: 'explicit' })
    taken[2].accept()
    taken[0].reject()
    taken[1].extend()
    await newer.subscription.checkpoint()
    expect(await positionIn(bus)).toBe(0n)
    // What was seen has an attempt more, what waited has not.
    expect(said(await pull(newer.deliveries, 4))).toEqual(['0/2', '1/2', '2/2', '3'])
    await older.subscription.close()
    expect((await bus.administration.cursors())[0].owned).toBe(true)
  })

  it('hears of it in its handler too: no batch comes after the one it is at', async () => {
    const { channel } = await orders(6)
    const batches: string[][] = []
    let release = (): void => {}
    const older = channel.subscribe(
      (batch) => {
        batches.push(said(batch))
        return new Promise((resolve) => {
          release = resolve
        })
      },
      { from: 'earliest', cursor: 'billing', maxInFlight: 2 },
    )
    await older.ready()
    await settled()
    const newer = await consume(channel)
    await expect(older.closed).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    release()
    expect(said(await pull(newer.deliveries, 3))).toEqual(['0/2', '1/2', '2'])
    expect(batches).toEqual([['0', '1']])
  })

  it('can be one of many that take it from each other: each message is accepted in the end', async () => {
    const { bus, channel } = await orders(250)
    const seen = new Set<number>()
    for (let owner = 0; owner < 20; owner++) {
      const { deliveries } = await consume(channel)
      for (const { value } of await pull(deliveries, 11)) seen.add(value)
    }
    const last = await consume(channel)
    const left = 250 - Number(await positionIn(bus))
    for (const { value } of await pull(last.deliveries, left)) seen.add(value)
    await last.subscription.checkpoint()
    expect(await positionIn(bus)).toBe(249n)
    expect(seen.size).toBe(250)
  })
})

describe('a subscription that is closed in the middle', () => {
  it('gives back what it had: seen messages with an attempt more, and what only waited as if it had never left', async () => {
    const { bus, channel } = await orders(50)
    for (let round = 0; round < 3; round++) {
      const { subscription, deliveries } = await consume(channel, { accept: 'explicit' }, { maxAttempts: 4 })
      expect((await pull(deliveries, 1))[0].attempt).toBe(round + 1)
      await subscription.close()
      await subscription.close()
    }
    const { deliveries } = await consume(channel, {}, { maxAttempts: 4 })
    const rest = await pull(deliveries, 50)
    expect(said(rest)).toEqual(['0/4', ...Array.from({ length: 49 }, (_, index) => `${index + 1}`)])
    expect((await bus.administration.channel('orders.dead-letter')).next).toBe(0n)
  })

  it('has accepted what the loop has passed, by leaving it as by its signal', async () => {
    const { bus, channel } = await orders(5)
    const seen: number[] = []
    for await (const { value } of channel.subscribe({ from: 'earliest', cursor: 'billing' })) {
      seen.push(value)
      if (value === 2) break
    }
    expect(await positionIn(bus)).toBe(2n)
    const controller = new AbortController()
    const { subscription, deliveries } = await consume(channel, { signal: controller.signal })
    expect(said(await pull(deliveries, 2))).toEqual(['2/2', '3'])
    controller.abort()
    await subscription.closed
    await settled()
    expect(await positionIn(bus)).toBe(3n)
  })

  it('leaves what it handed back for the next one', async () => {
    const { channel } = await orders(3)
    const first = await consume(channel, { accept: 'explicit' })
    const taken = await pull(first.deliveries, 3)
    taken[0].reject({ delayMs: 60_000 })
    taken[2].accept()
    await first.subscription.close()
    const second = await consume(channel)
    await publish(channel, 3, 4)
    expect(said(await pull(second.deliveries, 2))).toEqual(['0/2', '3'])
  })

  it('keeps deliveries that came after it from doing anything', async () => {
    const { bus, channel } = await orders(3)
    const { subscription, deliveries } = await consume(channel, { accept: 'explicit' })
    const taken = await pull(deliveries, 3)
    await subscription.close()
    for (const delivery of taken) delivery.accept()
    await settled()
    expect(await positionIn(bus)).toBe(0n)
  })

  it('says that a full disk could not take how far it was; that is written when there is room', async () => {
    const store = new CursorStore()
    const { bus, channel } = await orders(3, store)
    const { subscription, deliveries } = await consume(channel, { accept: 'each' })
    const taken = await pull(deliveries, 3)
    store.failure = storeFull()
    taken[0].accept()
    await expect(subscription.close()).rejects.toMatchObject({ code: 'STORE_FULL' })
    await subscription.closed
    store.failure = null
    const next = await consume(channel)
    expect(said(await pull(next.deliveries, 2))).toEqual(['1/2', '2/2'])
    await next.subscription.checkpoint()
    expect(await positionIn(bus)).toBe(2n)
  })

  it('ends while a full disk keeps it from taking the cursor', async () => {
    const store = new CursorStore()
    const { channel } = await orders(1, store)
    store.failure = storeFull()
    const subscription = channel.subscribe({ from: 'earliest', cursor: 'billing' })
    const ready = expect(subscription.ready()).rejects.toMatchObject({ code: 'CLOSED' })
    await settled()
    await expect(subscription.close()).rejects.toMatchObject({ code: 'STORE_FULL' })
    await ready
    store.failure = null
    const next = await consume(channel)
    expect(said(await pull(next.deliveries, 1))).toEqual(['0'])
  })

  it('takes the cursor once the disk has room again', async () => {
    const store = new CursorStore()
    const { channel } = await orders(1, store)
    store.failure = storeFull()
    const subscription = channel.subscribe({ from: 'earliest', cursor: 'billing' })
    await settled()
    store.failure = null
    await subscription.ready()
    expect(said(await pull(subscription[Symbol.asyncIterator](), 1))).toEqual(['0'])
  })

  it('keeps a bus from saying that it is written down when it is not, and not from closing', async () => {
    const store = new CursorStore()
    const { bus, channel } = await orders(2, store)
    const { subscription, deliveries } = await consume(channel, { accept: 'each' })
    const [first] = await pull(deliveries, 2)
    store.failure = storeFull()
    first.accept()
    await expect(bus.close()).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(bus.state).toBe('closed')
    await expect(subscription.closed).rejects.toMatchObject({ code: 'CLOSED' })
    store.failure = null
    const next = await consume((await busOn(store)).channel<number>('orders'))
    expect(said(await pull(next.deliveries, 2))).toHaveLength(2)
    buses.delete(bus)
  })

  it('is that of a bus that ends: what waited is not handed out, and comes on the next one', async () => {
    const store = new MemoryStore()
    const { bus, channel } = await orders(5, store)
    const { deliveries } = await consume(channel)
    await pull(deliveries, 2)
    await bus.close()
    await expect(deliveries.next()).rejects.toMatchObject({ code: 'CLOSED' })
    const next = await consume((await busOn(store)).channel<number>('orders'))
    expect(said(await pull(next.deliveries, 4))).toEqual(['1/2', '2', '3', '4'])
  })
})

describe('a cursor that somebody else sets right', () => {
  it('ends its subscription when it is moved, and goes on where it was put', async () => {
    const { bus, channel } = await orders(6)
    const { subscription, deliveries } = await consume(channel)
    await pull(deliveries, 5)
    const info = await bus.administration.setCursor('orders', 'billing', { position: 2n })
    expect(info).toMatchObject({ position: 2n, lag: 4n, owned: false })
    await expect(subscription.closed).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    const next = await consume(channel)
    expect(said(await pull(next.deliveries, 4))).toEqual(['2', '3', '4', '5'])
  })

  it('ends its subscription when it is removed, and is new afterwards', async () => {
    const { bus, channel } = await orders(3)
    const { subscription, deliveries } = await consume(channel)
    const taken = await pull(deliveries, 3)
    await bus.administration.removeCursor('orders', 'billing')
    await expect(subscription.closed).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    taken[2].accept()
    await subscription.close()
    expect(await bus.administration.cursors('orders')).toEqual([])
    const next = await consume(channel)
    expect(said(await pull(next.deliveries, 1))).toEqual(['0'])
  })

  it('skips what was purged, except for what its owner has', async () => {
    const { bus, channel } = await orders(6)
    const { subscription, deliveries } = await consume(channel, { maxInFlight: 2, accept: 'explicit' })
    const taken: Delivery<number>[] = await pull(deliveries, 2)
    expect(await bus.administration.purge('orders', { before: 5n })).toBe(5n)
    taken[1].accept()
    expect(said(await pull(deliveries, 1))).toEqual(['5'])
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(5n)
  })
})

describe('a cursor of a channel whose process is killed', () => {
  it('ends its subscription with CHANNEL_CLOSED, and goes on when the channel is back', async () => {
    const { bus, channel } = await orders(4)
    const { subscription, deliveries } = await consume(channel)
    await pull(deliveries, 3)
    const [{ pid }] = bus.processes.list().filter(({ name }) => name === 'channel')
    bus.processes.exit(pid, exitKilled())
    await expect(subscription.closed).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' })
    await expect(deliveries.next()).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' })
    const next = await consume(channel)
    await publish(channel, 4, 5)
    expect(said(await pull(next.deliveries, 3))).toEqual(['2/2', '3', '4'])
  })
})
