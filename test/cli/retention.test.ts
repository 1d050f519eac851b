import { describe, expect, it } from 'vitest'
import { retained } from '../../ts/cli/retention.ts'

describe('what is to be kept of a channel', () => {
  it.each([
    ['a:age=250ms', { maxAgeMs: 250 }],
    ['a:age=30s', { maxAgeMs: 30_000 }],
    ['a:age=10m', { maxAgeMs: 600_000 }],
    ['a:age=12h', { maxAgeMs: 43_200_000 }],
    ['a:age=7d', { maxAgeMs: 604_800_000 }],
    ['a:bytes=1000', { maxBytes: 1_000 }],
    ['a:bytes=64K', { maxBytes: 65_536 }],
    ['a:bytes=1t', { maxBytes: 2 ** 40 }],
    ['a:count=1000000,past-cursors', { maxMessages: 1_000_000, pastCursors: true }],
    ['a:bytes=100m,age=1d,count=5', { maxBytes: 100 * 2 ** 20, maxAgeMs: 86_400_000, maxMessages: 5 }],
  ])('is said by %s', (text, retention) => {
    expect(retained(text, [])).toEqual([{ name: 'a', retention }])
  })

  it('is said of each channel once', () => {
    const both = retained('b:count=2', retained('a:count=1', []))
    expect(both.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(() => retained('a:age=1d', both)).toThrow("Say all of channel 'a' in one.")
  })
})
