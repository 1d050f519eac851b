import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Congestion } from '../../ts/pressure/index.ts'

const limits = { highWater: 100, lowWater: 20, holdMs: 1_000, stallMs: 100 }

/** Whether a hold has been released, observed without waiting for it. */
function watch(hold: Promise<void> | null): { released: boolean } {
  const seen = { released: false }
  void hold?.then(() => {
    seen.released = true
  })
  return seen
}

describe('Congestion', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('holds nobody up to the high-water mark', () => {
    const congestion = new Congestion(limits)
    congestion.update(100)
    expect(congestion.hold()).toBeNull()
  })

  it('holds above the high-water mark until the level falls to the low-water mark', async () => {
    const congestion = new Congestion(limits)
    congestion.update(101)
    const hold = watch(congestion.hold())
    congestion.update(21)
    await vi.advanceTimersByTimeAsync(0)
    expect(hold.released).toBe(false)
    expect(congestion.hold()).not.toBeNull()
    congestion.update(20)
    await vi.advanceTimersByTimeAsync(0)
    expect(hold.released).toBe(true)
    expect(congestion.hold()).toBeNull()
  })

  it('gives every producer of one episode the same hold', () => {
    const congestion = new Congestion(limits)
    congestion.update(500)
    expect(congestion.hold()).toBe(congestion.hold())
  })

  it('stops holding when nothing moves for the stall time', async () => {
    const congestion = new Congestion(limits)
    congestion.update(200)
    const hold = watch(congestion.hold())
    await vi.advanceTimersByTimeAsync(99)
    expect(hold.released).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(hold.released).toBe(true)
    expect(congestion.hold()).toBeNull()
  })

  it('goes on holding while the queue moves, but not beyond the hold time', async () => {
    const congestion = new Congestion(limits)
    let level = 10_000
    congestion.update(level)
    const hold = watch(congestion.hold())
    for (let elapsed = 50; elapsed < 1_000; elapsed += 50) {
      await vi.advanceTimersByTimeAsync(50)
      congestion.update(--level)
    }
    expect(hold.released).toBe(false)
    await vi.advanceTimersByTimeAsync(50)
    expect(hold.released).toBe(true)
  })

  it('does not hold for a stalled queue again before it has caught up', async () => {
    const congestion = new Congestion(limits)
    congestion.update(200)
    await vi.advanceTimersByTimeAsync(100)
    congestion.update(300)
    expect(congestion.hold()).toBeNull()
    congestion.update(20)
    congestion.update(200)
    expect(congestion.hold()).not.toBeNull()
  })

  it('releases everybody and leaves no timer when closed', async () => {
    const congestion = new Congestion(limits)
    congestion.update(200)
    const hold = watch(congestion.hold())
    congestion.close()
    await vi.advanceTimersByTimeAsync(0)
    expect(hold.released).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('sets no timer for limits without end', () => {
    const congestion = new Congestion({
      ...limits,
      holdMs: Number.POSITIVE_INFINITY,
      stallMs: Number.POSITIVE_INFINITY,
    })
    congestion.update(200)
    expect(congestion.hold()).not.toBeNull()
    expect(vi.getTimerCount()).toBe(0)
  })
})
