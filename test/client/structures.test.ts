import { afterEach, describe, expect, it, vi } from 'vitest'
import { Backlog, Call } from '../../ts/client/backlog.ts'
import type { Connection } from '../../ts/client/connection.ts'
import { Credit } from '../../ts/client/credit.ts'
import { SendConfirmation } from '../../ts/client/send-confirmation.ts'
import { StatusFeed } from '../../ts/client/status.ts'
import { type StreamOwner, StreamTable } from '../../ts/client/streams.ts'
import { Deque } from '../../ts/deque.ts'
import { LiminalError } from '../../ts/errors.ts'

describe('a deque', () => {
  it('keeps the order through growing and wrapping', () => {
    const deque = new Deque<number>()
    const expected: number[] = []
    let next = 0
    for (let round = 0; round < 200; round++) {
      for (let index = 0; index < round % 7; index++) {
        deque.push(next)
        expected.push(next++)
      }
      for (let index = 0; index < round % 5; index++) expect(deque.shift()).toBe(expected.shift())
      expect(deque.size).toBe(expected.length)
      expect(deque.at(0)).toBe(expected[0])
    }
    expect(deque.at(deque.size)).toBeUndefined()
    expect(deque.take()).toEqual(expected)
    expect(deque.size).toBe(0)
  })
})

describe('the confirmation of sends', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  /** A lane that sends, and a server that answers Pings when it is told to. */
  function lanes() {
    vi.useFakeTimers()
    const pongs: (() => void)[] = []
    const confirmation = new SendConfirmation({ open: true, ping: (onPong) => pongs.push(onPong) })
    const lane = () => {
      const counts = { unconfirmed: 0, marked: 0 }
      const confirmable = {
        mark: () => {
          counts.marked = counts.unconfirmed
        },
        confirm: () => {
          counts.unconfirmed -= counts.marked
          counts.marked = 0
          return counts.unconfirmed > 0
        },
      }
      const send = (): void => {
        counts.unconfirmed++
        confirmation.watch(confirmable)
      }
      return { counts, send, leave: () => confirmation.forget(confirmable) }
    }
    return { pongs, lane }
  }

  it('asks once a second while something is unconfirmed, and then no more', () => {
    const { pongs, lane } = lanes()
    const one = lane()
    one.send()
    vi.advanceTimersByTime(1_000)
    expect(pongs).toHaveLength(1)
    one.send()
    pongs[0]()
    expect(one.counts.unconfirmed).toBe(1)
    vi.advanceTimersByTime(1_000)
    pongs[1]()
    expect(one.counts.unconfirmed).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('marks nothing anew while a Ping is underway, whoever leaves and comes meanwhile', () => {
    const { pongs, lane } = lanes()
    const [one, other] = [lane(), lane()]
    one.send()
    vi.advanceTimersByTime(1_000)
    one.leave()
    other.send()
    vi.advanceTimersByTime(5_000)
    expect(pongs).toHaveLength(1)
    pongs[0]()
    // Written after that Ping: not confirmed by its Pong.
    expect(other.counts.unconfirmed).toBe(1)
    expect(one.counts.unconfirmed).toBe(1)
    vi.advanceTimersByTime(1_000)
    pongs[1]()
    expect(other.counts.unconfirmed).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })
})

class TestCall extends Call {
  readonly bytes: number
  readonly what: string
  constructor(what: string, bytes = 1) {
    super()
    this.what = what
    this.bytes = bytes
  }
  write(_connection: Connection): void {}
  end(_error: LiminalError): void {}
}

function names(backlog: Backlog): string[] {
  return backlog.list().map((call) => call.what)
}

describe('the backlog', () => {
  it('lets calls leave from anywhere, and puts others back before them', () => {
    const backlog = new Backlog(10, 100)
    const calls = ['a', 'b', 'c', 'd'].map((name) => new TestCall(name))
    for (const call of calls) backlog.push(call)
    calls[1].unpark()
    calls[1].unpark()
    expect(names(backlog)).toEqual(['a', 'c', 'd'])
    calls[0].unpark()
    calls[3].unpark()
    expect(names(backlog)).toEqual(['c'])
    backlog.putBack([calls[0], calls[1]])
    backlog.push(calls[3])
    expect(names(backlog)).toEqual(['a', 'b', 'c', 'd'])
    expect([backlog.size, backlog.bytes]).toEqual([4, 4])
    for (const call of calls) backlog.remove(call)
    expect([backlog.size, backlog.bytes, backlog.first]).toEqual([0, 0, null])
  })

  it('is capped in calls and in bytes, but takes one call of any size', () => {
    const backlog = new Backlog(3, 10)
    const large = new TestCall('large', 50)
    expect(backlog.fits(large)).toBe(true)
    backlog.push(large)
    expect(backlog.fits(new TestCall('small'))).toBe(false)
    large.unpark()
    for (const name of ['a', 'b', 'c']) backlog.push(new TestCall(name))
    expect(backlog.fits(new TestCall('d'))).toBe(false)
  })
})

const nobody: StreamOwner = { receive: () => {}, lost: () => {} }

describe('the streams of a client', () => {
  it('are odd and rise', () => {
    const table = new StreamTable()
    expect([table.open(nobody), table.open(nobody), table.open(nobody)]).toEqual([1, 3, 5])
    table.close(3)
    expect(table.owner(3)).toBeUndefined()
    expect(table.open(nobody)).toBe(7)
    expect(table.size).toBe(3)
  })

  it('begin again behind the last u32 and skip those that are open', () => {
    const table = new StreamTable(0xffff_fffd)
    table.open(nobody)
    expect(table.open(nobody)).toBe(0xffff_ffff)
    expect(table.open(nobody)).toBe(1)
    const again = new StreamTable(0xffff_ffff)
    again.open(nobody)
    again.open(nobody)
    expect(again.open(nobody)).toBe(3)
    again.close(3)
    expect(again.owner(1)).toBe(nobody)
  })

  it('tell every owner of the loss, once', () => {
    const table = new StreamTable()
    const told: number[] = []
    for (const index of [0, 1]) table.open({ receive: () => {}, lost: () => told.push(index) })
    table.lose(new LiminalError('CONNECTION_LOST', 'gone'))
    table.lose(new LiminalError('CONNECTION_LOST', 'gone'))
    expect(told).toEqual([0, 1])
    expect(table.size).toBe(0)
  })
})

describe('credit', () => {
  it('is told when half of the window is free', () => {
    const told: number[] = []
    const credit = new Credit(4, (sequence) => told.push(sequence))
    credit.received(3)
    credit.accepted(1)
    expect(told).toEqual([])
    credit.accepted(2)
    expect(told).toEqual([2])
    credit.accepted(1)
    credit.accepted(2)
    expect(told).toEqual([2])
  })

  it('is told at once for a window of one', () => {
    const told: number[] = []
    const credit = new Credit(1, (sequence) => told.push(sequence))
    for (let sequence = 1; sequence <= 3; sequence++) {
      credit.received(sequence)
      credit.accepted(sequence)
    }
    expect(told).toEqual([1, 2, 3])
  })

  it('is told within a turn when the server stands still for less than half', async () => {
    const told: number[] = []
    const credit = new Credit(10, (sequence) => told.push(sequence))
    credit.received(10)
    credit.accepted(1)
    credit.accepted(2)
    expect(told).toEqual([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual([2])
    credit.received(12)
    credit.accepted(3)
    credit.stop()
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual([2])
  })
})

describe('the status of a bus', () => {
  it('begins with the present state for every reader, and ends after closed', async () => {
    const feed = new StatusFeed()
    const early = feed.read()
    feed.enter({ type: 'reconnecting', attempt: 1, delayMs: 5 })
    const late = feed.read()
    feed.enter({ type: 'closed', error: null })
    feed.enter({ type: 'connecting' })
    const seen: string[][] = []
    for (const reader of [early, late, feed.read()]) {
      const types: string[] = []
      for await (const status of reader) types.push(status.type)
      seen.push(types)
    }
    expect(seen).toEqual([['connecting', 'reconnecting', 'closed'], ['reconnecting', 'closed'], ['closed']])
    expect(feed.state).toEqual({ type: 'closed', error: null })
  })

  it('keeps a bounded number of events for a reader that lags behind', async () => {
    const feed = new StatusFeed()
    const reader = feed.read()
    for (let attempt = 1; attempt <= 1_000; attempt++) feed.enter({ type: 'reconnecting', attempt, delayMs: 0 })
    feed.enter({ type: 'closed', error: null })
    const attempts: number[] = []
    for await (const status of reader) if (status.type === 'reconnecting') attempts.push(status.attempt)
    expect(attempts).toHaveLength(255)
    expect(attempts.at(-1)).toBe(1_000)
  })

  it('wakes readers that wait, and lets them leave', async () => {
    const feed = new StatusFeed()
    const reader = feed.read()
    await reader.next()
    const [one, two] = [reader.next(), reader.next()]
    feed.enter({ type: 'reconnecting', attempt: 1, delayMs: 0 })
    expect((await one).value).toMatchObject({ attempt: 1 })
    await reader.return?.()
    expect(await two).toEqual({ value: undefined, done: true })
    expect(await reader.next()).toEqual({ value: undefined, done: true })
  })
})
