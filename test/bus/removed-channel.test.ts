import { afterEach, describe, expect, it } from 'vitest'
import { type Bus, createBus } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'

const buses: Bus[] = []

afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close()
})

async function busOn(store: MemoryStore): Promise<Bus> {
  const bus = await createBus({ store, channels: [{ name: 'orders', durable: true }] })
  buses.push(bus)
  return bus
}

/** Rejects the next message of 'orders' for good, and resolves with it once it is a dead letter. */
async function buryOne(bus: Bus): Promise<number> {
  const cursor = { name: 'billing', maxAttempts: 1 }
  const letters = bus.channel<number>('orders.dead-letter')
  const subscription = bus.channel<number>('orders').subscribe({ cursor, from: 'earliest', accept: 'explicit' })
  await subscription.ready()
  const buried = letters.subscribe()
  await buried.ready()
  for await (const delivery of subscription) {
    delivery.reject()
    break
  }
  for await (const { value } of buried) return value
  throw new Error('Nothing was buried.')
}

describe('the name of a durable channel that was removed', () => {
  it('is refused until it is declared, also on a bus that creates channels on first use', async () => {
    const bus = await busOn(new MemoryStore())
    const channel = bus.channel('orders')
    await channel.publish(1)
    await bus.administration.removeChannel('orders')
    await expect(channel.publish(2)).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
    await expect(channel.subscribe().ready()).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
    expect(await bus.administration.channels()).toEqual([])
  })

  it('of dead letters is made anew by the cursors that need it', async () => {
    const bus = await busOn(new MemoryStore())
    await bus.channel('orders').publish(1)
    await bus.channel('orders').publish(2)
    expect(await buryOne(bus)).toBe(1)
    await bus.administration.removeChannel('orders.dead-letter')
    expect(await buryOne(bus)).toBe(2)
  })

  it('brings a channel of its own to the dead-letter channel, whatever the removed one had there', async () => {
    const store = new MemoryStore()
    const first = await busOn(store)
    await first.channel('orders').publish(1)
    expect(await buryOne(first)).toBe(1)
    await first.administration.removeChannel('orders')
    await first.close()
    const second = await busOn(store)
    await second.channel('orders').publish(2)
    expect(await buryOne(second)).toBe(2)
    const letters = await second.administration.peek('orders.dead-letter', { from: 'earliest' })
    expect(letters.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['1', '2'])
  })
})
