import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CursorOptions, LocalBus, SubscribeOptions } from '../../ts/bus/index.ts'
import {
  ChannelCore,
  CURSOR_DEAD_LETTER_FAILED,
  CURSOR_DEAD_LETTERED,
  type CursorDeadLettered,
  type CursorFailed,
} from '../../ts/channel/index.ts'
import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { eventually } from '../eventually.ts'
import {
  busOn,
  closeBusesAfterEach,
  consume,
  nextSaid,
  orders,
  positionIn,
  publish,
  pull,
  said,
  settled,
} from './cursors.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
// Closes with the clock of the test.
closeBusesAfterEach()
afterEach(() => {
  vi.useRealTimers()
})

async function pass(ms: number): Promise<void> {
  await settled()
  await vi.advanceTimersByTimeAsync(ms)
  await settled()
}

/** What the dead-letter channel of `orders` has. */
async function deadLetters(bus: LocalBus, channel = 'orders.dead-letter'): Promise<unknown[]> {
  const letters = await bus.administration.peek(channel, { limit: 1_000 })
  return letters.map(({ payload, causal, publisher }) => [Buffer.from(payload).toString(), causal.parentId, publisher])
}

describe('a delivery that is handed back', () => {
  it('comes again with a higher attempt each time: at once, or after the delay that was asked for', async () => {
    const { channel } = await orders(2)
    const { deliveries } = await consume(channel, { accept: 'explicit' })
    const [first] = await pull(deliveries, 2)
    first.reject()
    first.reject()
    const [second] = await pull(deliveries, 1)
    expect(said([second])).toEqual(['0/2'])
    second.reject({ delayMs: 500 })
    const next = pull(deliveries, 1)
    await pass(499)
    await publish(channel, 2, 3)
    // What is behind it does not wait for it.
    expect(said(await next)).toEqual(['2'])
    const third = pull(deliveries, 1)
    await pass(1)
    expect(said(await third)).toEqual(['0/3'])
  })

  it('is not accepted with those behind it', async () => {
    const { bus, channel } = await orders(4)
    const { subscription, deliveries } = await consume(channel, { accept: 'explicit' })
    const taken = await pull(deliveries, 4)
    taken[1].reject({ delayMs: 60_000 })
    taken[3].accept()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(1n)
    taken[1].accept()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(1n)
  })

  it('can be one of a batch of a handler, which accepts the others', async () => {
    const { bus, channel } = await orders(6)
    const batches: string[][] = []
    const subscription = channel.subscribe(
      (batch) => {
        batches.push(said(batch))
        for (const delivery of batch) if (delivery.value === 2 && delivery.attempt < 3) delivery.reject()
      },
      { from: 'earliest', cursor: 'billing' },
    )
    await subscription.ready()
    await settled()
    expect(batches).toEqual([['0', '1', '2', '3', '4', '5'], ['2/2'], ['2/3']])
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(6n)
  })
})

describe('the lease of a delivery', () => {
  it('ends 30 seconds after it was handed out: then it comes again', async () => {
    const { channel } = await orders(2)
    const { deliveries } = await consume(channel, { accept: 'each' })
    const [first] = await pull(deliveries, 2)
    first.accept()
    const next = pull(deliveries, 1)
    await pass(29_999)
    await publish(channel, 2, 3)
    expect(said(await next)).toEqual(['2'])
    const again = pull(deliveries, 1)
    await pass(1)
    expect(said(await again)).toEqual(['1/2'])
  })

  it('is as long as the cursor says, and begins anew when it is extended', async () => {
    const { channel } = await orders(2)
    const { deliveries } = await consume(channel, { accept: 'explicit' }, { leaseMs: 1_000 })
    const [first] = await pull(deliveries, 2)
    await pass(900)
    first.extend()
    const again = pull(deliveries, 2)
    await pass(100)
    await publish(channel, 2, 3)
    expect(said(await again)).toEqual(['1/2', '2'])
    const late = pull(deliveries, 1)
    await pass(899)
    await publish(channel, 3, 4)
    expect(said(await late)).toEqual(['3'])
    const latest = pull(deliveries, 1)
    await pass(1)
    expect(said(await latest)).toEqual(['0/2'])
  })

  it('does not begin while the delivery waits: however long that is, it comes once and as the first attempt', async () => {
    const { bus, channel } = await orders(40)
    const { subscription, deliveries } = await consume(channel, {}, { leaseMs: 1_000, maxAttempts: 2 })
    await pass(10_000)
    const seen: string[] = []
    for (let left = 40; left > 0; left--) {
      seen.push(...said(await pull(deliveries, 1)))
      await pass(900)
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, index) => `${index}`))
    await subscription.close()
    expect(await positionIn(bus)).toBe(39n)
  })

  it('does not begin for what waits behind a handler that takes long, and redeliveries wait like others', async () => {
    const { channel } = await orders(6)
    const batches: string[][] = []
    let release = (): void => {}
    const subscription = channel.subscribe(
      (batch) => {
        batches.push(said(batch))
        return new Promise((resolve) => {
          release = resolve
        })
      },
      { from: 'earliest', cursor: { name: 'billing', leaseMs: 1_000 }, maxInFlight: 2 },
    )
    await subscription.ready()
    await pass(10_000)
    expect(batches).toEqual([['0', '1']])
    release()
    await settled()
    // They came once more, and not once for each lease.
    expect(batches).toEqual([
      ['0', '1'],
      ['0/2', '1/2'],
    ])
    while (batches.flat().length < 8) {
      release()
      await settled()
    }
    expect(batches.flat().slice(4)).toEqual(['2', '3', '4', '5'])
  })

  it('is over for who accepts late; it counts all the same', async () => {
    const { bus, channel } = await orders(2)
    const { subscription, deliveries } = await consume(channel, { accept: 'explicit' }, { leaseMs: 1_000 })
    const taken = await pull(deliveries, 2)
    await pass(1_000)
    taken[1].accept()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(2n)
  })

  it('gives its room back when it ends: a window of deliveries that nobody answers does not stop the cursor', async () => {
    const { channel } = await orders(3)
    const { deliveries } = await consume(channel, { accept: 'explicit', maxInFlight: 1 }, { leaseMs: 1_000 })
    expect(said(await pull(deliveries, 1))).toEqual(['0'])
    const again = pull(deliveries, 1)
    await pass(1_000)
    const [second] = await again
    expect(said([second])).toEqual(['0/2'])
    second.accept()
    expect(said(await pull(deliveries, 1))).toEqual(['1'])
  })
})

describe('a message that was delivered as often as it may be', () => {
  async function failing(options: SubscribeOptions, cursor: Partial<CursorOptions>, store = new MemoryStore()) {
    const { bus, channel } = await orders(3, store)
    const consumed = await consume(channel, { accept: 'explicit', ...options }, { maxAttempts: 2, ...cursor })
    return { bus, channel, ...consumed }
  }

  it('goes to the dead-letter channel, with what it was and why, and counts as accepted', async () => {
    const { bus, subscription, deliveries } = await failing({}, {})
    const said1 = nextSaid<CursorDeadLettered>(CURSOR_DEAD_LETTERED)
    const [first, second] = await pull(deliveries, 3)
    first.accept()
    second.reject({ reason: 'not yet' })
    const [again] = await pull(deliveries, 1)
    again.reject({ reason: 'no such customer' })
    expect(await said1).toEqual({
      channel: 'orders',
      cursor: 'billing',
      position: 1n,
      attempts: 2,
      reason: 'no such customer',
    })
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(2n)
    expect(await deadLetters(bus)).toEqual([['1', 'orders@1', 'cursor billing, after 2 attempts: no such customer']])
    expect(await bus.administration.channel('orders.dead-letter')).toMatchObject({ durable: true, sync: 'each' })
  })

  it('goes there when its lease has ended so often, too', async () => {
    const { bus, deliveries } = await failing({ maxInFlight: 3 }, { leaseMs: 1_000, maxAttempts: 1 })
    const buried = nextSaid(CURSOR_DEAD_LETTERED)
    const [, , third] = await pull(deliveries, 3)
    await pass(500)
    third.extend()
    await pass(500)
    await buried
    await settled()
    expect(await deadLetters(bus)).toEqual(
      [0, 1].map((value) => [
        `${value}`,
        `orders@${value}`,
        'cursor billing, after 1 attempt: Its lease ended before it was accepted.',
      ]),
    )
  })

  it('goes to the channel that the cursor names', async () => {
    const { bus, deliveries } = await failing({}, { maxAttempts: 1, deadLetter: 'sad' })
    const buried = nextSaid(CURSOR_DEAD_LETTERED)
    const [first] = await pull(deliveries, 1)
    first.reject()
    await buried
    expect(await deadLetters(bus, 'sad')).toEqual([
      ['0', 'orders@0', 'cursor billing, after 1 attempt: It was rejected without a reason.'],
    ])
  })

  it('is there once, also if the bus ends before it is written down that it is', async () => {
    const store = new ForgetfulStore()
    const { bus, deliveries } = await failing({ maxInFlight: 1 }, { maxAttempts: 1 }, store)
    const buried = nextSaid(CURSOR_DEAD_LETTERED)
    const [first] = await pull(deliveries, 1)
    store.forgets = true
    first.reject()
    await buried
    await bus.close()
    store.forgets = false
    const next = await busOn(store)
    const buriedAgain = nextSaid<CursorDeadLettered>(CURSOR_DEAD_LETTERED)
    const again = await consume(next.channel<number>('orders'), {}, { maxAttempts: 1 })
    expect(await buriedAgain).toMatchObject({ position: 0n })
    await settled()
    expect(await deadLetters(next)).toHaveLength(1)
    await again.subscription.close()
  })

  it('stays the cursor’s while the dead-letter channel cannot take it, and is tried again', async () => {
    const { bus, subscription, deliveries } = await failing({ maxInFlight: 3 }, { maxAttempts: 1, deadLetter: 'grave' })
    const failed = nextSaid<CursorFailed>(CURSOR_DEAD_LETTER_FAILED)
    const [first, second] = await pull(deliveries, 2)
    const refusing = vi
      .spyOn(ChannelCore.prototype, 'publishRun')
      .mockImplementation((_run, observer) => observer.refused(new LiminalError('STORE_FULL', 'The disk is full.')))
    first.reject()
    expect((await failed).error).toMatchObject({ code: 'STORE_FULL' })
    second.accept()
    await subscription.checkpoint()
    expect(await positionIn(bus)).toBe(0n)
    refusing.mockRestore()
    await pass(60_000)
    await eventually(async () => expect((await bus.administration.channel('grave')).next).toBe(1n))
  })

  it('needs a dead-letter channel that is durable: without one nobody subscribes', async () => {
    const { bus, channel } = await orders(1)
    bus.channel('plain').send('not durable')
    const subscription = channel.subscribe({ cursor: { name: 'billing', maxAttempts: 1, deadLetter: 'plain' } })
    await expect(subscription.ready()).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringContaining("'plain'"),
    })
  })

  it('goes there however large it is, without saying where it was if that makes it too large', async () => {
    const bus = await busOn(new MemoryStore(), { maxMessageBytes: 200 })
    const channel = bus.channel<string>('orders')
    const value = 'x'.repeat(156)
    await channel.publish(value)
    await expect(channel.publish(`${value}x`)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    const buried = nextSaid(CURSOR_DEAD_LETTERED)
    const subscription = channel.subscribe((batch) => batch[0].reject(), {
      from: 'earliest',
      cursor: { name: 'billing', maxAttempts: 1 },
    })
    await buried
    expect(await deadLetters(bus)).toEqual([
      [JSON.stringify(value), null, 'cursor billing, after 1 attempt: It was rejected without a reason.'],
    ])
    await subscription.close()
  })

  it('does not go to the channel that it came from', async () => {
    const { channel } = await orders(1)
    const subscription = channel.subscribe({ cursor: { name: 'billing', maxAttempts: 1, deadLetter: 'orders' } })
    await expect(subscription.ready()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('its own dead letters'),
    })
  })

  it('is not counted by a cursor without a limit', async () => {
    const { channel } = await orders(1)
    const { deliveries } = await consume(channel, { accept: 'explicit' })
    for (let attempt = 1; attempt <= 300; attempt++) {
      const [delivery] = await pull(deliveries, 1)
      expect(delivery.attempt).toBe(attempt)
      delivery.reject()
    }
  })
})

/** A store that can be made to take writes of cursors without keeping them, as if the power failed. */
class ForgetfulStore extends MemoryStore {
  forgets = false

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    const isCursor = changes.some((change) => 'key' in change && change.key.kind === 'cursor')
    if (isCursor && this.forgets) return
    await super.write(changes)
  }
}
