import { describe, expect, it } from 'vitest'
import { createBus, type LocalBus } from '../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, keep, until } from './harness.ts'

/** A client that speaks liminal 1.0 and nothing else, and the bus behind its server. */
async function plain(options: Parameters<typeof createBus>[0] = {}): Promise<{ local: LocalBus; bus: RemoteBus }> {
  const local = keep(await createBus(options))
  const server = keep(await serve(local, { port: 0 }))
  return { local, bus: keep(await connect(server.url, { extensions: false })) }
}

const SCHEMA = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }

describe('a client that speaks plain 1.0', () => {
  it('publishes, subscribes and gets receipts', async () => {
    const { bus } = await plain()
    const channel = bus.channel<number>('ticks')
    const subscription = channel.subscribe({ maxInFlight: 2 })
    await subscription.ready()
    const receipts = await Promise.all([1, 2, 3, 4, 5].map((value) => channel.publish(value)))
    expect(receipts.every((receipt) => receipt.delivered && !receipt.duplicate)).toBe(true)
    const seen: number[] = []
    for await (const delivery of subscription) {
      seen.push(delivery.value)
      if (seen.length === 5) break
    }
    expect(seen).toEqual([1, 2, 3, 4, 5])
    await subscription.closed
    await bus.ask('nobody', 1).catch(() => {})
    expect((await channel.publish(6)).delivered).toBe(false)
  })

  it('delivers a repeated key once, without being told that it was repeated', async () => {
    const { bus, local } = await plain()
    let taken = 0
    await local
      .channel('orders')
      .subscribe((deliveries) => {
        taken += deliveries.length
      })
      .ready()
    const channel = bus.channel<number>('orders')
    const first = await channel.publish(1, { idempotencyKey: 'k' })
    const second = await channel.publish(1, { idempotencyKey: 'k' })
    expect(second).toEqual({ ...first, duplicate: false })
    expect(taken).toBe(1)
  })

  it('sends, and counts what failed', async () => {
    const { bus } = await plain({ channels: [{ name: 'orders', schema: SCHEMA }] })
    const orders = bus.channel<unknown>('orders')
    for (const value of [{ id: 'a' }, { nothing: 1 }, { id: 'b' }]) orders.send(value)
    await orders.publish({ id: 'c' })
    expect(orders.sendCounts).toMatchObject({ sent: 3, failed: 1, lastError: { code: 'REMOTE_ERROR' } })
    // Codes that 1.0 has are kept.
    const { bus: closed } = await plain({ createChannels: false })
    await failure(closed.channel('orders').publish(1), 'CHANNEL_NOT_FOUND')
    await failure(closed.channel('orders').subscribe().ready(), 'CHANNEL_NOT_FOUND')
  })

  it('asks and converses', async () => {
    const { bus, local } = await plain()
    await local.respond<number>('double', (value) => value * 2).ready()
    await local.respond('fail', () => Promise.reject(new Error('no'))).ready()
    expect(await bus.ask('double', 21)).toBe(42)
    const replies = await Promise.all(Array.from({ length: 200 }, (_, value) => bus.ask<number>('double', value)))
    expect(replies).toEqual(replies.map((_, value) => value * 2))
    const conversation = await bus.converse('double')
    expect(await Promise.all([conversation.request(1), conversation.request(2)])).toEqual([2, 4])
    conversation.send(3)
    expect(await conversation.request(4)).toBe(8)
    await conversation.close()
    await conversation.closed
    const error = await failure(bus.ask('fail', 1), 'REMOTE_ERROR')
    expect(error.message).toContain('no')
    await failure(bus.ask('nobody', 1), 'REMOTE_ERROR')
    const refused = await bus.converse('nobody')
    await failure(refused.request(1), 'REMOTE_ERROR')
    await failure(refused.closed, 'REMOTE_ERROR')
  })

  it('cannot respond', async () => {
    const { bus } = await plain()
    await failure(bus.respond('work', () => 1).ready(), 'NOT_SUPPORTED')
  })
})

describe('a client on a server that is restarted', () => {
  it('comes back with its subscriptions and responders', async () => {
    const local = keep(await createBus())
    const first = await serve(local, { port: 0 })
    const bus = keep(await connect(first.url, { reconnect: { baseMs: 2, maxMs: 20 } }))
    const channel = bus.channel<number>('ticks')
    const taken: number[] = []
    let notify: () => void = () => {}
    const subscription = channel.subscribe((deliveries) => {
      taken.push(...deliveries.map((delivery) => delivery.value))
      notify()
    })
    await subscription.ready()
    const responder = bus.respond<number>('double', (value) => value * 2)
    await responder.ready()

    let server = first
    for (let round = 1; round <= 3; round++) {
      const resubscribed = until(bus, 'resubscribed')
      await server.close()
      server = keep(await serve(local, { port: first.address.port }))
      expect(await resubscribed).toEqual({ type: 'resubscribed', channels: ['ticks'] })
      await responder.ready()
      const delivered = new Promise<void>((resolve) => {
        notify = resolve
      })
      expect(await channel.publish(round)).toMatchObject({ delivered: true })
      await delivered
      expect(taken.at(-1)).toBe(round)
      expect(await local.ask('double', round)).toBe(2 * round)
    }
  })
})
