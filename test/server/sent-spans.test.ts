import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SentSpans } from '../../ts/server/sent-spans.ts'

describe('what was sent and not answered', () => {
  it('is taken up to a delivery, in the order in which it was sent', () => {
    const sent = new SentSpans()
    sent.sent(11, 5, 0)
    sent.sent(16, 5, 0)
    sent.sent(100, 2, 0)
    expect(sent.takeThrough(13, 0)).toEqual([{ sequence: 11, count: 3, flags: 0 }])
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
    const sent = new SentSpans(true)
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
    expect(newly(15, 1)).toEqual(['14+1.0', '15+1.1'])
    expect(newly(14, 0)).toEqual([])
    expect(newly(99, 0)).toEqual([])
    expect(sent.outstanding).toBe(6)
    expect(newly(17, 1)).toEqual(['16+2.1'])
    expect(sent.takeThrough(17, 1).map(({ sequence, count }) => [sequence, count])).toEqual([
      [11, 3],
      [15, 3],
    ])
  })

  it('is told by none that is not there, and not by who does not say what it takes', () => {
    const sent = new SentSpans()
    sent.sent(1, 5, 0)
    expect(sent.taken(3, 0)).toEqual([])
    const told = new SentSpans(true)
    told.sent(1, 5, 0)
    for (const [sequence, flags] of [
      [0, 0],
      [6, 0],
      [3, 1],
    ])
      expect(told.taken(sequence, flags)).toEqual([])
  })

  it('is found in few steps among any number of others, and where it is not', () => {
    const sent = new SentSpans(true)
    const total = 65_536
    for (let sequence = 1; sequence <= total; sequence++) sent.sent(sequence * 2, 1, 0)
    for (let answer = 0; answer < 200_000; answer++) expect(sent.takeOne(answer * 2 + 1, 0, false)).toBe(false)
    for (let sequence = total; sequence > 0; sequence--) sent.takeOne(sequence * 2, 0, false)
    expect(sent.outstanding).toBe(0)
  })

  it('takes the place of what was sent before where flags cannot tell them apart', () => {
    const sent = new SentSpans()
    for (let position = 1; position <= 4; position++) sent.sent(position, 1, 255)
    sent.takeOne(3, 255, true)
    sent.sent(2, 2, 255)
    expect(sent.outstanding).toBe(4)
    expect(sent.takeThrough(4, 255).map(({ sequence, count }) => [sequence, count])).toEqual([
      [1, 1],
      [4, 1],
    ])
    expect(sent.takeThrough(3, 255).map(({ sequence, count }) => [sequence, count])).toEqual([[2, 2]])
    expect(sent.outstanding).toBe(0)
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

  it('counts as a plain list does, also of what is sent again, taken and handed back', () => {
    const step = fc.record({
      is: fc.constantFrom('sent', 'again', 'one', 'handed back', 'taken', 'through'),
      count: fc.integer({ min: 1, max: 4 }),
      pick: fc.nat(1_000),
    })
    interface Listed {
      readonly sequence: number
      readonly flags: number
      answered: boolean
    }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const sent = new SentSpans(true)
        const flat = (spans: readonly { sequence: number; count: number; flags: number }[]): string[] =>
          spans.flatMap(({ sequence, count, flags }) =>
            Array.from({ length: count }, (_, index) => `${sequence + index}.${flags}`),
          )
        const named = (listed: readonly Listed[]): string[] =>
          listed.map(({ sequence, flags }) => `${sequence}.${flags}`)
        let list: Listed[] = []
        let untaken: Listed[] = []
        const attempts = new Map<number, number>()
        let next = 1
        for (const { is, count, pick } of steps) {
          const one = list[pick % Math.max(1, list.length)]
          if (is === 'sent') {
            if (pick % 5 === 0) next++
            sent.sent(next, count, 0)
            for (let left = count; left > 0; left--) list.push({ sequence: next++, flags: 0, answered: false })
            untaken.push(...list.slice(-count))
          } else if (one === undefined) {
            expect(flat(sent.taken(pick, 0))).toEqual([])
          } else if (is === 'again') {
            const { sequence } = one
            const flags = (attempts.get(sequence) ?? 0) + 1
            attempts.set(sequence, flags)
            sent.sent(sequence, 1, flags)
            list.push({ sequence, flags, answered: false })
            untaken.push(...list.slice(-1))
          } else {
            // Every answer says that the delivery is taken.
            const through = untaken.indexOf(one)
            expect(flat(sent.taken(one.sequence, one.flags))).toEqual(named(untaken.slice(0, through + 1)))
            untaken = untaken.slice(through + 1)
            if (is === 'through') {
              const before = list.slice(0, list.indexOf(one) + 1).filter(({ answered }) => !answered)
              expect(flat(sent.takeThrough(one.sequence, one.flags))).toEqual(named(before))
              list = list.slice(list.indexOf(one) + 1)
            } else if (is !== 'taken') {
              expect(sent.takeOne(one.sequence, one.flags, is === 'handed back')).toBe(!one.answered)
              if (is === 'one' && !one.answered) list = list.filter((other) => other !== one)
              one.answered = true
            }
            // What was handed back is forgotten where nothing waits for an answer.
            if (list.every(({ answered }) => answered)) list = []
          }
          expect(sent.outstanding).toBe(list.filter(({ answered }) => !answered).length)
        }
      }),
      { numRuns: 300 },
    )
  })
})
