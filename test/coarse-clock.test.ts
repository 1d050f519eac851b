import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CoarseClock } from '../ts/coarse-clock.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** Milliseconds until a deadline of `ms` is over, on a clock that is asked `startedMs` after it started. */
function elapsed(spanMs: number, ms: number | undefined, startedMs: number): number {
  let due = Number.POSITIVE_INFINITY
  let firedAt = 0
  const clock = new CoarseClock(spanMs, (tick) => {
    if (tick >= due && firedAt === 0) firedAt = performance.now()
    return firedAt === 0
  })
  clock.deadline(ms)
  vi.advanceTimersByTime(startedMs)
  const askedAt = performance.now()
  due = clock.deadline(ms)
  while (firedAt === 0) vi.advanceTimersByTime(1)
  return firedAt - askedAt
}

describe('the coarse clock', () => {
  it('is never early, and late by two ticks at most', () => {
    for (const spanMs of [1, 2, 15, 16, 17, 20, 31, 33, 100, 1_000, 5_000]) {
      for (const ms of [undefined, 1, 30, 1_000, 5_000]) {
        for (const startedMs of [0, 1, 7]) {
          const wanted = ms ?? spanMs
          const tickMs = Math.max(1, Math.ceil(spanMs / 16))
          const took = elapsed(spanMs, ms, startedMs)
          expect(took, `${ms} ms of ${spanMs}, asked after ${startedMs}`).toBeGreaterThanOrEqual(wanted)
          expect(took, `${ms} ms of ${spanMs}, asked after ${startedMs}`).toBeLessThanOrEqual(wanted + 2 * tickMs)
        }
      }
    }
  })

  it('stands still while nobody waits, and goes on for whoever comes while it stops', () => {
    const ticks: number[] = []
    let due = 0
    const clock = new CoarseClock(160, (tick) => {
      ticks.push(tick)
      if (ticks.length === 1) due = clock.deadline(30)
      // As far as was known when this was called.
      return false
    })
    clock.deadline()
    vi.advanceTimersByTime(10)
    expect(ticks).toEqual([1])
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(10)
    expect(ticks).toEqual([1, 2])
    expect(due).toBe(5)
    expect(vi.getTimerCount()).toBe(0)
  })
})
