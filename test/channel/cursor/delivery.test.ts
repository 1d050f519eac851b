import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CursorRegistry } from '../../../ts/channel/cursor/index.ts'
import { Deferred } from '../../../ts/deferred.ts'
import { LiminalError } from '../../../ts/errors.ts'
import { range, settled, storeFailed, TestLog, TestTarget, taken, termsOf } from './support.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a cursor delivers', () => {
  it('what the log has, in whole runs, and then what is appended', async () => {
    const log = new TestLog()
    log.publishCount(3)
    log.publishCount(2)
    const { target } = await taken(log)
    expect(target.take()).toEqual(range(0, 5))
    expect(target.runs).toEqual([3, 2])
    log.publishCount(4)
    await settled()
    expect(target.take()).toEqual(range(5, 9))
    expect(target.runs).toEqual([3, 2, 4])
  })

  it('nothing before it is written down that it has an owner', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const session = registry.findOrCreate('billing', 0n).acquire(termsOf(target))
    await settled()
    expect(target.take()).toEqual([])
    gate.resolve()
    await session.ready
    await settled()
    expect(log.disk.lastCheckpoint).toMatchObject({ owned: true, epoch: 1, watermark: 0 })
    expect(target.take()).toEqual(['0'])
  })

  it('from the position it was made with, and not from another one later', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const registry = await CursorRegistry.open(log)
    const first = new TestTarget()
    await registry.findOrCreate('billing', 3n).acquire(termsOf(first)).ready
    await settled()
    expect(first.take()).toEqual(['3', '4'])
    const second = new TestTarget()
    await registry.findOrCreate('billing', 0n).acquire(termsOf(second)).ready
    await settled()
    expect(second.take()).toEqual(['3/2', '4/2'])
  })

  it('at most maxInFlight that are not accepted, and splits runs for it', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { target, session } = await taken(log, { maxInFlight: 4 })
    expect(target.take()).toEqual(range(0, 4))
    expect(session.inFlight).toBe(4)
    session.accept(1n)
    await settled()
    expect(target.take()).toEqual(['4', '5'])
    session.acceptOne(5n)
    await settled()
    expect(target.take()).toEqual(['6'])
    expect(session.inFlight).toBe(4)
  })

  it('without keeping everything else from being done', async () => {
    const log = new TestLog()
    for (let run = 0; run < 4; run++) log.publishCount(500)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const session = registry.findOrCreate('billing', 0n).acquire(termsOf(target, { maxInFlight: 5 }))
    const done = new Deferred<void>()
    target.onDeliver = ({ position }, count) => {
      session.accept(position + BigInt(count - 1))
      if (target.received.length === 2_000) done.resolve()
      return true
    }
    await session.ready
    let turns = 0
    const immediate = (): void => {
      turns++
      if (target.received.length < 2_000) setImmediate(immediate)
    }
    setImmediate(immediate)
    await done.promise
    expect(turns).toBeGreaterThan(10)
  })

  it('one run for the room that the acceptances of one turn make', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { target, session } = await taken(log, { maxInFlight: 4 })
    for (let position = 0n; position < 4n; position++) session.acceptOne(position)
    await settled()
    expect(target.runs).toEqual([4, 4])
  })

  it('again what was rejected before anything new', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { target, session } = await taken(log, { maxInFlight: 3 })
    target.take()
    session.reject(1n)
    session.accept(0n)
    await settled()
    expect(target.take()).toEqual(['1/2', '3'])
  })

  it('no more than the target has room for', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    target.free = 3
    await registry.findOrCreate('billing', 0n).acquire(termsOf(target)).ready
    await settled()
    expect(target.take()).toEqual(range(0, 3))
    target.takes(2)
    await settled()
    expect(target.take()).toEqual(range(3, 5))
    target.takes(100)
    await settled()
    expect(target.take()).toEqual(range(5, 10))
  })

  it('nothing while the target holds, also between the runs of a page', async () => {
    const log = new TestLog()
    log.publishCount(2)
    log.publishCount(2)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const held = new Deferred<void>()
    target.onDeliver = () => {
      target.behind = held.promise
      return true
    }
    await registry.findOrCreate('billing', 0n).acquire(termsOf(target)).ready
    await settled()
    expect(target.take()).toEqual(['0', '1'])
    target.behind = null
    held.resolve()
    await settled()
    // Now it shows a promise that is settled already, which is no reason to wait.
    expect(target.take()).toEqual(['2', '3'])
    expect(log.reads).toHaveLength(1)
  })

  it('on when what the target held for fails', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const held = new Deferred<void>()
    target.behind = held.promise
    await registry.findOrCreate('billing', 0n).acquire(termsOf(target)).ready
    await settled()
    expect(target.take()).toEqual([])
    target.behind = null
    held.reject(new Error('It gave up.'))
    await settled()
    expect(target.take()).toEqual(['0'])
  })

  it('a recorded page part by part as the target makes room', async () => {
    const log = new TestLog()
    log.publishCount(3)
    log.publishCount(3)
    const { target, session } = await taken(log)
    session.accept(0n)
    target.take()
    target.free = 2
    for (const position of [1n, 2n, 3n, 4n]) session.reject(position)
    await settled()
    expect(target.take()).toEqual(['1/2', '2/2'])
    target.takes(1)
    await settled()
    expect(target.take()).toEqual(['3/2'])
    target.takes(5)
    await settled()
    expect(target.take()).toEqual(['4/2'])
  })

  it('within deliver what was accepted within deliver makes room for', async () => {
    const log = new TestLog()
    log.publishCount(50)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const session = registry.findOrCreate('billing', 0n).acquire(termsOf(target, { maxInFlight: 7 }))
    target.onDeliver = ({ position }, count) => {
      session.accept(position + BigInt(count - 1))
      return true
    }
    await session.ready
    await settled()
    expect(target.take()).toEqual(range(0, 50))
    expect(session.inFlight).toBe(0)
  })

  it('with reads that ask for no more than the window has room for', async () => {
    const log = new TestLog()
    log.publishCount(500)
    const { target } = await taken(log, { maxInFlight: 10 })
    expect(target.take()).toEqual(range(0, 10))
    expect(log.reads).toEqual([{ position: 0, maxMessages: 10 }])
  })

  it('without reading again while nothing is appended, accepted or due', async () => {
    const log = new TestLog()
    log.publishCount(2)
    await taken(log, { maxInFlight: 2 })
    log.publishCount(2)
    log.publishCount(2)
    await settled()
    await vi.advanceTimersByTimeAsync(29_000)
    expect(log.reads).toHaveLength(1)
  })

  it('on after a read failed and may be repeated', async () => {
    const log = new TestLog()
    log.readFailures.push(storeFailed(), storeFailed())
    log.publishCount(2)
    const { target } = await taken(log)
    expect(target.take()).toEqual([])
    await vi.advanceTimersByTimeAsync(150)
    await settled()
    expect(target.take()).toEqual(['0', '1'])
    expect(target.ends).toEqual([])
  })

  it('nothing more after a read that found damage: the target is told', async () => {
    const log = new TestLog()
    log.readFailures.push(new LiminalError('STORE_CORRUPT', 'Message 0 is damaged.'))
    log.publishCount(1)
    const { target, session } = await taken(log)
    expect(target.ends.map(({ code }) => code)).toEqual(['STORE_CORRUPT'])
    expect(session.ended?.code).toBe('STORE_CORRUPT')
    expect(log.listeners).toBe(0)
  })

  it('no further when its log is closed: the target is told', async () => {
    const log = new TestLog()
    const { target } = await taken(log)
    log.closed = true
    log.publishCount(1)
    await settled()
    expect(target.ends.map(({ code }) => code)).toEqual(['CHANNEL_CLOSED'])
  })

  it('nothing more to a target that does not take it: the next owner gets it, and it does not count as an attempt', async () => {
    const log = new TestLog()
    log.publishCount(3)
    log.publishCount(2)
    const { registry, target, session } = await taken(log, { maxInFlight: 3 })
    target.take()
    target.onDeliver = () => false
    session.accept(2n)
    await settled()
    expect(session.ended?.code).toBe('CLOSED')
    expect(target.take()).toEqual([])
    expect(log.disk.lastCheckpoint).toMatchObject({ owned: false, watermark: 3, spans: [] })
    const next = new TestTarget()
    await registry.findOrCreate('billing', 0n).acquire(termsOf(next)).ready
    await settled()
    expect(next.take()).toEqual(['3', '4'])
  })

  it('a target that throws an end with INTERNAL, and what it threw as the cause', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const thrown = new Error('That is a bug.')
    target.onDeliver = () => {
      throw thrown
    }
    await registry.findOrCreate('billing', 0n).acquire(termsOf(target)).ready
    await settled()
    expect(target.ends).toMatchObject([{ code: 'INTERNAL', cause: thrown }])
  })

  it('over what retention removed, and says how much that was', async () => {
    const log = new TestLog()
    log.publishCount(5)
    log.publishCount(5)
    log.removeBefore(7n)
    const { target, registry } = await taken(log)
    expect(target.take()).toEqual(range(7, 10))
    expect(registry.neededFrom).toBe(7n)
  })

  it('not again what was removed while it waited, though what the owner still has can be accepted', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { target, session, registry } = await taken(log)
    target.take()
    session.reject(2n, { delayMs: 1_000 })
    session.reject(8n, { delayMs: 1_000 })
    log.removeBefore(5n)
    await vi.advanceTimersByTimeAsync(1_000)
    await settled()
    expect(target.take()).toEqual(['8/2'])
    session.accept(7n)
    await settled()
    expect(registry.neededFrom).toBe(8n)
  })

  it('on past what is removed while it is being read', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const gate = new Deferred<void>()
    log.readGate = gate.promise
    await registry.findOrCreate('billing', 0n).acquire(termsOf(target)).ready
    await settled()
    log.removeBefore(3n)
    log.readGate = null
    gate.resolve()
    await settled()
    expect(target.take()).toEqual(['3', '4'])
  })
})
