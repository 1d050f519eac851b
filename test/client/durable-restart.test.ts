import { afterEach, describe, expect, it } from 'vitest'
import type { Delivery } from '../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { type BusServer, createServer } from '../../ts/server/index.ts'
import { keep, until } from './harness.ts'

/** A server that comes back on the same port, with the same store. */
class Revenant {
  readonly #store = new MemoryStore()
  #server: BusServer | null = null
  #port = 0

  async rise(): Promise<BusServer> {
    const server = await createServer({
      port: this.#port,
      store: this.#store,
      channels: [{ name: 'orders', durable: true }],
      keepaliveMs: 0,
    })
    this.#port = server.address.port
    this.#server = server
    return server
  }

  async fall(): Promise<void> {
    await this.#server?.close({ graceMs: 0 })
    this.#server = null
  }
}

const revenants: Revenant[] = []

afterEach(async () => {
  for (const revenant of revenants.splice(0)) await revenant.fall()
})

async function risen(): Promise<{ revenant: Revenant; server: BusServer; bus: RemoteBus }> {
  const revenant = new Revenant()
  revenants.push(revenant)
  const server = await revenant.rise()
  const bus = keep(await connect(server.url, { reconnect: { baseMs: 5, maxMs: 20 } }))
  return { revenant, server, bus }
}

/** Collects what a handler gets, and tells when so many came. */
class Collected {
  readonly values: number[] = []
  readonly deliveries: Delivery<number>[] = []
  #wanted = Number.POSITIVE_INFINITY
  #enough: () => void = () => {}

  readonly handler = (deliveries: readonly Delivery<number>[]): void => {
    this.deliveries.push(...deliveries)
    this.values.push(...deliveries.map(({ value }) => value))
    if (this.values.length >= this.#wanted) this.#enough()
  }

  reach(count: number): Promise<void> {
    if (this.values.length >= count) return Promise.resolve()
    this.#wanted = count
    return new Promise((resolve) => {
      this.#enough = resolve
    })
  }
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

describe('a server with durable channels that is restarted', () => {
  it('gives a subscription every message once, through many restarts under load', async () => {
    const { revenant, bus } = await risen()
    const collected = new Collected()
    const subscription = bus.channel<number>('orders').subscribe(collected.handler, { from: 'earliest' })
    await subscription.ready()
    const channel = bus.channel<number>('orders')
    const publishing = (async () => {
      const receipts = []
      for (const round of numbers(0, 5)) {
        receipts.push(
          ...numbers(round * 200, (round + 1) * 200).map((value) =>
            channel.publish(value, { idempotencyKey: `o-${value}`, timeoutMs: 20_000 }),
          ),
        )
        await revenant.fall()
        await revenant.rise()
        await until(bus, 'connected')
      }
      return Promise.all(receipts)
    })()
    const receipts = await publishing
    await collected.reach(1_000)
    // Where each was published is where it was delivered.
    const sorted = receipts.map(({ position }) => Number(position)).sort((one, other) => one - other)
    expect(sorted).toEqual(numbers(0, 1_000))
    expect(collected.deliveries.map(({ position }) => Number(position))).toEqual(numbers(0, 1_000))
    expect([...collected.values].sort((one, other) => one - other)).toEqual(numbers(0, 1_000))
    expect(collected.deliveries.map(({ sequence }) => Number(sequence))).toEqual(numbers(1, 1_001))
  })

  it('loses nothing for a subscription from the latest on that had got nothing yet', async () => {
    const { revenant, server, bus } = await risen()
    await server.bus.channel('orders').publish(0)
    const collected = new Collected()
    await bus.channel<number>('orders').subscribe(collected.handler).ready()
    const resumed = until(bus, 'resumed')
    await revenant.fall()
    const again = await revenant.rise()
    await again.bus.channel('orders').publish(1)
    expect(await resumed).toEqual({ type: 'resumed', channels: ['orders'] })
    await again.bus.channel('orders').publish(2)
    await collected.reach(2)
    expect(collected.values).toEqual([1, 2])
  })

  it('goes on with a cursor, and gives again what was not accepted', async () => {
    const { revenant, server, bus } = await risen()
    for (const value of numbers(0, 4)) await server.bus.channel('orders').publish(value)
    const subscription = bus
      .channel<number>('orders')
      .subscribe({ cursor: 'billing', from: 'earliest', accept: 'explicit' })
    const iterator = subscription[Symbol.asyncIterator]()
    const next = async () => (await iterator.next()).value
    ;(await next())?.accept()
    const second = await next()
    expect(second?.value).toBe(1)
    await subscription.checkpoint()
    await revenant.fall()
    await revenant.rise()
    const again = await next()
    expect([again?.value, again?.attempt]).toEqual([1, 2])
    // Its first attempt is nobody's any more.
    second?.accept()
    again?.accept()
    await subscription.checkpoint()
    expect((await bus.administration.cursors('orders'))[0]).toMatchObject({ position: 2n, owned: true })
    expect((await next())?.value).toBe(2)
  })

  it('lets whoever waits for a checkpoint know that it is gone', async () => {
    const { revenant, bus } = await risen()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing' })
    await subscription.ready()
    const lost = until(bus, 'disconnected')
    await revenant.fall()
    await lost
    await expect(subscription.checkpoint()).rejects.toMatchObject({ code: 'CONNECTION_LOST', retryable: true })
    await revenant.rise()
    await until(bus, 'resumed')
    await subscription.checkpoint()
  })
})
