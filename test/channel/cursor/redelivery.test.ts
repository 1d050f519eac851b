import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CURSOR_REDELIVERED, type CursorRedelivered, CursorRegistry } from '../../../ts/channel/cursor/index.ts'
import { Deferred } from '../../../ts/deferred.ts'
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
    session.accept(1n, 1)
    session.reject(0n)
    await settled()
    expect(registry.neededFrom).toBe(2n)
    session.acceptOne(2n)
    session.acceptOne(2n)
    await pass(10_000)
    expect(target.take()).toEqual([])
    await settled()
    expect(registry.neededFrom).toBe(3n)
  })

  it('is not accepted with later ones if it was handed back', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { target, session, registry } = await taken(log)
    target.take()
    session.reject(1n, { delayMs: 1_000 })
    session.accept(4n)
    await settled()
    expect(registry.neededFrom).toBe(1n)
    await pass(1_000)
    expect(target.take()).toEqual(['1/2'])
    session.accept(1n)
    await settled()
    expect(registry.neededFrom).toBe(5n)
  })

  it('is not accepted with later ones if it was handed back after its lease, when it had come again', async () => {
    const log = new TestLog()
    log.publishCount(3)
    const { target, session, registry } = await taken(log, { leaseMs: 1_000 })
    await pass(1_000)
    expect(target.take()).toEqual([...range(0, 3), ...range(0, 3, 2)])
    session.reject(1n, { attempt: 1 })
    session.accept(2n, 1)
    await settled()
    expect(registry.neededFrom).toBe(1n)
    session.accept(1n, 2)
    await settled()
    expect(registry.neededFrom).toBe(3n)
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
    await settled()
    expect(registry.neededFrom).toBe(1n)
  })

  it('accepts those that were handed out before it, though their positions are higher', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, registry } = await taken(log)
    session.reject(1n)
    await settled()
    session.accept(1n, 2)
    await settled()
    expect(registry.neededFrom).toBe(5n)
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
    await settled()
    // Those that came behind it, and before it came again, may not have been looked at yet.
    expect(registry.neededFrom).toBe(2n)
    session.accept(1n, 2)
    await settled()
    expect(registry.neededFrom).toBe(2n)
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
