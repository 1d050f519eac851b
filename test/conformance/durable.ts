import { expect, it } from 'vitest'
import type { Bus, Channel } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import type { Backing, Setup } from './suite.ts'
import { Collector, deferred, failure, numbers, Taker } from './tools.ts'

const CHANNELS = [{ name: 'orders', durable: true }, { name: 'orders.dead-letter', durable: true }, { name: 'ticks' }]

interface Orders {
  readonly backing: Backing
  readonly bus: Bus
  readonly channel: Channel<number>
}

/** Positions, receipts, subscriptions from the past, and cursors. */
export function durableTests(setup: Setup): void {
  async function orders(options: { smallQueues?: boolean } = {}): Promise<Orders> {
    const backing = await setup({ store: new MemoryStore(), channels: CHANNELS, ...options })
    const bus = await backing.bus()
    return { backing, bus, channel: bus.channel<number>('orders') }
  }

  it('say in receipts where messages are', async () => {
    const { bus, channel } = await orders()
    const receipts = await Promise.all(numbers(5).map((value) => channel.publish(value)))
    expect(receipts.map(({ position }) => position)).toEqual([0n, 1n, 2n, 3n, 4n])
    const first = await channel.publish(5, { idempotencyKey: 'five' })
    const again = await channel.publish(5, { idempotencyKey: 'five' })
    expect([first.position, first.duplicate]).toEqual([5n, false])
    expect([again.position, again.duplicate, again.messageId]).toEqual([5n, true, first.messageId])
    expect((await bus.channel('ticks').publish(1)).position).toBeNull()
  })

  it('are read from their beginning, a position, or a time', async () => {
    const { channel } = await orders()
    for (const value of numbers(4)) await channel.publish(value)
    const taker = new Taker(channel.subscribe({ from: 'earliest' }))
    for (const value of numbers(4)) {
      const { position, attempt, sequence, value: got } = await taker.next()
      expect([position, attempt, sequence, got]).toEqual([BigInt(value), 1, BigInt(value) + 1n, value])
    }
    expect(await new Taker(channel.subscribe({ from: { position: 2n } })).values(2)).toEqual([2, 3])
    expect(await new Taker(channel.subscribe({ from: { time: new Date(0) } })).values(4)).toEqual([0, 1, 2, 3])
    const future = channel.subscribe({ from: { time: Date.now() + 60_000 } })
    await future.ready()
    await channel.publish(4)
    expect(await taker.values(1)).toEqual([4])
  })

  it('give what is published from now on to who says nothing, with its position', async () => {
    const { channel } = await orders()
    await channel.publish(0)
    const subscription = channel.subscribe()
    await subscription.ready()
    await channel.publish(1)
    const { position, value } = await new Taker(subscription).next()
    expect([position, value]).toEqual([1n, 1])
  })

  it('are read to their end and on while they are written, by a handler that is slow too', async () => {
    const { channel } = await orders({ smallQueues: true })
    const values = numbers(20_000)
    const publishing = Promise.all(values.map((value) => channel.publish(value)))
    const collector = new Collector<number>()
    const subscription = channel.subscribe(
      async (deliveries) => {
        await new Promise((resolve) => setImmediate(resolve))
        collector.handler(deliveries)
      },
      { from: 'earliest' },
    )
    expect(await collector.reach(values.length)).toEqual(values)
    await publishing
    await subscription.close()
  })

  it('have a past only if they are durable', async () => {
    const { bus } = await orders()
    const ticks = bus.channel('ticks')
    for (const options of [{ from: 'earliest' as const }, { from: { position: 0n } }, { cursor: 'billing' }]) {
      await failure(() => ticks.subscribe(options).ready(), 'NOT_SUPPORTED')
    }
    const subscription = ticks.subscribe({ from: 'latest', accept: 'each' })
    await subscription.ready()
    await subscription.checkpoint()
  })

  it('refuse options that make no sense', async () => {
    const { channel } = await orders()
    for (const options of [
      { from: 'newest' },
      { from: { position: 1 } },
      { from: { position: 1n, time: 1 } },
      { from: { time: Number.NaN } },
      { from: { time: Number.POSITIVE_INFINITY } },
      { cursor: '' },
      { cursor: { name: 'a', lease: 5 } },
      { cursor: { name: 'a', leaseMs: 0 } },
      { cursor: { name: 'a', maxAttempts: 0 } },
      { cursor: { name: 'a', checkpoint: 'never' } },
      { cursor: { name: 'a', checkpoint: { every: 0 } } },
      { accept: 'some' },
    ]) {
      await failure(() => channel.subscribe(Object(options)), 'INVALID_ARGUMENT')
    }
  })

  it('go on for a cursor behind what was accepted, and give what was not once more', async () => {
    const { channel } = await orders()
    for (const value of numbers(4)) await channel.publish(value)
    const first = channel.subscribe({ cursor: 'billing', from: 'earliest', accept: 'explicit' })
    const taker = new Taker(first)
    await taker.next()
    ;(await taker.next()).accept()
    await taker.next()
    await first.close()
    const second = new Taker(channel.subscribe({ cursor: 'billing', accept: 'explicit' }))
    const seen: unknown[] = []
    for (let left = 2; left > 0; left--) {
      const { position, attempt, value } = await second.next()
      seen.push([position, attempt, value])
    }
    // The last one was not handed out before: whether it had been sent is nobody's business.
    expect(seen).toEqual([
      [2n, 2, 2],
      [3n, expect.any(Number), 3],
    ])
  })

  it('keep what a cursor begins with from its first subscription on', async () => {
    const { channel } = await orders()
    await channel.publish(0)
    const first = channel.subscribe({ cursor: 'billing' })
    await first.ready()
    await first.close()
    await channel.publish(1)
    expect(await new Taker(channel.subscribe({ cursor: 'billing', from: 'earliest' })).values(1)).toEqual([1])
  })

  it('give again what is handed back, at once or later, and what is around it only once', async () => {
    const { channel } = await orders()
    for (const value of numbers(3)) await channel.publish(value)
    const taker = new Taker(channel.subscribe({ cursor: 'billing', from: 'earliest', accept: 'explicit' }))
    const [zero, one, two] = [await taker.next(), await taker.next(), await taker.next()]
    one.reject({ reason: 'not now' })
    two.accept()
    zero.reject()
    const again = await taker.next()
    expect([again.value, again.attempt]).toEqual([1, 2])
    const asked = performance.now()
    again.reject({ delayMs: 60 })
    const third = await taker.next()
    expect([third.value, third.attempt]).toEqual([1, 3])
    expect(performance.now() - asked).toBeGreaterThan(50)
    third.accept()
    await channel.publish(3)
    expect((await taker.next()).value).toBe(3)
  })

  it('take each acceptance for itself where that is asked for', async () => {
    const { channel } = await orders()
    for (const value of numbers(3)) await channel.publish(value)
    const first = channel.subscribe({ cursor: 'billing', from: 'earliest', accept: 'each', maxInFlight: 2 })
    const taker = new Taker(first)
    await taker.next()
    ;(await taker.next()).accept()
    ;(await taker.next()).accept()
    await first.checkpoint()
    await first.close()
    const second = new Taker(channel.subscribe({ cursor: 'billing', accept: 'explicit' }))
    const { value, attempt } = await second.next()
    expect([value, attempt]).toEqual([0, 2])
    await channel.publish(3)
    expect((await second.next()).value).toBe(3)
  })

  it('give again what is not answered within its lease, unless it is extended', async () => {
    const { channel } = await orders()
    for (const value of numbers(2)) await channel.publish(value)
    const cursor = { name: 'billing', leaseMs: 1_000 }
    const taker = new Taker(channel.subscribe({ cursor, from: 'earliest', accept: 'explicit' }))
    const kept = await taker.next()
    await taker.next()
    const extending = setInterval(() => kept.extend(), 50)
    const again = await taker.next()
    clearInterval(extending)
    expect([again.value, again.attempt]).toEqual([1, 2])
  })

  it('put what was delivered too often into the dead-letter channel, and go on', async () => {
    const { channel, bus } = await orders()
    for (const value of numbers(2)) await channel.publish(value, { causal: { parentId: 'a', vectorClockEntry: null } })
    const cursor = { name: 'billing', maxAttempts: 2 }
    const taker = new Taker(channel.subscribe({ cursor, from: 'earliest', accept: 'explicit' }))
    for (const attempt of [1, 2]) {
      const delivery = await taker.next()
      if (attempt === 1) expect((await taker.next()).value).toBe(1)
      expect([delivery.value, delivery.attempt]).toEqual([0, attempt])
      delivery.reject({ reason: 'no such customer' })
    }
    const dead = bus.channel<number>('orders.dead-letter')
    const letter = await new Taker(dead.subscribe({ from: 'earliest' })).next()
    expect([letter.value, letter.causal.parentId]).toEqual([0, 'orders@0'])
    expect((await bus.administration.peek('orders.dead-letter'))[0]?.publisher).toContain('no such customer')
  })

  it('let the newest subscription own a cursor', async () => {
    const { channel } = await orders()
    for (const value of numbers(2)) await channel.publish(value)
    const first = channel.subscribe({ cursor: 'billing', from: 'earliest', accept: 'explicit' })
    const taker = new Taker(first)
    const zero = await taker.next()
    const second = new Taker(channel.subscribe({ cursor: 'billing', accept: 'explicit' }))
    expect((await second.next()).value).toBe(0)
    await failure(() => first.closed, 'CURSOR_FENCED')
    await failure(() => first.checkpoint(), 'CURSOR_FENCED')
    // Without effect: the other one has it.
    zero.accept()
    zero.reject()
    zero.extend()
  })

  it('are written down for a cursor when it says so, and only then', async () => {
    const { channel, bus } = await orders()
    for (const value of numbers(3)) await channel.publish(value)
    const cursor = { name: 'billing', checkpoint: 'explicit' as const }
    const subscription = channel.subscribe({ cursor, from: 'earliest', accept: 'explicit' })
    const taker = new Taker(subscription)
    ;(await taker.next()).accept()
    await subscription.checkpoint()
    const position = async () => (await bus.administration.cursors('orders'))[0]?.position
    expect(await position()).toBe(1n)
    ;(await taker.next()).accept()
    await subscription.close()
    expect(await position()).toBe(1n)
  })

  it('accept for a cursor what its handler is done with', async () => {
    const { channel, bus } = await orders()
    const done = deferred()
    const subscription = channel.subscribe(
      (deliveries) => {
        const three = deliveries.find(({ value, attempt }) => value === 3 && attempt === 1)
        three?.reject()
        if (deliveries.some(({ value, attempt }) => value === 3 && attempt === 2)) done.resolve()
      },
      { cursor: 'billing', from: 'earliest' },
    )
    for (const value of numbers(4)) await channel.publish(value)
    await done.promise
    await subscription.close()
    expect(await bus.administration.cursors('orders')).toEqual([
      { channel: 'orders', name: 'billing', position: 4n, lag: 0n, owned: false },
    ])
  })

  it('hand out no more for a cursor than may be in flight', async () => {
    const { channel, backing } = await orders()
    for (const value of numbers(5)) await channel.publish(value)
    const subscription = channel.subscribe({
      cursor: 'billing',
      from: 'earliest',
      accept: 'explicit',
      maxInFlight: 2,
    })
    const taker = new Taker(subscription)
    const [, one] = [await taker.next(), await taker.next()]
    let third: number | null = null
    const next = taker.next().then(({ value }) => {
      third = value
    })
    await backing.settled()
    expect(third).toBeNull()
    one.accept()
    await next
    expect(third).toBe(2)
  })
}
