import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { IdempotencyWindow, windowKey } from '../../ts/channel/idempotency-window.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the idempotency window', () => {
  it('remembers a key for two minutes', () => {
    const window = new IdempotencyWindow()
    const entry = window.remember('k')
    entry.messageId = 7n
    vi.advanceTimersByTime(119_999)
    expect(window.find('k')).toMatchObject({ messageId: 7n })
    vi.advanceTimersByTime(1)
    expect(window.find('k')).toBeUndefined()
    expect(window.size).toBe(0)
  })

  it('forgets in the order of coming, without being asked', () => {
    const window = new IdempotencyWindow({ windowMs: 1_000 })
    window.remember('first')
    vi.advanceTimersByTime(600)
    window.remember('second')
    vi.advanceTimersByTime(500)
    expect(window.size).toBe(1)
    expect(window.find('second')).toBeDefined()
    vi.advanceTimersByTime(600)
    expect(window.size).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('drops the oldest keys past its cap', () => {
    const window = new IdempotencyWindow({ maxKeys: 3 })
    for (const key of ['a', 'b', 'c', 'd', 'e']) window.remember(key)
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => window.find(key) !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
    expect(window.size).toBe(3)
  })

  it('stays right through many keys', () => {
    const window = new IdempotencyWindow({ windowMs: 1_000, maxKeys: 5_000 })
    for (let key = 0; key < 20_000; key++) window.remember(String(key))
    expect(window.size).toBe(5_000)
    expect(window.find('14999')).toBeUndefined()
    expect(window.find('15000')).toBeDefined()
    expect(window.find('19999')).toBeDefined()
    vi.advanceTimersByTime(1_000)
    expect(window.size).toBe(0)
  })

  it('leaves no timer when it is cleared', () => {
    const window = new IdempotencyWindow()
    window.remember('k')
    window.clear()
    expect(vi.getTimerCount()).toBe(0)
    expect(window.find('k')).toBeUndefined()
  })
})

describe('the key in the window', () => {
  const keyOf = (bytes: Uint8Array): string => windowKey(bytes, 0, bytes.length)

  it('tells all keys apart, also those that are no text', () => {
    const keys = [[], [0], [0, 0], [0xff], [0xc3, 0xbf], [0x80], [0x81]].map((bytes) => keyOf(Uint8Array.from(bytes)))
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('takes bounded memory for keys of any length, and still tells them apart', () => {
    const long = new Uint8Array(1_000_000)
    const other = new Uint8Array(1_000_000)
    other[999_999] = 1
    expect(keyOf(long).length).toBeLessThan(64)
    expect(keyOf(long)).not.toBe(keyOf(other))
    // Bytes that are the digest of another key are not that key.
    const digest = Buffer.from(keyOf(long).slice(1), 'latin1')
    expect(digest).toHaveLength(32)
    expect(keyOf(digest)).not.toBe(keyOf(long))
  })

  it('reads only its own bytes', () => {
    expect(windowKey(Buffer.from('xxkeyxx').subarray(1), 1, 3)).toBe('key')
  })
})
