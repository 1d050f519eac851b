import { describe, expect, it } from 'vitest'
import type { ChannelLog } from '../../../ts/channel/channel-log.ts'
import { CursorRegistry } from '../../../ts/channel/cursor/index.ts'
import { type ChannelCore, ChannelRegistry, ClaimDesk, DurableChannels } from '../../../ts/channel/index.ts'
import { MemoryStore, storesOf } from '../../../ts/durability/index.ts'
import { LiminalError } from '../../../ts/errors.ts'
import { NO_SCHEMA } from '../../../ts/protocol/index.ts'
import { RecordingObserver, scannedRun } from '../runs.ts'
import { range, TestTarget, termsOf } from './support.ts'

/** A target that tells when it got enough. */
class CountingTarget extends TestTarget {
  override schemaId: Uint8Array = NO_SCHEMA
  #wanted = Number.POSITIVE_INFINITY
  #got: () => void = () => {}

  constructor() {
    super()
    this.onDeliver = () => {
      if (this.received.length >= this.#wanted) this.#got()
      return true
    }
  }

  until(count: number): Promise<void> {
    this.#wanted = count
    return this.received.length >= count ? Promise.resolve() : new Promise((resolve) => (this.#got = resolve))
  }
}

async function live(store: MemoryStore): Promise<{ channel: ChannelCore; log: ChannelLog; end: () => Promise<void> }> {
  const registry = new ChannelRegistry({ create: true, claims: new ClaimDesk(Buffer.alloc(16, 7), {}) })
  const durable = new DurableChannels(registry, storesOf(store))
  const channel = await durable.declare({ name: 'orders', durable: true })
  if (channel.log === null) throw new Error('It has no log.')
  const end = async (): Promise<void> => {
    await durable.idle()
    registry.closeAll(new LiminalError('CLOSED', 'over'))
    await durable.close(new LiminalError('CLOSED', 'over'))
  }
  return { channel, log: channel.log, end }
}

function publish(channel: ChannelCore, from: number, to: number): void {
  for (let first = from; first < to; first += 3) {
    channel.publishRun(scannedRun(range(first, Math.min(to, first + 3))), new RecordingObserver())
  }
}

describe('a cursor of a durable channel', () => {
  it('gets what is there and what is published meanwhile, without gap or duplicate, and goes on there after a restart', async () => {
    const store = new MemoryStore()
    const first = await live(store)
    publish(first.channel, 0, 1_000)
    await first.log.idle()
    const cursors = await CursorRegistry.open(first.log)
    const target = new CountingTarget()
    const session = cursors.findOrCreate('billing', 0n).acquire(termsOf(target, { maxInFlight: 64 }))
    // Accepts as it gets, so that the window moves while more is published.
    const count = target.onDeliver
    target.onDeliver = (logged, messages) => {
      const last = logged.position + BigInt(messages - 1)
      if (last < 1_900n) session.accept(last)
      return count(logged, messages)
    }
    await session.ready
    publish(first.channel, 1_000, 1_500)
    await first.log.idle()
    publish(first.channel, 1_500, 1_905)
    await target.until(1_905)
    expect(target.take()).toEqual(range(0, 1_905))
    await session.checkpoint()
    const accepted = cursors.neededFrom
    await cursors.close(new LiminalError('CLOSED', 'over'))
    await first.end()

    const second = await live(store)
    const reopened = await CursorRegistry.open(second.log)
    expect(reopened.neededFrom).toBe(accepted)
    const again = new CountingTarget()
    await reopened.get('billing').acquire(termsOf(again)).ready
    publish(second.channel, 1_905, 1_910)
    await again.until(1_910 - Number(accepted))
    expect(again.take()).toEqual([...range(Number(accepted), 1_905, 2), ...range(1_905, 1_910)])
    await second.end()
  })
})
