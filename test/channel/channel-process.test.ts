import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BusOptions, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { failure, Taker } from '../conformance/tools.ts'

const schema = { type: 'object', required: ['id'] }
let bus: LocalBus

async function begin(options?: BusOptions): Promise<void> {
  bus = await createBus(options)
}

function pids(): number[] {
  return bus.processes
    .list()
    .filter(({ name }) => name === 'channel')
    .map(({ pid }) => pid)
}

beforeEach(() => begin())

afterEach(async () => {
  await bus.close()
  expect(bus.processes.size).toBe(0)
})

describe('a channel as a process', () => {
  it('lives from its first use to its end', async () => {
    expect(pids()).toEqual([])
    await bus.channel('a').publish(1)
    await bus.channel('b').publish(1)
    await bus.channel('a').publish(2)
    expect(pids()).toHaveLength(2)
  })

  it('ends its subscriptions with CHANNEL_CLOSED when it is killed, and comes back when it is used', async () => {
    const channel = bus.channel<number>('a')
    const subscription = channel.subscribe()
    await subscription.ready()
    await channel.publish(1)
    const [pid] = pids()
    bus.processes.exit(pid, exitKilled())
    const error = await failure(() => subscription.closed, 'CHANNEL_CLOSED')
    expect(error).toMatchObject({ cause: { is: 'killed' } })
    expect(pids()).toEqual([])
    expect(await channel.publish(2)).toMatchObject({ delivered: false })
    const taker = new Taker(channel.subscribe())
    expect(await channel.publish(3)).toMatchObject({ deliveredTo: 1 })
    expect(await taker.values(1)).toEqual([3])
    expect(pids()).toHaveLength(1)
    expect(pids()).not.toContain(pid)
  })

  it('leaves the other channels alone', async () => {
    const taker = new Taker(bus.channel<number>('b').subscribe())
    await bus.channel('a').publish(1)
    const other = bus.processes.list().filter(({ name }) => name === 'channel')[1].pid
    bus.processes.exit(other, exitKilled())
    await bus.channel('b').publish(5)
    expect(await taker.values(1)).toEqual([5])
  })

  it('comes back with the contract that it was declared with', async () => {
    await bus.close()
    await begin({ createChannels: false, channels: [{ name: 'orders', schema }] })
    const orders = bus.channel('orders')
    await failure(() => orders.publish({}), 'PAYLOAD_INVALID')
    bus.processes.exit(pids()[0], exitKilled())
    await failure(() => orders.publish({}), 'PAYLOAD_INVALID')
    expect(await orders.publish({ id: 1 })).toMatchObject({ delivered: false })
    await failure(() => bus.channel('others').publish({}), 'CHANNEL_NOT_FOUND')
  })
})
