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
})

describe('what an owner had in hand when it died', () => {
  const limited = { maxAttempts: 3, deadLetter: unused, leaseBegins: 'seen' } as const

  it('is handed out one by one, so that a message that kills its owners costs others one attempt', async () => {
    const log = new TestLog()
    log.publishCount(6)
    const letters: DeadLetter[] = []
    const terms = { ...limited, deadLetter: async (letter: DeadLetter) => void letters.push(letter) }
    const { target, session, registry } = await taken(log, terms)
    expect(target.take()).toEqual(range(0, 6))
    // 2 kills whoever works on it. 4 and 5 were not looked at.
    session.seen(0n, 4)
    session.acceptOne(0n)
    await session.close('died')
    const lives: string[][] = []
    for (let life = 0; life < 4; life++) {
      const next = new TestTarget()
      const owner = registry.findOrCreate('billing', 0n).acquire(termsOf(next, terms))
      await owner.ready
      await settled()
      lives.push([])
      for (let received = next.take(); received.length > 0; received = next.take()) {
        for (const delivery of received) {
          const position = BigInt(delivery.split('/')[0])
          lives[life].push(delivery)
          owner.seen(position, 1)
          if (position === 2n) break
          owner.acceptOne(position)
        }
        await settled()
      }
      await owner.close(lives[life].some((delivery) => delivery.startsWith('2/')) ? 'died' : 'left')
    }
    expect(lives).toEqual([['1/2', '2/2'], ['2/3'], ['3/2', '4', '5'], []])
    expect(letters.map(({ position, attempts }) => [position, attempts])).toEqual([[2n, 3]])
  })

  it('is handed out one by one after a crash of the bus too', async () => {
    const log = new TestLog()
    log.publishCount(3)
    await taken(log, limited)
    const after = log.crash()
    const { target, session } = await taken(after, limited)
    after.publishCount(1)
    await settled()
    expect(target.take()).toEqual(['0/2'])
    session.seen(0n, 1)
    session.reject(0n, { delayMs: 60_000 })
    await settled()
    expect(target.take()).toEqual(['1/2'])
    session.seen(1n, 1)
    // It takes too long, but it does not kill: perhaps it is to be answered with others.
    await pass(30_000)
    expect(target.take()).toEqual(['1/3', '2/2', '3'])
  })

  it('is handed out together where attempts are not limited, or the owner left in order', async () => {
    for (const [how, terms] of [
      ['died', { leaseBegins: 'seen' }],
      ['left', limited],
    ] as const) {
      const log = new TestLog()
      log.publishCount(4)
      const { session, registry } = await taken(log, terms)
      session.seen(0n, 4)
      await session.close(how)
      const next = new TestTarget()
      await registry.findOrCreate('billing', 0n).acquire(termsOf(next, terms)).ready
      await settled()
      expect(next.take()).toEqual(['0/2', '1/2', '2/2', '3/2'])
    }
  })
})
