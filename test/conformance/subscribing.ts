import { expect, it } from 'vitest'
import type { Delivery } from '../../ts/bus/index.ts'
import type { Setup } from './suite.ts'
import { Collector, deferred, failure, numbers, Taker } from './tools.ts'

/** Iterators, handlers, acceptance and the ends of subscriptions. */
export function subscribingTests(setup: Setup): void {
  it('counts deliveries from 1 without gaps', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    await channel.publish(0)
    const subscription = channel.subscribe()
    await subscription.ready()
    for (const value of numbers(10)) await channel.publish(value)
    const taker = new Taker(subscription)
    for (const value of numbers(10)) {
      const delivery = await taker.next()
      expect([delivery.sequence, delivery.value, delivery.channel]).toEqual([BigInt(value) + 1n, value, 'ticks'])
    }
  })

  it('ends when the loop is left', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe()
    await subscription.ready()
    for (const value of numbers(3)) await channel.publish(value)
    const seen: number[] = []
    for await (const delivery of subscription) {
      seen.push(delivery.value)
      if (seen.length === 2) break
    }
    expect(seen).toEqual([0, 1])
    await subscription.closed
    expect(await channel.publish(3)).toMatchObject({ delivered: false })
  })

  it('is iterated by one loop at a time, and not at all with a handler', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe()
    await subscription.ready()
    const taker = new Taker(subscription)
    await failure(() => subscription[Symbol.asyncIterator](), 'INVALID_ARGUMENT')
    await failure(() => channel.subscribe(() => {})[Symbol.asyncIterator](), 'INVALID_ARGUMENT')
    await channel.publish(1)
    expect(await taker.values(1)).toEqual([1])
  })

  it('answers several calls of next in order', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe({ maxInFlight: 1 })
    await subscription.ready()
    const taker = new Taker(subscription)
    const asked = Promise.all([taker.next(), taker.next(), taker.next()])
    for (const value of numbers(3)) await channel.publish(value)
    expect((await asked).map((delivery) => delivery.value)).toEqual([0, 1, 2])
  })

  it('accepts automatically by asking for the next, whatever maxInFlight', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe({ maxInFlight: 1 })
    await subscription.ready()
    await Promise.all(numbers(300).map((value) => channel.publish(value)))
    expect(await new Taker(subscription).values(300)).toEqual(numbers(300))
  })

  it('hands out no more than maxInFlight until deliveries are accepted, cumulatively', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<number>('ticks')
    const subscription = channel.subscribe({ maxInFlight: 3, accept: 'explicit' })
    await subscription.ready()
    const others = new Collector<number>()
    await channel.subscribe(others.handler).ready()
    const taker = new Taker(subscription)
    await Promise.all(numbers(10).map((value) => channel.publish(value)))

    const handedOut = [await taker.next(), await taker.next(), await taker.next()]
    let fourth: Delivery<number> | null = null
    const waiting = taker.next().then((delivery) => {
      fourth = delivery
      return delivery
    })
    await others.reach(10)
    await channel.publish(10)
    await others.reach(11)
    expect(fourth).toBeNull()

    handedOut[1].accept()
    handedOut[1].accept()
    handedOut[0].accept()
    expect((await waiting).value).toBe(3)
    expect((await taker.next()).value).toBe(4)

    handedOut[2].accept()
    expect((await taker.next()).value).toBe(5)
  })

  it('gives everything to a subscriber that accepts one by one', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe({ maxInFlight: 4, accept: 'explicit' })
    await subscription.ready()
    await Promise.all(numbers(200).map((value) => channel.publish(value)))
    const seen: number[] = []
    for await (const delivery of subscription) {
      seen.push(delivery.value)
      delivery.accept()
      if (seen.length === 200) break
    }
    expect(seen).toEqual(numbers(200))
  })

  it('gives an asynchronous handler one batch at a time', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const seen: number[] = []
    const done = deferred()
    let running = 0
    let overlapped = false
    const handler = async (deliveries: readonly Delivery<number>[]): Promise<void> => {
      running++
      overlapped ||= running > 1
      await new Promise((resolve) => setImmediate(resolve))
      for (const delivery of deliveries) seen.push(delivery.value)
      running--
      if (seen.length === 500) done.resolve()
    }
    await channel.subscribe(handler, { maxInFlight: 16 }).ready()
    await Promise.all(numbers(500).map((value) => channel.publish(value)))
    await done.promise
    expect(seen).toEqual(numbers(500))
    expect(overlapped).toBe(false)
  })

  it('never gives a handler more than maxInFlight at once', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const done = deferred()
    let largest = 0
    let seen = 0
    const handler = (deliveries: readonly Delivery<number>[]): void => {
      largest = Math.max(largest, deliveries.length)
      seen += deliveries.length
      if (seen === 100) done.resolve()
    }
    await channel.subscribe(handler, { maxInFlight: 7 }).ready()
    await Promise.all(numbers(100).map((value) => channel.publish(value)))
    await done.promise
    expect(largest).toBeLessThanOrEqual(7)
  })

  for (const kind of ['throws', 'rejects'] as const) {
    it(`ends the subscription of a handler that ${kind}, with its error, and no other`, async () => {
      const backing = await setup()
      const bus = await backing.bus()
      const channel = bus.channel<number>('ticks')
      const broken = new Error('cannot bill this')
      const failing = channel.subscribe(() => {
        if (kind === 'throws') throw broken
        return Promise.reject(broken)
      })
      const others = new Collector<number>()
      await Promise.all([failing.ready(), channel.subscribe(others.handler).ready()])
      const closed = expect(failing.closed).rejects.toBe(broken)
      await channel.publish(1)
      await closed
      await channel.publish(2)
      expect(await others.reach(2)).toEqual([1, 2])
    })
  }

  it('stops at once when it is closed, and ends its loop', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<number>('ticks')
    const [closing, staying] = [channel.subscribe(), channel.subscribe()]
    await Promise.all([closing.ready(), staying.ready()])
    const taker = new Taker(closing)
    const other = new Taker(staying)
    await channel.publish(1)
    expect(await taker.values(1)).toEqual([1])

    const pending = taker.end()
    await closing.close()
    await closing.close()
    await pending
    await closing.closed
    await channel.publish(2)
    await taker.end()
    expect(await other.values(2)).toEqual([1, 2])
  })

  it('ends by its signal, like by close', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const controller = new AbortController()
    const subscription = channel.subscribe({ signal: controller.signal })
    await subscription.ready()
    const taker = new Taker(subscription)
    await channel.publish(1)
    expect(await taker.values(1)).toEqual([1])
    const pending = taker.end()
    controller.abort()
    await pending
    await subscription.closed
  })

  it('does not begin for a signal that was aborted before', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe({ signal: AbortSignal.abort('too late') })
    const error = await failure(() => subscription.ready(), 'ABORTED')
    expect(error.cause).toBe('too late')
    await new Taker(subscription).end()
    expect(await channel.publish(1)).toMatchObject({ delivered: false })
  })

  it('is disposed of by leaving its scope', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('ticks')
    const subscription = channel.subscribe()
    await subscription.ready()
    await subscription[Symbol.asyncDispose]()
    expect(await channel.publish(1)).toMatchObject({ delivered: false })
  })

  it('sheds a subscriber that does not take its deliveries, and harms nobody else', async () => {
    const backing = await setup({ smallQueues: true })
    const [publisher, sleeper, reader] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const slow = sleeper
      .channel<Uint8Array>('load', { payload: 'bytes' })
      .subscribe({ accept: 'explicit', maxInFlight: 1 })
    await slow.ready()
    const healthy = new Collector<Uint8Array>()
    await reader.channel<Uint8Array>('load', { payload: 'bytes' }).subscribe(healthy.handler).ready()
    let shed: unknown = null
    const closed = slow.closed.catch((error: unknown) => {
      shed = error
    })

    const channel = publisher.channel<Uint8Array>('load', { payload: 'bytes' })
    const payload = new Uint8Array(4 * 1024)
    let published = 0
    for (; shed === null && published < 8_192; published++) await channel.publish(payload)
    await closed
    const error = await failure(() => Promise.reject(shed), 'SUBSCRIPTION_SHED')
    expect(error.retryable).toBe(true)

    await channel.publish(payload)
    expect((await healthy.reach(published + 1)).length).toBe(published + 1)
    // The shed one may come back.
    const again = sleeper.channel<Uint8Array>('load', { payload: 'bytes' }).subscribe()
    await again.ready()
    await channel.publish(payload)
    expect((await new Taker(again).next()).sequence).toBe(1n)
  })

  it('names what is wrong with an argument', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<number>('ticks')
    const error = await failure(() => channel.subscribe({ maxInFlight: 0 }), 'INVALID_ARGUMENT')
    expect(error.message).toMatch(/maxInFlight.*0/)
    await failure(() => channel.subscribe({ maxInFlight: 1.5 }), 'INVALID_ARGUMENT')
    await failure(() => bus.channel(''), 'INVALID_ARGUMENT')
    await failure(() => bus.channel('a\nb'), 'INVALID_ARGUMENT')
    await failure(() => bus.channel('é'.repeat(128)), 'INVALID_ARGUMENT')
    await failure(() => channel.publish(1, { timeoutMs: -1 }), 'INVALID_ARGUMENT')
    await failure(() => channel.publish(1, { timeoutMs: Number.NaN }), 'INVALID_ARGUMENT')
    await failure(() => channel.publish(1, { idempotencyKey: '' }), 'INVALID_ARGUMENT')
    await failure(() => channel.publish(1, { causal: { parentId: null, vectorClockEntry: -1n } }), 'INVALID_ARGUMENT')
  })
}
