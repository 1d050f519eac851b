import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { drawDelay, longestDelay } from '../../ts/backoff.ts'
import { Reconnection } from '../../ts/client/reconnection.ts'
import { LiminalError } from '../../ts/errors.ts'
import { failure } from './harness.ts'

const BACKOFF = { baseMs: 100, maxMs: 30_000, maxAttempts: Number.POSITIVE_INFINITY }
const REFUSED = new LiminalError('CONNECTION_FAILED', 'refused')

describe('the back-off', () => {
  it('doubles up to its cap', () => {
    const bounds = [1, 2, 3, 9, 10, 50, 5_000].map((attempt) => longestDelay(BACKOFF, attempt))
    expect(bounds).toEqual([100, 200, 400, 25_600, 30_000, 30_000, 30_000])
  })

  it('draws from nothing to the bound, never beyond', () => {
    expect(drawDelay(BACKOFF, 3, () => 0)).toBe(0)
    expect(drawDelay(BACKOFF, 3, () => 0.5)).toBe(200)
    for (let draw = 0; draw < 1_000; draw++) {
      const delay = drawDelay(BACKOFF, 20)
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThan(30_000)
    }
  })
})

describe('reconnecting', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('waits longer each time, and tells before each wait', async () => {
    const waits: [number, number][] = []
    let left = 4
    const reconnection = new Reconnection<string>(BACKOFF, {
      dial: async () => {
        if (--left > 0) throw REFUSED
        return 'a line'
      },
      waiting: (attempt, delayMs) => waits.push([attempt, delayMs]),
      random: () => 1,
    })
    const line = reconnection.run(new AbortController().signal)
    await vi.advanceTimersByTimeAsync(100 + 200 + 400 + 800)
    expect(await line).toBe('a line')
    expect(waits).toEqual([
      [1, 100],
      [2, 200],
      [3, 400],
      [4, 800],
    ])
  })

  it('starts counting again only after a connection that held', async () => {
    const attempts: number[] = []
    const reconnection = new Reconnection<string>(BACKOFF, {
      dial: async () => 'a line',
      waiting: (attempt) => attempts.push(attempt),
      random: () => 1,
    })
    const { signal } = new AbortController()
    for (const heldMs of [5, 5, 5, 60_000, 5]) {
      reconnection.connected()
      await vi.advanceTimersByTimeAsync(heldMs)
      const line = reconnection.run(signal)
      await vi.advanceTimersByTimeAsync(30_000)
      await line
    }
    expect(attempts).toEqual([1, 2, 3, 1, 2])
  })

  it('gives up after its attempts, with the last reason', async () => {
    const reconnection = new Reconnection<string>(
      { ...BACKOFF, maxAttempts: 3 },
      { dial: () => Promise.reject(REFUSED), waiting: () => {}, random: () => 1 },
    )
    const failed = failure(reconnection.run(new AbortController().signal), 'CONNECTION_FAILED')
    await vi.advanceTimersByTimeAsync(700)
    const error = await failed
    expect(error.message).toContain('3 attempts')
    expect(error.cause).toBe(REFUSED)
  })

  it('gives up only after failures in a row: a connection ends the row, however short it held', async () => {
    let dialled = 0
    const waits: number[] = []
    const reconnection = new Reconnection<string>(
      { ...BACKOFF, maxAttempts: 2 },
      {
        dial: async () => {
          dialled++
          if (dialled % 2 === 1) throw REFUSED
          return 'a line'
        },
        waiting: (_attempt, delayMs) => waits.push(delayMs),
        random: () => 1,
      },
    )
    const { signal } = new AbortController()
    for (let round = 0; round < 3; round++) {
      reconnection.connected()
      const line = reconnection.run(signal)
      await vi.advanceTimersByTimeAsync(60_000)
      expect(await line).toBe('a line')
    }
    expect(dialled).toBe(6)
    // The waits went on growing: no connection held.
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200])
  })

  it('does not try again what can only fail again', async () => {
    let dialled = 0
    const reconnection = new Reconnection<string>(BACKOFF, {
      dial: () => {
        dialled++
        return Promise.reject(new LiminalError('AuthenticationFailure', 'no'))
      },
      waiting: () => {},
      random: () => 0,
    })
    const failed = failure(reconnection.run(new AbortController().signal), 'AuthenticationFailure')
    await vi.advanceTimersByTimeAsync(0)
    await failed
    expect(dialled).toBe(1)
  })

  it('stops in the middle of a wait, and leaves no timer', async () => {
    const controller = new AbortController()
    const reconnection = new Reconnection<string>(BACKOFF, {
      dial: () => Promise.reject(REFUSED),
      waiting: () => {},
      random: () => 1,
    })
    const failed = failure(reconnection.run(controller.signal), 'ABORTED')
    controller.abort()
    await failed
    expect(vi.getTimerCount()).toBe(0)
  })
})
