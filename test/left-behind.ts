import { afterAll, expect, vi } from 'vitest'

// For files that share a process: the next one begins with real timers and without spies, and the one that left its timers faked fails.
afterAll(() => {
  const isFaked = vi.isFakeTimers()
  vi.useRealTimers()
  vi.restoreAllMocks()
  expect(isFaked, 'This file has left its timers faked.').toBe(false)
})
