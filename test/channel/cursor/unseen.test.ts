import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DeadLetter } from '../../../ts/channel/cursor/index.ts'
import { range, settled, TestLog, TestTarget, taken, termsOf } from './support.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const unused = async (): Promise<void> => {
  throw new Error('Nothing is to be buried.')
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms)
  await settled()
}

describe('a delivery that waits for its owner', () => {
  it('has its lease from when the owner has seen it, where that is what the owner wants', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { target, session } = await taken(log, { leaseMs: 1_000, leaseBegins: 'seen' })
    await pass(10_000)
    expect(target.take()).toEqual(range(0, 5))
    session.seen(0n, 2)
    await pass(500)
    session.seen(2n, 1)
    session.extend(3n)
    await pass(500)
    expect(target.take()).toEqual(['0/2', '1/2'])
    await pass(500)
    expect(target.take()).toEqual(['2/2'])
    await pass(10_000)
    expect(target.take()).toEqual([])
    // Seen again: the first of the redelivered ones, with a lease of its own.
    session.seen(1n, 1)
    await pass(1_000)
    expect(target.take()).toEqual(['1/3'])
  })

  it('costs no attempt if the owner never saw it, whether that is fenced or leaves', async () => {
    const log = new TestLog()
    log.publishCount(4)
    const { target, session, registry } = await taken(log, { leaseBegins: 'seen', maxAttempts: 3, deadLetter: unused })
    target.take()
    session.seen(0n, 2)
    const next = new TestTarget()
    const fencing = registry.findOrCreate('billing', 0n).acquire(termsOf(next, { leaseBegins: 'seen' }))
    await fencing.ready
    await settled()
    expect(next.take()).toEqual(['0/2', '1/2', '2', '3'])
    await fencing.close()
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 0, spans: [{ count: 2, attempts: 1 }] })
  })

  it('costs no attempt if it was given back, also where its lease ended before', async () => {
    const log = new TestLog()
    log.publishCount(6)
    const { target, session, registry } = await taken(log, { leaseMs: 1_000 })
    await pass(900)
    for (const position of [0n, 1n, 2n]) session.extend(position)
    target.free = 0
    await pass(100)
    // 3, 4 and 5 wait for room in the target.
    for (const position of [3n, 4n, 5n]) session.giveBack(position, 1)
    session.giveBack(1n, 1)
    session.giveBack(2n, 7)
    session.giveBack(99n)
    await session.close()
    expect(target.take()).toEqual(range(0, 6))
    const next = new TestTarget()
    await registry.findOrCreate('billing', 0n).acquire(termsOf(next)).ready
    await settled()
    // 1 was given back while 2, behind it, was not: too many attempts rather than too few.
    expect(next.take()).toEqual(['0/2', '1/2', '2/2', '3', '4', '5'])
  })

  it('is not lost to the dead-letter channel if it was given back in time', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const store: DeadLetter[] = []
    const terms = { maxAttempts: 1, deadLetter: async (letter: DeadLetter) => void store.push(letter) }
    const { session, registry, target } = await taken(log, terms)
    session.giveBack(1n, 1)
    session.giveBack(0n, 1)
    await session.close()
    session.giveBack(0n, 1)
    expect(target.take()).toEqual(['0', '1'])
    const next = new TestTarget()
    await registry.findOrCreate('billing', 0n).acquire(termsOf(next, terms)).ready
    await settled()
    expect(next.take()).toEqual(['0', '1'])
    expect(store).toEqual([])
  })
})
