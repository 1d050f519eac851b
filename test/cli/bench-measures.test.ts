import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram } from '../../ts/cli/bench/histogram.ts'
import { checkOf, latencyOf, passes, sizesOf } from '../../ts/cli/bench/report.ts'
import { LAST, RunClock, SAMPLE, SAMPLE_BYTES, SampleReader, SampleWriter } from '../../ts/cli/bench/sample.ts'
import { Tally } from '../../ts/cli/bench/tally.ts'

const PERFECT = { received: 10, duplicates: 0, outOfOrder: 0, corrupt: 0 }

describe('the histogram of a benchmark', () => {
  it('finds quantiles within 1.6 %, also over processes', () => {
    const values = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1 })
    fc.assert(
      fc.property(values, values, fc.double({ min: 0, max: 1, noNaN: true }), (first, second, share) => {
        const merged = new Histogram()
        for (const part of [first, second]) {
          const histogram = new Histogram()
          for (const value of part) histogram.record(value)
          merged.add(JSON.parse(JSON.stringify(histogram.toCounts())))
        }
        const sorted = [...first, ...second].sort((a, b) => a - b)
        const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]
        const found = merged.quantile(share) ?? Number.NaN
        expect(found).toBeGreaterThanOrEqual(exact)
        expect(found).toBeLessThanOrEqual(exact * (1 + 1 / 64) + 1)
      }),
    )
  })

  it('is exact for small values and never above the largest one', () => {
    const histogram = new Histogram()
    for (const value of [1, 2, 3, 1_000_000]) histogram.record(value)
    expect(histogram.quantile(0.5)).toBe(2)
    expect(histogram.quantile(1)).toBe(1_000_000)
    expect(histogram.total).toBe(4)
  })

  it('has no quantiles where nothing was recorded', () => {
    expect(new Histogram().quantile(0.5)).toBeNull()
    expect(latencyOf([])).toEqual({ p50: null, p99: null, max: null })
  })
})

describe('the tally of a benchmark', () => {
  it('passes when every message of every source came once and in order', () => {
    const tally = new Tally([3, 2])
    for (const [source, sequence] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [0, 2],
      [1, 1],
    ] as const) {
      tally.arrived(source, sequence)
    }
    expect(tally.counts()).toEqual({ received: 5, duplicates: 0, outOfOrder: 0, corrupt: 0 })
    expect(passes(checkOf([tally.counts()], 5))).toBe(true)
  })

  it('tells duplicates, late ones, strangers and lost ones apart', () => {
    const tally = new Tally([20])
    for (const sequence of [0, 1, 1, 9, 8, 20]) tally.arrived(0, sequence)
    tally.arrived(1, 0)
    tally.corrupt()
    expect(tally.counts()).toEqual({ received: 4, duplicates: 1, outOfOrder: 1, corrupt: 3 })
    expect(checkOf([tally.counts()], 20).lost).toBe(16)
  })

  it.each([
    ['lost', { received: 9 }],
    ['duplicated', { duplicates: 1 }],
    ['out of order', { outOfOrder: 1 }],
    ['corrupt', { corrupt: 1 }],
  ])('does not pass with one message %s', (_, counts) => {
    expect(passes(checkOf([PERFECT], 10))).toBe(true)
    expect(passes(checkOf([{ ...PERFECT, ...counts }], 10))).toBe(false)
  })

  it('spreads messages over sources without losing any', () => {
    expect(sizesOf(10, 3)).toEqual([4, 3, 3])
    expect(sizesOf(4, 4)).toEqual([1, 1, 1, 1])
  })
})

describe('the messages of a benchmark', () => {
  const clock = new RunClock(RunClock.epoch())

  it('say who sent them, which they are and when', () => {
    const before = clock.microseconds()
    const message = new SampleWriter(77, 3, 200, clock).next(5, LAST)
    const sample = new SampleReader(200).read(message)
    expect(message).toHaveLength(200)
    expect(sample).toMatchObject({ run: 77, source: 3, kind: LAST, sequence: 5 })
    expect(RunClock.between(before, sample?.sentAt ?? 0)).toBeLessThan(1_000_000)
  })

  it('are told from broken ones, whichever byte of the pattern is wrong', () => {
    const reader = new SampleReader(64)
    const message = new SampleWriter(1, 0, 64, clock).next(0, SAMPLE)
    expect(reader.read(message)).not.toBeNull()
    expect(reader.read(message.subarray(1))).toBeNull()
    for (let index = SAMPLE_BYTES; index < 64; index++) {
      const broken = Buffer.from(message)
      broken[index] ^= 1
      expect(reader.read(broken)).toBeNull()
    }
  })

  it('measure time across the end of the u32', () => {
    expect(RunClock.between(2 ** 32 - 10, 15)).toBe(25)
    expect(RunClock.between(15, 10)).toBe(0)
  })
})
