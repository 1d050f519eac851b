import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CURSOR_DEAD_LETTER_FAILED, CURSOR_DEAD_LETTERED, type DeadLetter } from '../../../ts/channel/cursor/index.ts'
import { Deferred } from '../../../ts/deferred.ts'
import { payloadsOf } from '../runs.ts'
import { range, settled, storeFailed, TestLog, TestTarget, taken, termsOf } from './support.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms)
  await settled()
}

describe('a message that was delivered maxAttempts times', () => {
  function letters(): { readonly letters: DeadLetter[]; readonly deadLetter: (letter: DeadLetter) => Promise<void> } {
    const found: DeadLetter[] = []
    return {
      letters: found,
      deadLetter: async (letter) => {
        found.push(letter)
      },
    }
  }

  it('goes to the dead-letter channel with the reason of the last rejection, and counts as accepted then', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { letters: found, deadLetter } = letters()
    const { target, session, registry } = await taken(log, { maxAttempts: 2, deadLetter })
    session.reject(1n, { reason: 'the first time' })
    await settled()
    expect(found).toEqual([])
    session.reject(1n, { reason: 'card expired' })
    await settled()
    expect(target.take()).toEqual([...range(0, 3), '1/2'])
    expect(found).toMatchObject([
      { channel: 'orders', cursor: 'billing', position: 1n, attempts: 2, reason: 'card expired' },
    ])
    expect(payloadsOf(found[0].run)).toEqual(['1'])
    session.acceptOne(0n)
    await settled()
    expect(registry.neededFrom).toBe(2n)
  })

  it('is said on a diagnostics channel, buried or not', async () => {
    const said: [unknown, unknown][] = []
    const listen = (message: unknown, name: unknown): void => {
      said.push([name, message])
    }
    subscribe(CURSOR_DEAD_LETTERED, listen)
    subscribe(CURSOR_DEAD_LETTER_FAILED, listen)
    const log = new TestLog()
    log.publishCount(1)
    const failure = storeFailed()
    let calls = 0
    const deadLetter = async (): Promise<void> => {
      if (calls++ === 0) throw failure
    }
    const { session } = await taken(log, { maxAttempts: 1, deadLetter })
    session.reject(0n, { reason: 'card expired' })
    await pass(100)
    unsubscribe(CURSOR_DEAD_LETTERED, listen)
    unsubscribe(CURSOR_DEAD_LETTER_FAILED, listen)
    const named = { channel: 'orders', cursor: 'billing' }
    expect(said).toEqual([
      [CURSOR_DEAD_LETTER_FAILED, { ...named, error: failure }],
      [CURSOR_DEAD_LETTERED, { ...named, position: 0n, attempts: 1, reason: 'card expired' }],
    ])
  })

  it('is passed over if the log does not have it any more', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { letters: found, deadLetter } = letters()
    const { session, registry } = await taken(log, { maxAttempts: 1, deadLetter })
    log.removeBefore(2n)
    session.reject(0n)
    session.acceptOne(1n)
    await settled()
    expect([found, registry.neededFrom]).toEqual([[], 2n])
  })

  it('goes there when its lease ends', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { letters: found, deadLetter } = letters()
    const { target } = await taken(log, { maxAttempts: 1, deadLetter })
    target.take()
    await pass(30_000)
    expect(found.map(({ position, reason }) => [position, reason])).toEqual([
      [0n, 'Its lease ended before it was accepted.'],
      [1n, 'Its lease ended before it was accepted.'],
    ])
    expect(target.take()).toEqual([])
  })

  it('goes there when its owner is gone and another one comes', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { letters: found, deadLetter } = letters()
    const { session, registry } = await taken(log, { maxAttempts: 1, deadLetter })
    session.acceptOne(1n)
    await session.close()
    expect(found).toEqual([])
    const next = new TestTarget()
    await registry.get('billing').acquire(termsOf(next, { maxAttempts: 1, deadLetter })).ready
    await settled()
    expect(found).toMatchObject([
      { position: 0n, attempts: 1, reason: 'Its subscription ended before it was accepted.' },
    ])
    expect(next.take()).toEqual([])
  })

  it('goes there when every life of the bus ends with it', async () => {
    let log = new TestLog()
    log.publishCount(1)
    const { letters: found, deadLetter } = letters()
    const attempts: string[] = []
    for (let life = 0; life < 4; life++) {
      const { target } = await taken(log, { maxAttempts: 3, deadLetter })
      attempts.push(...target.take())
      log = log.crash()
    }
    expect(attempts).toEqual(['0', '0/2', '0/3'])
    expect(found).toMatchObject([{ position: 0n, attempts: 3 }])
  })

  it('is kept and tried again while the dead-letter channel does not take it', async () => {
    const log = new TestLog()
    log.publishCount(1)
    let calls = 0
    const deadLetter = async (): Promise<void> => {
      calls++
      if (calls < 3) throw storeFailed()
    }
    const { session, registry } = await taken(log, { maxAttempts: 1, deadLetter })
    session.reject(0n)
    await settled()
    expect([calls, registry.neededFrom]).toEqual([1, 0n])
    await pass(400)
    expect([calls, registry.neededFrom]).toEqual([3, 1n])
  })

  it('is buried once, though its owner changes meanwhile', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const gate = new Deferred<void>()
    let calls = 0
    const deadLetter = (): Promise<void> => {
      calls++
      return gate.promise
    }
    const { session, registry } = await taken(log, { maxAttempts: 1, deadLetter })
    session.reject(0n)
    await settled()
    const next = new TestTarget()
    await registry.get('billing').acquire(termsOf(next, { maxAttempts: 1, deadLetter })).ready
    await settled()
    gate.resolve()
    await settled()
    expect([calls, registry.neededFrom, next.take()]).toEqual([1, 1n, []])
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 1 })
  })

  it('goes to an owner without a limit instead, if it could not be buried', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const gate = new Deferred<void>()
    const { session, registry } = await taken(log, { maxAttempts: 1, deadLetter: () => gate.promise })
    session.reject(0n)
    await settled()
    const next = new TestTarget()
    await registry.get('billing').acquire(termsOf(next)).ready
    gate.reject(storeFailed())
    await settled()
    expect(next.take()).toEqual(['0/2'])
  })

  it('is not buried if it is accepted after all', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const gate = new Deferred<void>()
    const positions: bigint[] = []
    const { session, registry } = await taken(log, {
      maxAttempts: 1,
      deadLetter: ({ position }) => {
        positions.push(position)
        return gate.promise
      },
    })
    session.reject(0n)
    session.reject(1n)
    session.acceptOne(1n)
    await settled()
    gate.resolve()
    await settled()
    expect([positions, registry.neededFrom]).toEqual([[0n], 2n])
  })
})
