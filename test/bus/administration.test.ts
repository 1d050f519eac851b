import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type BusOptions, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { eventually } from '../eventually.ts'

async function open(options: BusOptions): Promise<LocalBus> {
  const bus = await createBus({ channels: [{ name: 'orders', durable: true }], ...options })
  onTestFinished(() => bus.close())
  return bus
}

/** A store whose writes of messages take until somebody says so. */
class GatedStore extends MemoryStore {
  readonly gates: Deferred<void>[] = []

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    if (changes.some((change) => change.type === 'append')) {
      const gate = new Deferred<void>()
      this.gates.push(gate)
      await gate.promise
    }
    await super.write(changes)
  }
}

describe('what is said of a channel', () => {
  it('has the times of its messages, and not those at which they were stored', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const store = new GatedStore()
    const bus = await open({ store })
    for (let count = 1; count <= 2; count++) {
      const publishing = bus.channel('orders').publish(count)
      await eventually(() => expect(store.gates).toHaveLength(count))
      vi.setSystemTime(Date.now() + 60_000)
      store.gates[count - 1]?.resolve()
      await publishing
    }
    const info = await bus.administration.channel('orders')
    const [first, last] = await bus.administration.peek('orders')
    expect([info.firstTimestamp, info.lastTimestamp]).toEqual([first?.timestamp, last?.timestamp])
    expect(first?.timestamp).toBe(1_800_000_000_000)
    await bus.administration.purge('orders', { before: 1n })
    expect(await bus.administration.channel('orders')).toMatchObject({
      firstTimestamp: last?.timestamp,
      lastTimestamp: last?.timestamp,
    })
  })

  it('leaves out what is damaged, and says the rest', async () => {
    const store = new MemoryStore()
    const bus = await open({ store })
    await bus.channel('orders').publish(1)
    await bus.close()
    const again = await open({ store, channels: [] })
    vi.spyOn(store, 'read').mockRejectedValue(new LiminalError('STORE_CORRUPT', 'Message 0 is damaged.'))
    const info = { name: 'orders', next: 1n, firstTimestamp: null, lastTimestamp: null }
    expect(await again.administration.channels()).toMatchObject([info])
    await expect(again.administration.peek('orders')).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })
})
