import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import {
  CURSOR_ACQUIRED,
  CURSOR_FENCED,
  CURSOR_OWNER_FAILED,
  CURSOR_SKIPPED,
  CursorRegistry,
  type CursorSession,
} from '../../../ts/channel/cursor/index.ts'
import { Deferred } from '../../../ts/deferred.ts'
import { LiminalError } from '../../../ts/errors.ts'
import { range, settled, storeFailed, TestLog, TestTarget, taken, termsOf } from './support.ts'

const closed = (): LiminalError => new LiminalError('CLOSED', 'The bus was closed.')

async function takenAgain(
  registry: CursorRegistry,
  name = 'billing',
): Promise<{ target: TestTarget; session: CursorSession }> {
  const target = new TestTarget()
  const session = registry.get(name).acquire(termsOf(target))
  await session.ready
  await settled()
  return { target, session }
}

describe('a newer owner', () => {
  it('fences the older one at once, and gets everything that was not accepted, with a higher attempt', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, target, session } = await taken(log)
    session.accept(1n)
    const next = new TestTarget()
    registry.get('billing').acquire(termsOf(next))
    expect(target.fences.map(({ code }) => code)).toEqual(['CURSOR_FENCED'])
    expect(target.ends).toEqual([])
    await settled()
    expect(next.take()).toEqual(range(2, 5, 2))
  })

  it('leaves the older one without a voice', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, target, session } = await taken(log)
    target.take()
    const second = await takenAgain(registry)
    session.accept(4n)
    session.acceptOne(0n)
    session.reject(1n)
    session.extend(2n)
    await expect(session.checkpoint()).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    await session.close()
    log.publishCount(1)
    await settled()
    expect(registry.neededFrom).toBe(0n)
    expect(registry.get('billing').status.owned).toBe(true)
    expect(target.take()).toEqual([])
    expect(second.target.take()).toEqual([...range(0, 5, 2), '5'])
  })

  it('raises the epoch, also over restarts', async () => {
    let log = new TestLog()
    const { registry, session } = await taken(log)
    const second = await takenAgain(registry)
    log = log.crash()
    const third = await takenAgain(await CursorRegistry.open(log))
    expect([session.epoch, second.session.epoch, third.session.epoch]).toEqual([1n, 2n, 3n])
  })

  it('may be the older one itself, which subscribes again while it is told', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { registry, target } = await taken(log)
    target.take()
    let back: CursorSession | null = null
    const stubborn = new TestTarget()
    const first = registry.get('billing').acquire({
      ...termsOf(stubborn),
      fenced: () => {
        back = registry.get('billing').acquire(termsOf(target))
      },
    })
    await first.ready
    await settled()
    const loser = new TestTarget()
    const lost = registry.get('billing').acquire(termsOf(loser))
    await expect(lost.ready).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    await settled()
    expect(back).not.toBeNull()
    expect(loser.take()).toEqual([])
    expect(loser.fences).toHaveLength(1)
    expect(target.take()).toEqual(['0/3', '1/3'])
  })

  it('is fenced before it was ready: nothing is delivered to it', async () => {
    const log = new TestLog()
    log.publishCount(1)
    const gate = new Deferred<void>()
    const registry = await CursorRegistry.open(log)
    log.disk.gate = gate.promise
    const first = new TestTarget()
    const session = registry.findOrCreate('billing', 0n).acquire(termsOf(first))
    const second = new TestTarget()
    registry.get('billing').acquire(termsOf(second))
    gate.resolve()
    await expect(session.ready).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    await settled()
    expect([first.take(), second.take()]).toEqual([[], ['0']])
  })

  it('does not get as an attempt what was only prepared for the older one', async () => {
    const log = new TestLog()
    log.publishCount(2)
    const { registry, target, session } = await taken(log)
    target.take()
    const gate = new Deferred<void>()
    log.disk.gate = gate.promise
    session.reject(0n)
    await settled()
    const second = new TestTarget()
    registry.get('billing').acquire(termsOf(second))
    gate.resolve()
    await settled()
    expect(target.take()).toEqual([])
    expect(second.take()).toEqual(['0/2', '1/2'])
  })

  it('is not harmed by one that throws while it is fenced', async () => {
    const said: unknown[] = []
    const listen = (message: unknown): void => {
      said.push(message)
    }
    subscribe(CURSOR_OWNER_FAILED, listen)
    const log = new TestLog()
    log.publishCount(1)
    const registry = await CursorRegistry.open(log)
    const thrown = new Error('That is a bug.')
    const fenced = (): void => {
      throw thrown
    }
    registry.findOrCreate('billing', 0n).acquire({ ...termsOf(new TestTarget()), fenced })
    const { target } = await takenAgain(registry)
    unsubscribe(CURSOR_OWNER_FAILED, listen)
    expect(target.take()).toEqual(['0'])
    expect(said).toMatchObject([{ cursor: 'billing', error: { cause: thrown } }])
  })

  it('and the one that it fenced are said on diagnostics channels', async () => {
    const said: [unknown, unknown][] = []
    const listen = (message: unknown, name: unknown): void => {
      said.push([name, message])
    }
    const log = new TestLog()
    log.publishCount(2)
    const { registry, session } = await taken(log)
    session.accept(0n)
    subscribe(CURSOR_ACQUIRED, listen)
    subscribe(CURSOR_FENCED, listen)
    await takenAgain(registry)
    unsubscribe(CURSOR_ACQUIRED, listen)
    unsubscribe(CURSOR_FENCED, listen)
    const named = { channel: 'orders', cursor: 'billing', position: 1n }
    expect(said).toEqual([
      [CURSOR_ACQUIRED, { ...named, epoch: 2n }],
      [CURSOR_FENCED, { ...named, epoch: 1n }],
    ])
  })
})

describe('an owner that leaves', () => {
  it.each([{ checkpoint: 'message' }, { checkpoint: { every: 100 } }] as const)(
    'has what it accepted written down ($checkpoint)',
    async (terms) => {
      const log = new TestLog()
      log.publishCount(5)
      const { session } = await taken(log, terms)
      session.accept(2n)
      await session.close()
      expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 3, owned: false })
      expect(session.close()).toBe(session.close())
      const { target } = await takenAgain(await CursorRegistry.open(log))
      expect(target.take()).toEqual(['3/2', '4/2'])
    },
  )

  it('is told if that fails, and it is tried again', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { session, registry } = await taken(log)
    log.disk.failures.push(storeFailed())
    session.accept(2n)
    await expect(session.close()).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await registry.close(closed())
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 3 })
  })

  it('gets nothing more, and listens to nothing', async () => {
    const log = new TestLog()
    const { session, target } = await taken(log)
    await session.close()
    log.publishCount(1)
    await settled()
    expect([target.take(), log.listeners]).toEqual([[], 0])
  })
})

describe('the cursors of a channel', () => {
  it('are independent of each other, and of those of other channels with similar names', async () => {
    const log = new TestLog()
    log.publishCount(3)
    await log.disk.plant('orders2', 'billing', new Uint8Array(1))
    const { registry, session } = await taken(log)
    session.accept(2n)
    const shipping = new TestTarget()
    await registry.findOrCreate('shipping', 1n).acquire(termsOf(shipping)).ready
    await settled()
    expect(shipping.take()).toEqual(['1', '2'])
    expect((await CursorRegistry.open(log)).cursors.map(({ name }) => name)).toEqual(['billing', 'shipping'])
  })

  it('say how far they were written down, how far they are behind, and whether they are owned', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, session } = await taken(log, { checkpoint: 'explicit' })
    session.accept(1n)
    await session.checkpoint()
    session.accept(3n)
    const status = { channel: 'orders', name: 'billing', position: 2n, lag: 3n }
    expect(registry.get('billing').status).toEqual({ ...status, owned: true })
    await session.close()
    expect(registry.get('billing').status).toEqual({ ...status, owned: false })
    log.removeBefore(4n)
    expect(registry.get('billing').status).toEqual({ ...status, lag: 1n, owned: false })
  })

  it('say what the log is still needed for', async () => {
    const log = new TestLog()
    log.publishCount(9)
    const registry = await CursorRegistry.open(log)
    expect(registry.neededFrom).toBeNull()
    registry.findOrCreate('a', 7n)
    registry.findOrCreate('b', 4n)
    expect(registry.neededFrom).toBe(4n)
  })

  it('are no more than the channel takes', async () => {
    const log = new TestLog()
    const registry = await CursorRegistry.open(log, { maxCursors: 2 })
    registry.findOrCreate('a', 0n)
    registry.findOrCreate('b', 0n)
    registry.findOrCreate('a', 0n)
    expect(() => registry.findOrCreate('c', 0n)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
    await registry.remove('a')
    registry.findOrCreate('c', 0n)
  })

  it('are all found again, however many pages their keys take', async () => {
    const log = new TestLog()
    const registry = await CursorRegistry.open(log, { maxCursors: 3_000 })
    const names = Array.from({ length: 2_100 }, (_, index) => `cursor ${String(index).padStart(4, '0')}`)
    for (const name of names) await registry.set(name, 0n)
    expect((await CursorRegistry.open(log)).cursors.map(({ name }) => name)).toEqual(names)
  })

  it.each(['', 'a\u0000b', '\ud800', 'x'.repeat(256)])('have names that are fit (%j is not)', async (name) => {
    const registry = await CursorRegistry.open(new TestLog())
    expect(() => registry.findOrCreate(name, 0n)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  it.each([
    { maxInFlight: 0 },
    { leaseMs: 0 },
    { leaseMs: 2 ** 31 },
    { maxAttempts: 0, deadLetter: () => Promise.resolve() },
    { maxAttempts: 3 },
    { checkpoint: { every: 0 } },
    { checkpoint: { every: 1, withinMs: 0 } },
  ])('refuse terms that cannot be kept: %j', async (terms) => {
    const registry = await CursorRegistry.open(new TestLog())
    const acquire = (): CursorSession => registry.findOrCreate('billing', 0n).acquire(termsOf(new TestTarget(), terms))
    expect(acquire).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  it('that were never made are not found', async () => {
    const registry = await CursorRegistry.open(new TestLog())
    expect(() => registry.get('billing')).toThrow(expect.objectContaining({ code: 'CURSOR_NOT_FOUND' }))
    await expect(registry.remove('billing')).rejects.toMatchObject({ code: 'CURSOR_NOT_FOUND' })
  })

  it('end with the channel: their targets are told, and what they accepted is written down', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, target, session } = await taken(log, { checkpoint: { every: 100 } })
    session.accept(1n)
    await registry.close(closed())
    await registry.close(closed())
    expect(target.ends.map(({ code }) => code)).toEqual(['CLOSED'])
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 2, owned: false })
    expect(() => registry.findOrCreate('billing', 0n)).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })

  it('say when their last checkpoint fails', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry } = await taken(log)
    log.disk.failures.push(storeFailed())
    await expect(registry.close(closed())).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })
})

describe('an operator', () => {
  it('moves a cursor: its owner is fenced, and what comes is the first attempt', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, target, session } = await taken(log)
    session.accept(4n)
    target.take()
    await registry.set('billing', 3n)
    expect(target.fences.map(({ code }) => code)).toEqual(['CURSOR_FENCED'])
    expect(log.disk.lastCheckpoint).toMatchObject({ watermark: 3, owned: false, spans: [] })
    expect((await takenAgain(registry)).target.take()).toEqual(['3', '4'])
  })

  it('moves a cursor no further than its log reaches', async () => {
    const log = new TestLog()
    log.publishCount(5)
    log.removeBefore(2n)
    const registry = await CursorRegistry.open(log)
    expect((await registry.set('a', 0n)).status.position).toBe(2n)
    expect((await registry.set('a', 2n ** 64n - 1n)).status.position).toBe(5n)
  })

  it('whose move fenced an owner that takes the cursor back at once, has moved it for that one', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const registry = await CursorRegistry.open(log)
    const target = new TestTarget()
    const fenced = (): void => {
      registry.get('billing').acquire(termsOf(target))
    }
    await registry.findOrCreate('billing', 0n).acquire({ ...termsOf(target), fenced }).ready
    await settled()
    target.take()
    await registry.set('billing', 4n)
    await settled()
    expect(target.take()).toEqual(['4'])
  })

  it('removes a cursor: its owner is fenced, and nothing is left', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, target, session } = await taken(log)
    const cursor = registry.get('billing')
    session.accept(1n)
    await registry.remove('billing')
    await settled()
    expect(target.fences).toHaveLength(1)
    expect(await log.disk.get({ kind: 'cursor', parts: ['orders', 'billing'] })).toBeNull()
    expect(() => cursor.acquire(termsOf(new TestTarget()))).toThrow(
      expect.objectContaining({ code: 'CURSOR_NOT_FOUND' }),
    )
    expect(registry.findOrCreate('billing', 5n)).not.toBe(cursor)
  })

  it('keeps a cursor that could not be removed', async () => {
    const log = new TestLog()
    log.publishCount(5)
    const { registry, session } = await taken(log)
    session.accept(1n)
    await settled()
    log.disk.failures.push(storeFailed())
    await expect(registry.remove('billing')).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect((await takenAgain(registry)).target.take()).toEqual(range(2, 5, 2))
  })

  it('finds that a damaged cursor keeps the log and fails alone, and sets it right', async () => {
    const log = new TestLog()
    log.publishCount(5)
    await log.disk.plant('orders', 'shipping', new Uint8Array(1))
    const registry = await CursorRegistry.open(log)
    registry.findOrCreate('billing', 5n)
    expect(() => registry.get('shipping')).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }))
    expect(registry.neededFrom).toBe(0n)
    await registry.set('shipping', 2n)
    expect(registry.neededFrom).toBe(2n)
    expect((await CursorRegistry.open(log)).get('shipping').status.position).toBe(2n)
  })
})

describe('a log that changed without its cursor', () => {
  it('and lost its end, does not make it miss what takes the place of that', async () => {
    const log = new TestLog()
    log.publishCount(10)
    const { session } = await taken(log)
    session.accept(6n)
    session.acceptOne(8n)
    await session.checkpoint()
    const shorter = new TestLog(log.disk)
    shorter.publishCount(4)
    const { target } = await takenAgain(await CursorRegistry.open(shorter))
    shorter.publishCount(8)
    await settled()
    expect(target.take()).toEqual(range(4, 12))
  })

  it('and lost its beginning, is passed over, and how much that was is said', async () => {
    const said: unknown[] = []
    const listen = (message: unknown): void => {
      said.push(message)
    }
    subscribe(CURSOR_SKIPPED, listen)
    const log = new TestLog()
    log.publishCount(10)
    const { session } = await taken(log, { maxInFlight: 5 })
    session.acceptOne(1n)
    await session.close()
    log.removeBefore(8n)
    const { target } = await takenAgain(await CursorRegistry.open(log))
    unsubscribe(CURSOR_SKIPPED, listen)
    expect(target.take()).toEqual(['8', '9'])
    // 0 to 7, without 1, which was accepted.
    expect(said).toEqual([{ channel: 'orders', cursor: 'billing', position: 8n, count: 7 }])
  })
})
