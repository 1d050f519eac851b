import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import type { SubscribeOptions } from '../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { type BusServer, createServer } from '../../ts/server/index.ts'
import { keep } from './harness.ts'

/** A server whose durable channel 'orders' has some messages: their positions. */
async function serverWith(count: number): Promise<BusServer> {
  const server = keep(
    await createServer({
      port: 0,
      store: new MemoryStore(),
      channels: [{ name: 'orders', durable: true }],
      keepaliveMs: 0,
    }),
  )
  const channel = server.bus.channel<number>('orders')
  await Promise.all(Array.from({ length: count }, (_, value) => channel.publish(value)))
  return server
}

async function deadLetters(server: BusServer): Promise<number[]> {
  const messages = await server.bus.administration
    .peek('orders.dead-letter', { limit: 100 })
    .catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
      return []
    })
  return messages.map(({ payload }) => Number(Buffer.from(payload).toString()))
}

let clocks = 0

/** Leases of `leaseMs` that have begun are over: one of another cursor, which begins now, tells. */
async function endOfLeases(bus: RemoteBus, leaseMs: number): Promise<void> {
  const cursor = { name: `clock-${clocks++}`, leaseMs }
  const subscription = bus.channel('orders').subscribe({ cursor, from: 'earliest', accept: 'each' })
  for await (const { attempt } of subscription) if (attempt === 2) break
}

/** Long enough that a machine which is busy with other things extends it in time. */
const LEASE_MS = 250

describe('a cursor over a connection', () => {
  it('gives a slow subscriber every message once, however many leases what waits for it would have', async () => {
    for (const accept of ['auto', 'explicit', 'each'] as const) {
      const server = await serverWith(6)
      const bus = keep(await connect(server.url))
      const cursor = { name: 'billing', leaseMs: LEASE_MS, maxAttempts: 2 }
      const subscription = bus.channel<number>('orders').subscribe({ cursor, from: 'earliest', accept })
      const seen: string[] = []
      for await (const delivery of subscription) {
        seen.push(`${delivery.value}/${delivery.attempt}`)
        const extending = setInterval(() => delivery.extend(), 5)
        if (delivery.value % 2 === 0) await endOfLeases(bus, LEASE_MS)
        clearInterval(extending)
        if (accept !== 'auto') delivery.accept()
        if (delivery.value === 5) break
      }
      expect(seen).toEqual(['0/1', '1/1', '2/1', '3/1', '4/1', '5/1'])
      expect(await deadLetters(server)).toEqual([])
    }
  })

  it('gives again what was looked at for too long, even with a window of one that forgot it', async () => {
    const server = await serverWith(2)
    const bus = keep(await connect(server.url))
    const options: SubscribeOptions = { maxInFlight: 1, from: 'earliest', accept: 'each' }
    const subscription = bus
      .channel<number>('orders')
      .subscribe({ ...options, cursor: { name: 'billing', leaseMs: 20 } })
    const seen: string[] = []
    for await (const delivery of subscription) {
      seen.push(`${delivery.value}/${delivery.attempt}`)
      if (delivery.attempt === 2) delivery.accept()
      if (seen.length === 4) break
    }
    expect(seen).toEqual(['0/1', '0/2', '1/1', '1/2'])
  })

  it('has leases for all that was taken, also where the last of a turn was answered in it', async () => {
    for (const answer of ['accept', 'reject'] as const) {
      const server = await serverWith(2)
      const bus = keep(await connect(server.url))
      const options: SubscribeOptions = { from: 'earliest', accept: 'each', cursor: { name: 'billing', leaseMs: 20 } }
      const deliveries = bus.channel<number>('orders').subscribe(options)[Symbol.asyncIterator]()
      await deliveries.next()
      const { value: second } = await deliveries.next()
      if (answer === 'accept') second.accept()
      else second.reject({ delayMs: 60_000 })
      const { value: again } = await deliveries.next()
      expect([again.value, again.attempt]).toEqual([0, 2])
    }
  })

  it('gives all of its window to who answers nothing before it has that, however slowly it comes', async () => {
    const server = await serverWith(0)
    const bus = keep(await connect(server.url))
    const cursor = { name: 'billing', maxAttempts: 3 }
    const subscription = bus.channel<number>('orders').subscribe({ cursor, maxInFlight: 64, accept: 'explicit' })
    await subscription.ready()
    const deliveries = subscription[Symbol.asyncIterator]()
    for (let value = 0; value < 64; value++) {
      await server.bus.channel<number>('orders').publish(value)
      expect((await deliveries.next()).value?.value).toBe(value)
    }
  })

  it('takes any window, and has no more in flight than a cursor can keep', async () => {
    const server = await serverWith(17_000)
    const bus = keep(await connect(server.url))
    const options: SubscribeOptions = { from: 'earliest', accept: 'explicit', maxInFlight: 0xffff_ffff }
    const deliveries = bus
      .channel<number>('orders')
      .subscribe({ ...options, cursor: 'billing' })
      [Symbol.asyncIterator]()
    for (let value = 0; value < 16_384; value++) expect((await deliveries.next()).value.value).toBe(value)
    const more = deliveries.next()
    await server.bus.channel('orders').publish(0)
    await bus.channel('orders').publish(0)
    expect(await Promise.race([more, Promise.resolve('none')])).toBe('none')
    await deliveries.return?.()
  })

  it('takes the attempts of a message that its handler throws for, and of those beside it one', async () => {
    const server = await serverWith(16)
    const handled = new Map<number, number>()
    for (const bus of [server.bus, keep(await connect(server.url))]) {
      const name = bus === server.bus ? 'here' : 'there'
      handled.clear()
      for (let life = 0; handled.size < 15; life++) {
        expect(life).toBeLessThan(5)
        const cursor = { name, maxAttempts: 3, deadLetter: `sad-${name}` }
        const subscription = bus.channel<number>('orders').subscribe(
          (batch) => {
            for (const { value, attempt } of batch) {
              if (value === 5) throw new Error('cannot bill this')
              handled.set(value, attempt)
            }
            if (handled.size === 15) void subscription.close()
          },
          { cursor, from: 'earliest' },
        )
        await subscription.closed.catch((error: unknown) =>
          expect(error).toMatchObject({ message: 'cannot bill this' }),
        )
      }
      expect(Math.max(...handled.values())).toBe(2)
      await vi.waitFor(async () => {
        const letters = await server.bus.administration.peek(`sad-${name}`, { limit: 100 })
        expect(letters.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['5'])
      })
    }
  })

  it('costs no attempt of what a subscriber that leaves in order has not seen', async () => {
    const server = await serverWith(5)
    const seen: string[] = []
    for (let life = 0; life < 5; life++) {
      const bus = await connect(server.url)
      const channel = bus.channel<number>('orders')
      const cursor = { name: 'billing', maxAttempts: 2 }
      for await (const delivery of channel.subscribe({ cursor, from: 'earliest', accept: 'each', maxInFlight: 16 })) {
        seen.push(`${delivery.value}/${delivery.attempt}`)
        delivery.accept()
        break
      }
      await bus.close()
    }
    expect(seen).toEqual(['0/1', '1/1', '2/1', '3/1', '4/1'])
    expect(await deadLetters(server)).toEqual([])
  })

  it('takes the attempts of a message that kills its subscribers, and of those beside it none or one', async () => {
    const program = fileURLToPath(new URL('./programs/poisoned.ts', import.meta.url))
    const poisoned = async (how: 'loop' | 'handler', mostAttempts: number): Promise<void> => {
      const server = await serverWith(24)
      let output = ''
      for (let life = 0; life < 3; life++) {
        const args = ['--import', 'tsx', program, server.url, how]
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString()
        })
        expect(await once(child, 'close')).toEqual([null, 'SIGKILL'])
      }
      const handled: string[] = output.match(/\d+\/\d+/g) ?? []
      const bus = keep(await connect(server.url))
      const cursor = { name: 'billing', maxAttempts: 3 }
      for await (const { value, attempt } of bus.channel<number>('orders').subscribe({ cursor })) {
        handled.push(`${value}/${attempt}`)
        if (value === 23) break
      }
      const attempts = handled.map((one) => one.split('/').map(Number)).filter(([value]) => value !== 5)
      expect(new Set(attempts.map(([value]) => value)).size).toBe(23)
      expect(Math.max(...attempts.map(([, attempt]) => attempt))).toBe(mostAttempts)
      expect(await deadLetters(server)).toEqual([5])
    }
    // A handler has the whole window in hand.
    await Promise.all([poisoned('loop', 1), poisoned('handler', 2)])
  })
})
