import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  CURSOR_DEAD_LETTER_FAILED,
  CURSOR_DEAD_LETTERED,
  CURSOR_REDELIVERED,
  type CursorRedelivered,
  CursorRegistry,
  type DeadLetter,
} from '../../../ts/channel/cursor/index.ts'
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

describe('a delivery that is not accepted', () => {
  it('is made again when its lease ends, with a higher attempt each time, and not before', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { target, session } = await taken(log)
    target.take()
    session.acceptOne(1n)
    await pass(29_999)
    expect(target.take()).toEqual([])
    await pass(1)
    expect(target.take()).toEqual(['0/2', '2/2'])
    await pass(30_000)
    expect(target.take()).toEqual(['0/3', '2/3'])
  })

  it('keeps its lease while it is extended', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { target, session } = await taken(log, { leaseMs: 1_000 })
    target.take()
    await pass(900)
    session.extend(0n)
    await pass(100)
    expect(target.take()).toEqual(['1/2'])
    await pass(800)
    expect(target.take()).toEqual([])
    await pass(100)
    expect(target.take()).toEqual(['0/2'])
  })

  it('is not helped by an extension of an earlier attempt, or after its lease', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const { target, session } = await taken(log, { leaseMs: 1_000 })
    await pass(1_000)
    expect(target.take()).toEqual(['0', '0/2'])
    await pass(900)
    session.extend(0n, 1)
    await pass(100)
    expect(target.take()).toEqual(['0/3'])
  })

  it('is made again at once when it is rejected, or after the delay that was asked for', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { target, session } = await taken(log)
    target.take()
    session.reject(0n, { delayMs: 5_000 })
    session.reject(1n)
    await settled()
    expect(target.take()).toEqual(['1/2'])
    await pass(4_999)
    expect(target.take()).toEqual([])
    await pass(1)
    expect(target.take()).toEqual(['0/2'])
  })

  it('is made again once for one rejection, and not for that of an earlier attempt', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const { target, session } = await taken(log)
    session.reject(0n, { attempt: 1 })
    session.reject(0n, { attempt: 1 })
    await settled()
    session.reject(0n, { attempt: 1 })
    await settled()
    expect(target.take()).toEqual(['0', '0/2'])
  })

  it('counts when it is accepted late, whatever happened to it meanwhile', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { target, session, registry } = await taken(log, { leaseMs: 1_000 })
    await pass(1_000)
    expect(target.take()).toEqual([...range(0, 3), ...range(0, 3, 2)])
    session.accept(2n, 1)
    session.reject(0n)
    expect(registry.lowestUnaccepted).toBe(0n)
    session.acceptOne(0n)
    session.acceptOne(0n)
    session.acceptOne(1n)
    await pass(10_000)
    expect(target.take()).toEqual([])
    expect(registry.lowestUnaccepted).toBe(3n)
  })

  it('is not accepted with later ones if it was handed back', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { target, session, registry } = await taken(log)
    target.take()
    session.reject(1n, { delayMs: 1_000 })
    session.accept(4n)
    expect(registry.lowestUnaccepted).toBe(1n)
    await pass(1_000)
    expect(target.take()).toEqual(['1/2'])
    session.accept(1n)
    expect(registry.lowestUnaccepted).toBe(5n)
  })

  it('is not accepted with one that was handed out before it, though its position is lower', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { target, session, registry } = await taken(log)
    target.take()
    session.reject(1n)
    await settled()
    expect(target.take()).toEqual(['1/2'])
    session.accept(4n)
    expect(registry.lowestUnaccepted).toBe(1n)
  })

  it('accepts those that were handed out before it, though their positions are higher', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, registry } = await taken(log)
    session.reject(1n)
    await settled()
    session.accept(1n, 2)
    expect(registry.lowestUnaccepted).toBe(5n)
  })

  it('accepts nothing that came after its first attempt if nobody says which one is meant', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { target, session, registry } = await taken(log, { leaseMs: 1_000, maxInFlight: 4 })
    await pass(500)
    log.publishCount(2)
    await pass(500)
    expect(target.take()).toEqual([...range(0, 4), '0/2', '1/2'])
    session.accept(1n)
    // 0 was handed out again after 1 was handed out first: it may not have been looked at yet.
    expect(registry.lowestUnaccepted).toBe(0n)
    session.acceptOne(0n)
    expect(registry.lowestUnaccepted).toBe(2n)
  })

  it('is said on a diagnostics channel', async () => {
    const said: unknown[] = []
    const listen = (message: unknown): void => {
      said.push(message)
    }
    subscribe(CURSOR_REDELIVERED, listen)
    const log = new TestLog()
    log.publishCount(3)
    await taken(log)
    await pass(30_000)
    unsubscribe(CURSOR_REDELIVERED, listen)
    const expected: CursorRedelivered = { channel: 'orders', cursor: 'billing', position: 0n, count: 3, attempt: 2 }
    expect(said).toEqual([expected])
  })

  it('is written down as an attempt before it is made again', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { target, session } = await taken(log)
    target.take()
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    session.reject(0n)
    await settled()
    expect(target.take()).toEqual([])
    gate.resolve()
    await settled()
    expect(log.disk.lastCheckpoint?.spans).toEqual([
      { count: 1, attempts: 2 },
      { count: 1, attempts: 1 },
    ])
    expect(target.take()).toEqual(['0/2'])
  })

  it('is not made again if it is accepted while that is written down', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { target, session } = await taken(log)
    target.take()
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    for (const position of [0n, 1n, 2n]) session.reject(position)
    await settled()
    session.acceptOne(1n)
    gate.resolve()
    await settled()
    expect(target.take()).toEqual(['0/2', '2/2'])
  })

  it('is made again by and by while the store does not take it', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const { target, session } = await taken(log)
    target.take()
    log.disk.failures.push(storeFailed(), storeFailed())
    session.reject(0n)
    await settled()
    expect(target.take()).toEqual([])
    await pass(500)
    expect(target.take()).toEqual(['0/2'])
  })
})

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
    expect(registry.lowestUnaccepted).toBe(2n)
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
    expect([found, registry.lowestUnaccepted]).toEqual([[], 2n])
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
    expect([calls, registry.lowestUnaccepted]).toEqual([1, 0n])
    await pass(400)
    expect([calls, registry.lowestUnaccepted]).toEqual([3, 1n])
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
    expect([calls, registry.lowestUnaccepted, next.take()]).toEqual([1, 1n, []])
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
    expect([positions, registry.lowestUnaccepted]).toEqual([[0n], 2n])
  })
})

describe('a crash of the whole bus', () => {
  it('makes the attempts of what it may have been given rise, at the latest from the second one on', async () => {
    let log = new TestLog()
    log.publishCount(1)
    const attempts: string[] = []
    for (let life = 0; life < 4; life++) {
      const { target } = await taken(log)
      attempts.push(...target.take())
      log = log.crash()
    }
    expect(attempts).toEqual(['0', '0', '0/2', '0/3'])
  })

  it('does not slow what is published after it', async () => {
    let log = new TestLog()
    log.publishCount(1)
    await taken(log)
    log = log.crash()
    const { target, session } = await taken(log, { checkpoint: 'explicit' })
    session.accept(0n)
    const writes = log.disk.writes
    log.publishCount(3)
    await settled()
    expect(target.take()).toEqual(range(0, 4))
    expect(log.disk.writes).toBe(writes)
  })

  it('does not deliver again what was accepted above the watermark, as far as that was written down', async () => {
    let log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log)
    session.acceptOne(1n)
    session.acceptOne(3n)
    await session.checkpoint()
    log = log.crash()
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    await registry.get('billing').acquire(termsOf(target)).ready
    await settled()
    expect(target.take()).toEqual(['0/2', '2/2', '4/2'])
  })
})
