import { describe, expect, it } from 'vitest'
import { MessageRing, NOTHING, sequenceOf, Tally } from '../source/measure/message.ts'

const RUN = 77
const SIZE = 32

function tallyOf(stride = 1_000) {
  const marks: number[] = []
  const finished: number[] = []
  const tally = new Tally({
    run: RUN,
    size: SIZE,
    stride,
    reached: (mark) => marks.push(mark),
    finished: (next) => finished.push(next),
  })
  const ring = new MessageRing(RUN, SIZE, 64)
  const take = (sequence: number, final = false) => tally.take(ring.message(sequence, final), 0, SIZE)
  return { tally, take, marks, finished }
}

describe('a tally of messages', () => {
  it('finds nothing wrong with a whole sequence, over two phases', () => {
    const { tally, take, finished } = tallyOf()
    for (let sequence = 0; sequence < 200; sequence++) take(sequence, sequence === 99 || sequence === 199)
    expect(tally.check()).toEqual({ ...NOTHING, received: 200 })
    expect(finished).toEqual([100, 200])
  })

  it('counts what is missing as lost', () => {
    const { tally, take } = tallyOf()
    for (const sequence of [0, 1, 4]) take(sequence)
    expect(tally.check()).toEqual({ ...NOTHING, received: 3, lost: 2 })
  })

  it('counts what comes late as out of order, not as lost', () => {
    const { tally, take } = tallyOf()
    for (const sequence of [0, 2, 1, 3]) take(sequence)
    expect(tally.check()).toEqual({ ...NOTHING, received: 4, outOfOrder: 1 })
  })

  it('counts what comes twice, also after it was late', () => {
    const { tally, take } = tallyOf()
    for (const sequence of [0, 0, 2, 1, 1]) take(sequence)
    expect(tally.check()).toEqual({ ...NOTHING, received: 3, outOfOrder: 1, duplicates: 2 })
  })

  it.each<[string, (message: Buffer) => Buffer]>([
    ['of another run', (message) => Buffer.from(message).fill(9, 0, 4)],
    ['that was cut', (message) => message.subarray(0, SIZE - 4)],
    ['whose end is from another one', (message) => Buffer.from(message).fill(9, SIZE - 4)],
    ['that jumps further than anybody skips', () => new MessageRing(RUN, SIZE, 2).message(99_999_999, false)],
  ])('counts a message %s as corrupt', (_what, change) => {
    const { tally, take } = tallyOf()
    take(0)
    const changed = change(new MessageRing(RUN, SIZE, 2).message(1, false))
    tally.take(changed, 0, changed.length)
    expect(tally.check()).toEqual({ ...NOTHING, received: 1, corrupt: 1 })
  })

  it('reports every mark once, also those that a gap or the last message of a phase jumps over', () => {
    const { take, marks } = tallyOf(4)
    for (const sequence of [0, 1, 2]) take(sequence)
    expect(marks).toEqual([])
    take(3, true)
    take(12)
    expect(marks).toEqual([4, 8, 12])
  })

  it('reads a message that lies within a chunk', () => {
    const { tally } = tallyOf()
    const chunk = Buffer.concat([Buffer.alloc(5, 0xff), new MessageRing(RUN, SIZE, 2).message(0, false)])
    tally.take(chunk, 5, SIZE)
    expect(tally.check()).toEqual({ ...NOTHING, received: 1 })
  })
})

describe('a ring of messages', () => {
  it('gives each sequence number its own message until the ring is once around', () => {
    const ring = new MessageRing(RUN, SIZE, 3)
    const messages = [0, 1, 2].map((sequence) => ring.message(sequence, false))
    const read = () => messages.map((message) => sequenceOf(message, 0, SIZE, RUN, SIZE))
    expect(read()).toEqual([0, 1, 2])
    ring.message(3, true)
    expect(read()).toEqual([3, 1, 2])
  })

  it('refuses sizes that have no room for what is checked', () => {
    expect(() => new MessageRing(RUN, 8, 1)).toThrow('8 bytes')
    expect(() => new MessageRing(RUN, 33, 1)).toThrow('33 bytes')
  })
})
