import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CURSOR_CHECKPOINT_FAILED, CURSOR_CHECKPOINTED } from '../../../ts/channel/cursor/index.ts'
import { Deferred } from '../../../ts/deferred.ts'
import { LiminalError } from '../../../ts/errors.ts'
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

/** The watermarks that were written down since the last call. */
function watermarks(log: TestLog): number[] {
  return log.disk.checkpoints.splice(0).map(({ watermark }) => watermark)
}

describe("the checkpoint policy 'message'", () => {
  it('writes down each acceptance that moves the watermark, and no other', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log)
    expect(watermarks(log)).toEqual([0])
    session.acceptOne(0n)
    await settled()
    session.acceptOne(2n)
    session.acceptOne(0n)
    await settled()
    session.acceptOne(1n)
    await settled()
    expect(watermarks(log)).toEqual([1, 3])
  })

  it('writes down the acceptances of one turn together', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log)
    watermarks(log)
    for (let position = 0n; position < 5n; position++) session.acceptOne(position)
    await settled()
    expect(watermarks(log)).toEqual([5])
  })

  it('has one write underway at a time; what is accepted meanwhile is in the next one', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { session } = await taken(log)
    watermarks(log)
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    const before = log.disk.writes
    for (let position = 0n; position < 9n; position++) {
      session.accept(position)
      await settled()
    }
    expect(log.disk.writes - before).toBe(1)
    gate.resolve()
    await settled()
    expect(watermarks(log)).toEqual([1, 9])
  })
})

describe('the checkpoint policy { every }', () => {
  it('writes down nothing for nine acceptances of ten, and one for the tenth', async () => {
    const log = new TestLog()
    log.publishCount(20)
    const { session } = await taken(log, { checkpoint: { every: 10 } })
    watermarks(log)
    for (let position = 0n; position < 9n; position++) session.accept(position)
    await settled()
    expect(watermarks(log)).toEqual([])
    session.accept(9n)
    await settled()
    expect(watermarks(log)).toEqual([10])
    session.accept(18n)
    await settled()
    expect(watermarks(log)).toEqual([])
  })

  it('counts messages and not calls', async () => {
    const log = new TestLog()
    log.publishCount(20)
    const { session } = await taken(log, { checkpoint: { every: 10 } })
    watermarks(log)
    session.accept(15n)
    await settled()
    expect(watermarks(log)).toEqual([16])
  })

  it('writes down a part of a batch in time, counted from its first acceptance', async () => {
    const log = new TestLog()
    log.publishCount(20)
    const { session } = await taken(log, { checkpoint: { every: 10, withinMs: 300 } })
    watermarks(log)
    session.accept(0n)
    await pass(200)
    session.accept(1n)
    await pass(99)
    expect(watermarks(log)).toEqual([])
    await pass(1)
    expect(watermarks(log)).toEqual([2])
    await pass(10_000)
    expect(watermarks(log)).toEqual([])
  })

  it('writes down a part of a batch within a second if nobody says otherwise', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { session } = await taken(log, { checkpoint: { every: 10 } })
    watermarks(log)
    session.accept(0n)
    await pass(999)
    expect(watermarks(log)).toEqual([])
    await pass(1)
    expect(watermarks(log)).toEqual([1])
  })
})

describe("the checkpoint policy 'explicit'", () => {
  it('writes down what was accepted when it is told to, and not before', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log, { checkpoint: 'explicit' })
    watermarks(log)
    session.accept(2n)
    await pass(20_000)
    expect(watermarks(log)).toEqual([])
    await session.checkpoint()
    expect(watermarks(log)).toEqual([3])
  })

  it('does not let another write take acceptances along', async () => {
    let log = new TestLog()
    log.publishCount(5)
    const { session, target, registry } = await taken(log, { checkpoint: 'explicit' })
    session.accept(2n)
    session.reject(3n)
    await settled()
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 0 })
    expect(registry.neededFrom).toBe(0n)
    log = log.crash()
    target.take()
    const again = await taken(log)
    expect(again.target.take()).toEqual([...range(0, 3, 2), '3/3', '4/2'])
  })

  it('delivers again to the next owner what was accepted after the last checkpoint', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, registry } = await taken(log, { checkpoint: 'explicit' })
    session.accept(1n)
    await session.checkpoint()
    session.accept(3n)
    await session.close()
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 2, owned: false })
    const next = new TestTarget()
    await registry.get('billing').acquire(termsOf(next)).ready
    await settled()
    expect(next.take()).toEqual(['2/2', '3/2', '4/2'])
  })

  it('counts what was accepted as room in the window, checkpoint or not', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { session, target } = await taken(log, { checkpoint: 'explicit', maxInFlight: 2 })
    session.accept(1n)
    await settled()
    session.acceptOne(3n)
    await settled()
    expect(target.take()).toEqual(range(0, 5))
  })
})

describe('a checkpoint', () => {
  it('resolves when it is durable', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log, { checkpoint: { every: 100 } })
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    session.accept(3n)
    const seen: string[] = []
    const checkpointed = session.checkpoint().then(() => seen.push('durable'))
    await settled()
    expect(seen).toEqual([])
    gate.resolve()
    await checkpointed
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 4 })
  })

  it('that is asked for while one is underway is another one, with what was accepted meanwhile', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log, { checkpoint: 'explicit' })
    watermarks(log)
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    session.accept(0n)
    const first = session.checkpoint()
    await settled()
    session.accept(1n)
    const second = session.checkpoint()
    session.accept(2n)
    const third = session.checkpoint()
    gate.resolve()
    await Promise.all([first, second, third])
    expect(watermarks(log)).toEqual([1, 3])
  })

  it('that fails and may be repeated says so, is repeated, and does not end the session', async () => {
    const failures: unknown[] = []
    const listen = (message: unknown): void => {
      failures.push(message)
    }
    subscribe(CURSOR_CHECKPOINT_FAILED, listen)
    const log = new TestLog()
    log.publishCount(5)
    const { session, target } = await taken(log)
    watermarks(log)
    log.disk.failures.push(storeFailed(), storeFailed())
    session.accept(1n)
    await expect(session.checkpoint()).rejects.toMatchObject({ code: 'STORE_FAILED' })
    session.accept(2n)
    await pass(200)
    expect(watermarks(log)).toEqual([3])
    unsubscribe(CURSOR_CHECKPOINT_FAILED, listen)
    expect(failures).toMatchObject([
      { channel: 'orders', cursor: 'billing', error: { code: 'STORE_FAILED' } },
      { error: { code: 'STORE_FAILED' } },
    ])
    expect([session.ended, target.ends]).toEqual([null, []])
  })

  it('that fails for good ends the session: the target is told', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, target } = await taken(log)
    log.disk.failures.push(new LiminalError('CURSOR_FENCED', 'Somebody else writes it.'))
    session.accept(1n)
    await settled()
    expect(target.ends.map(({ code }) => code)).toEqual(['CURSOR_FENCED'])
    await expect(session.checkpoint()).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
  })

  it('of a store that is closed ends the session', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, target } = await taken(log)
    await log.disk.close()
    session.accept(1n)
    await settled()
    expect(target.ends.map(({ code }) => code)).toEqual(['CLOSED'])
    expect(session.ended?.code).toBe('CLOSED')
  })

  it('is said on a diagnostics channel when it is durable', async () => {
    const said: unknown[] = []
    const listen = (message: unknown): void => {
      said.push(message)
    }
    const log = new TestLog()
    log.publishCount(5)
    const { session } = await taken(log)
    subscribe(CURSOR_CHECKPOINTED, listen)
    session.accept(1n)
    await settled()
    unsubscribe(CURSOR_CHECKPOINTED, listen)
    expect(said).toEqual([{ channel: 'orders', cursor: 'billing', position: 2n }])
  })

  it('costs spans and not messages in the plain case', async () => {
    const log = new TestLog()
    const { session } = await taken(log, { maxInFlight: 16_384, checkpoint: { every: 1_000_000 } })
    for (let run = 0; run < 300; run++) {
      log.publishCount(40)
      if (run % 10 === 0) await pass(10)
    }
    await settled()
    expect(session.inFlight).toBe(12_000)
    session.accept(5_000n)
    await session.checkpoint()
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 5_001, spans: [{ count: 6_999, attempts: 1 }] })
  })
})
