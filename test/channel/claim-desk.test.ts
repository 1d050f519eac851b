import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { coreOf, createBus } from '../../ts/bus/index.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the idempotency keys of a running bus', () => {
  it('are forgotten by its own timer when their time is over, and their memory is given back', async () => {
    const bus = await createBus({ idempotency: { windowMs: 10_000 } })
    const claims = coreOf(bus)?.channels.claims
    if (claims === undefined) throw new Error('The bus is not in this process.')
    const channel = bus.channel<number>('orders')
    const empty = claims.bytes
    for (let key = 0; key < 5_000; key++) channel.send(key, { idempotencyKey: `key-${key}` })
    expect(claims.size).toBe(5_000)
    const full = claims.bytes
    await vi.advanceTimersByTimeAsync(5_000)
    channel.send(0, { idempotencyKey: 'key-late' })
    expect(claims.size).toBe(5_001)
    await vi.advanceTimersByTimeAsync(9_000)
    expect(claims.size).toBe(1)
    expect(claims.bytes - empty).toBeLessThan((full - empty) / 10)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([claims.size, vi.getTimerCount()]).toEqual([0, 0])
    // It begins again with the next key.
    channel.send(0, { idempotencyKey: 'key-0' })
    expect([claims.size, vi.getTimerCount()]).toEqual([1, 1])
    await bus.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})
