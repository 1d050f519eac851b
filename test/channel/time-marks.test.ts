import { describe, expect, it } from 'vitest'
import { TimeMarks } from '../../ts/channel/time-marks.ts'

describe('marks of time', () => {
  it('tell how far a stream is out of date', () => {
    const marks = new TimeMarks(1_000)
    marks.add(10n, 0)
    marks.add(20n, 500)
    expect(marks.passed(999)).toBeNull()
    expect(marks.passed(1_000)).toBe(10n)
    expect(marks.passed(1_499)).toBe(10n)
    expect(marks.passed(1_500)).toBe(20n)
  })

  it('forget what is gone', () => {
    const marks = new TimeMarks(1_000)
    marks.add(10n, 0)
    marks.add(20n, 500)
    marks.forget(10n)
    expect(marks.passed(1_499)).toBeNull()
    expect(marks.passed(1_500)).toBe(20n)
  })

  it('are few however many events there are, and never early', () => {
    const marks = new TimeMarks(6_400)
    for (let event = 1; event <= 10_000; event++) marks.add(BigInt(event), event)
    // Of the 3,600 events that are out of date at 10,000 at most one mark's are still kept.
    const passed = marks.passed(10_000) ?? 0n
    expect(passed).toBeLessThanOrEqual(3_600n)
    expect(passed).toBeGreaterThan(3_400n)
  })
})
