import { expect, it } from 'vitest'
import type { Bus, PeekOptions } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { NO_SCHEMA } from '../../ts/protocol/index.ts'
import type { Setup } from './suite.ts'
import { failure, numbers, Taker } from './tools.ts'

const schema = { type: 'number' }
const CHANNELS = [
  { name: 'orders', durable: { sync: 'interval' as const } },
  { name: 'checked', durable: true, schema },
  { name: 'ticks' },
]

/** What operators do. */
export function administratingTests(setup: Setup): void {
  async function administrated(): Promise<Bus> {
    const backing = await setup({ store: new MemoryStore(), channels: CHANNELS, createChannels: false })
    return backing.bus()
  }

  it('shows the channels, and what they hold', async () => {
    const bus = await administrated()
    await bus.channel('ticks').subscribe().ready()
    for (const value of numbers(3)) await bus.channel('orders').publish(value)
    const [checked, orders, ticks] = await bus.administration.channels()
    expect(checked).toMatchObject({ name: 'checked', durable: true, first: 0n, next: 0n, sync: 'each' })
    expect(checked?.schemaId).toMatch(/^[0-9a-f]{64}$/)
    expect(checked?.firstTimestamp).toBeNull()
    expect(orders).toMatchObject({
      durable: true,
      subscribers: 0,
      schemaId: null,
      first: 0n,
      next: 3n,
      sync: 'interval',
    })
    expect(orders?.bytes).toBeGreaterThan(3 * 40)
    expect(orders?.lastTimestamp).toBeGreaterThan(Date.now() - 60_000)
    expect(ticks).toEqual({
      name: 'ticks',
      durable: false,
      subscribers: 1,
      schemaId: null,
      first: null,
      next: null,
      bytes: null,
      firstTimestamp: null,
      lastTimestamp: null,
      sync: null,
    })
    expect(await bus.administration.channel('orders')).toEqual(orders)
    await failure(() => bus.administration.channel('nowhere'), 'CHANNEL_NOT_FOUND')
  })

  it('shows messages as they are stored', async () => {
    const bus = await administrated()
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    const causal = { parentId: 'p-1', vectorClockEntry: 7n }
    const { messageId } = await channel.publish(Buffer.from([0, 255]), { idempotencyKey: 'a', causal })
    for (const value of numbers(20)) await channel.publish(Buffer.from([value]))
    const [first, second, ...rest] = await bus.administration.peek('orders')
    expect(rest).toHaveLength(8)
    expect(first).toMatchObject({
      position: 0n,
      messageId,
      idempotencyKey: 'a',
      causal,
      payload: Uint8Array.of(0, 255),
    })
    expect(first?.schemaId).toEqual(NO_SCHEMA)
    expect(first?.timestamp).toBeGreaterThan(Date.now() - 60_000)
    expect(second).toMatchObject({ position: 1n, idempotencyKey: null, payload: Uint8Array.of(0) })
    const positions = async (options: Parameters<typeof bus.administration.peek>[1]) =>
      (await bus.administration.peek('orders', options)).map(({ position }) => position)
    expect(await positions({ from: 'latest', limit: 2 })).toEqual([19n, 20n])
    expect(await positions({ from: 'latest', limit: 50 })).toHaveLength(21)
    expect(await positions({ from: { position: 5n }, limit: 1 })).toEqual([5n])
    expect(await positions({ from: { time: Date.now() + 60_000 } })).toEqual([])
    await failure(() => bus.administration.peek('orders', { limit: 0 }), 'INVALID_ARGUMENT')
    await failure(() => bus.administration.peek('orders', { limit: 1_025 }), 'INVALID_ARGUMENT')
    await failure(() => bus.administration.peek('ticks'), 'NOT_SUPPORTED')
  })

  it('shows as many large messages as are wanted, up to the one that reaches maxBytes', async () => {
    const bus = await administrated()
    const MIB = 1024 * 1024
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    for (const size of [3, 3, 5, 1]) await channel.publish(new Uint8Array(size * MIB))
    const sizes = async (options: PeekOptions) =>
      (await bus.administration.peek('orders', { timeoutMs: 60_000, ...options })).map(
        ({ payload }) => payload.length / MIB,
      )
    expect(await sizes({})).toEqual([3, 3, 5, 1])
    expect(await sizes({ limit: 3 })).toEqual([3, 3, 5])
    expect(await sizes({ from: 'latest', limit: 2 })).toEqual([5, 1])
    expect(await sizes({ from: { position: 1n }, maxBytes: 3 * MIB })).toEqual([3])
    expect(await sizes({ maxBytes: 3 * MIB + 1 })).toEqual([3, 3])
    expect(await sizes({ maxBytes: 1 })).toEqual([3])
    await failure(() => bus.administration.peek('orders', { maxBytes: 0 }), 'INVALID_ARGUMENT')
  })

  it('refuses what is wrong instead of taking it for a default', async () => {
    const bus = await administrated()
    const channel = bus.channel<number>('orders')
    for (const value of numbers(3)) await channel.publish(value)
    const { administration } = bus
    await administration.setCursor('orders', 'audit', 'earliest')
    const wrong: unknown[] = [5, 5n, null, 'all', { before: 2 }, { before: '2' }, { before: null }, { before: -1n }]
    for (const options of [...wrong, { before: 2n ** 64n }, { from: 2n }]) {
      await failure(() => Reflect.apply(administration.purge, administration, ['orders', options]), 'INVALID_ARGUMENT')
    }
    for (const operation of [administration.channels, administration.cursors]) {
      const args = operation === administration.channels ? [{ timeout: 5 }] : ['orders', { timeout: 5 }]
      await failure(() => Reflect.apply(operation, administration, args), 'INVALID_ARGUMENT')
    }
    for (const to of [undefined, null, 5n, {}]) {
      const args = ['orders', 'audit', to]
      await failure(() => Reflect.apply(administration.setCursor, administration, args), 'INVALID_ARGUMENT')
    }
    expect(await administration.channel('orders')).toMatchObject({ first: 0n, next: 3n })
    expect(await administration.cursors('orders')).toMatchObject([{ position: 0n }])
  })

  it('purges a log, before a position or whole', async () => {
    const bus = await administrated()
    const channel = bus.channel<number>('orders')
    for (const value of numbers(5)) await channel.publish(value)
    expect(await bus.administration.purge('orders', { before: 2n })).toBe(2n)
    expect(await new Taker(channel.subscribe({ from: 'earliest' })).values(1)).toEqual([2])
    expect(await bus.administration.purge('orders')).toBe(3n)
    expect(await bus.administration.channel('orders')).toMatchObject({ first: 5n, next: 5n })
    expect((await channel.publish(5)).position).toBe(5n)
    await failure(() => bus.administration.purge('ticks'), 'NOT_SUPPORTED')
  })

  it('removes a channel with all that is in it', async () => {
    const bus = await administrated()
    const { administration } = bus
    const orders = bus.channel<number>('orders')
    for (const value of numbers(5)) await orders.publish(value, { idempotencyKey: `${value}` })
    await bus.channel('checked').publish(7)
    const subscriptions = [orders.subscribe(), orders.subscribe({ cursor: 'billing' })]
    for (const subscription of subscriptions) await subscription.ready()
    await administration.removeChannel('orders')
    for (const { closed } of subscriptions) await failure(() => closed, 'CHANNEL_CLOSED')
    expect((await administration.channels()).map(({ name }) => name)).toEqual(['checked', 'ticks'])
    expect(await administration.cursors()).toEqual([])
    await failure(() => orders.publish(9), 'CHANNEL_NOT_FOUND')
    await failure(() => administration.removeChannel('orders'), 'CHANNEL_NOT_FOUND')
    await failure(() => administration.removeChannel('ticks'), 'NOT_SUPPORTED')
    await failure(() => administration.removeChannel(''), 'INVALID_ARGUMENT')
    expect(await administration.channel('checked')).toMatchObject({ next: 1n })
  })

  it('shows, moves, makes and removes cursors', async () => {
    const bus = await administrated()
    const channel = bus.channel<number>('orders')
    for (const value of numbers(5)) await channel.publish(value)
    const { administration } = bus
    expect(await administration.cursors()).toEqual([])
    const made = await administration.setCursor('orders', 'audit', { position: 3n })
    expect(made).toEqual({ channel: 'orders', name: 'audit', position: 3n, lag: 2n, owned: false })
    const subscription = channel.subscribe({ cursor: 'audit', accept: 'explicit' })
    expect(await new Taker(subscription).values(2)).toEqual([3, 4])
    expect(await administration.cursors('orders')).toEqual([{ ...made, owned: true }])
    await administration.setCursor('orders', 'audit', 'earliest')
    await failure(() => subscription.closed, 'CURSOR_FENCED')
    expect(await new Taker(channel.subscribe({ cursor: 'audit' })).values(1)).toEqual([0])
    expect(await administration.setCursor('orders', 'audit', 'latest')).toMatchObject({ position: 5n, lag: 0n })
    await administration.removeCursor('orders', 'audit')
    expect(await administration.cursors()).toEqual([])
    await failure(() => administration.removeCursor('orders', 'audit'), 'CURSOR_NOT_FOUND')
    await failure(() => administration.cursors('ticks'), 'NOT_SUPPORTED')
    await failure(() => administration.setCursor('nowhere', 'a', 'latest'), 'CHANNEL_NOT_FOUND')
    await failure(() => administration.setCursor('orders', '', 'latest'), 'INVALID_ARGUMENT')
  })

  it('ends with its limits', async () => {
    const { administration } = await administrated()
    await failure(() => administration.channels({ signal: AbortSignal.abort() }), 'ABORTED')
  })

  it('is what subjects are for that begin with a dollar, and nobody else may answer', async () => {
    const bus = await administrated()
    await failure(async () => bus.respond('$administration', () => 1).ready(), 'INVALID_ARGUMENT')
    await failure(
      async () => bus.worker.register({ identity: 'w', taskQueue: '$work' }, () => 1).ready(),
      'INVALID_ARGUMENT',
    )
  })
}
