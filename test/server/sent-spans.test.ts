import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SentSpans } from '../../ts/server/sent-spans.ts'

describe('what was sent and not answered', () => {
  it('is taken up to a delivery, in the order in which it was sent', () => {
    const sent = new SentSpans()
    sent.sent(11, 5, 0)
    sent.sent(16, 5, 0)
    sent.sent(100, 2, 0)
    expect(sent.takeThrough(13, 0)).toEqual([{ sequence: 11, count: 3, flags: 0, answered: false, taken: false }])
    expect(sent.outstanding).toBe(9)
    // Taken already, never sent, and sent with other flags.
    for (const [sequence, flags] of [
      [13, 0],
      [50, 0],
      [14, 1],
    ])
      expect(sent.takeThrough(sequence, flags)).toEqual([])
    expect(sent.takeThrough(100, 0).map(({ sequence, count }) => [sequence, count])).toEqual([
      [14, 7],
      [100, 1],
    ])
    expect(sent.outstanding).toBe(1)
  })

  it('tells a delivery that was sent again from its first attempt', () => {
    const sent = new SentSpans()
    sent.sent(11, 3, 0)
    sent.sent(11, 1, 1)
    expect(sent.takeThrough(11, 0).map(({ sequence }) => sequence)).toEqual([11])
    expect(sent.has(11, 0)).toBe(false)
    expect(sent.has(11, 1)).toBe(true)
    expect(sent.takeThrough(11, 1).map(({ sequence, flags }) => [sequence, flags])).toEqual([
      [12, 0],
      [11, 1],
    ])
    expect(sent.outstanding).toBe(0)
  })

  it('makes room for what was handed back, and is still found by what is accepted up to it', () => {
    const sent = new SentSpans()
    sent.sent(1, 5, 0)
    expect(sent.takeOne(5, 0, true)).toBe(true)
    expect(sent.takeOne(5, 0, true)).toBe(false)
    expect(sent.takeOne(3, 0, true)).toBe(true)
    expect(sent.outstanding).toBe(3)
    expect(sent.takeThrough(5, 0).map(({ sequence, count }) => [sequence, count])).toEqual([
      [1, 2],
      [4, 1],
    ])
    expect(sent.outstanding).toBe(0)
  })

  it('is taken in hand in the same order, however it is told', () => {
    const sent = new SentSpans()
    sent.sent(11, 4, 0)
    sent.sent(15, 2, 1)
    const newly = (sequence: number, flags: number): string[] =>
      sent.taken(sequence, flags).map((span) => `${span.sequence}+${span.count}.${span.flags}`)
    expect(newly(12, 0)).toEqual(['11+2.0'])
    expect(newly(12, 0)).toEqual([])
    expect(newly(11, 0)).toEqual([])
    expect(newly(13, 0)).toEqual(['13+1.0'])
    sent.takeOne(14, 0, true)
    sent.sent(17, 1, 1)
    expect(newly(15, 1)).toEqual(['15+1.1'])
    expect(newly(14, 0)).toEqual([])
    expect(newly(99, 0)).toEqual([])
    expect(sent.outstanding).toBe(6)
    expect(newly(17, 1)).toEqual(['16+2.1'])
    expect(sent.takeThrough(17, 1).map(({ sequence, count }) => [sequence, count])).toEqual([
      [11, 3],
      [15, 3],
    ])
  })

  it('costs a span and not one for each that is taken', () => {
    const sent = new SentSpans()
    sent.sent(1, 10_000, 0)
    for (let sequence = 1; sequence <= 9_999; sequence++) expect(sent.taken(sequence, 0)).toHaveLength(1)
    expect(sent.takeThrough(10_000, 0)).toHaveLength(2)
  })

  it('remembers only so much of what was handed back behind one that is never answered', () => {
    const sent = new SentSpans()
    sent.sent(1, 1, 0)
    for (let attempt = 0; attempt < 20_000; attempt++) {
      sent.sent(2 + (attempt % 2), 1, attempt % 250)
      sent.takeOne(2 + (attempt % 2), attempt % 250, true)
    }
    expect(sent.outstanding).toBe(1)
    expect(sent.takeThrough(1, 0)).toHaveLength(1)
  })

  it('counts as a plain list of deliveries does', () => {
    const step = fc.oneof(
      fc.record({
        is: fc.constant('sent' as const),
        skip: fc.integer({ min: 0, max: 3 }),
        count: fc.integer({ min: 1, max: 5 }),
      }),
      fc.record({ is: fc.constant('through' as const), at: fc.nat(60) }),
      fc.record({ is: fc.constant('one' as const), at: fc.nat(60), keep: fc.boolean() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const sent = new SentSpans()
        let list: number[] = []
        let next = 1
        for (const each of steps) {
          if (each.is === 'sent') {
            next += each.skip
            sent.sent(next, each.count, 0)
            for (let left = each.count; left > 0; left--) list.push(next++)
          } else if (each.is === 'one') {
            expect(sent.takeOne(each.at, 0, each.keep)).toBe(list.includes(each.at))
            list = list.filter((sequence) => sequence !== each.at)
          } else if (list.includes(each.at)) {
            const taken = sent
              .takeThrough(each.at, 0)
              .flatMap((span) => Array.from({ length: span.count }, (_, index) => span.sequence + index))
            expect(taken).toEqual(list.filter((sequence) => sequence <= each.at))
            list = list.filter((sequence) => sequence > each.at)
          }
          expect(sent.outstanding).toBe(list.length)
        }
      }),
    )
  })
})
