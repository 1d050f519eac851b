import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BehaviourContext, type BusOptions, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { deferred, failure, numbers } from '../conformance/tools.ts'

const open: LocalBus[] = []

async function bus(options?: BusOptions): Promise<LocalBus> {
  const made = await createBus(options)
  open.push(made)
  return made
}

async function all<Part>(parts: AsyncIterable<Part>): Promise<Part[]> {
  const taken: Part[] = []
  for await (const part of parts) taken.push(part)
  return taken
}

afterEach(async () => {
  vi.useRealTimers()
  for (const made of open.splice(0)) {
    await made.close()
    expect(made.processes.size).toBe(0)
  }
})

describe('a reply in parts', () => {
  it('comes in order, with what the generator returns as the last part', async () => {
    const made = await bus()
    made.respond<number>('count', async function* (upTo) {
      for (const value of numbers(upTo)) yield value
      return upTo > 3 ? 'end' : undefined
    })
    expect(await all(made.stream('count', 3))).toEqual([0, 1, 2])
    expect(await all(made.stream('count', 1_000))).toEqual([...numbers(1_000), 'end'])
    expect(await all(made.stream('count', 0))).toEqual([])
    expect(made.conversations()).toEqual([])
  })

  it('is one part where the behaviour gives one answer', async () => {
    const made = await bus()
    made.respond('echo', (value) => value)
    made.respond('nothing', () => undefined)
    expect(await all(made.stream('echo', 'x'))).toEqual(['x'])
    expect(await all(made.stream('nothing', 1))).toEqual([null])
  })

  it('takes bytes as they are, each part its own', async () => {
    const made = await bus()
    const shared = Uint8Array.of(0)
    const behaviour = async function* (): AsyncGenerator<Uint8Array> {
      for (shared[0] = 1; shared[0] < 4; shared[0]++) yield shared
    }
    made.respond('bytes', behaviour, { payload: 'bytes' })
    const parts = await all(made.stream<Uint8Array>('bytes', new Uint8Array(0), { payload: 'bytes' }))
    expect(parts.map((part) => [...part])).toEqual([[1], [2], [3]])
  })

  it('is made 64 parts ahead of the loop, and no further', async () => {
    const made = await bus()
    let produced = 0
    made.respond('count', async function* () {
      for (;;) yield produced++
    })
    const iterator = made.stream<number>('count', 1)[Symbol.asyncIterator]()
    for (let taken = 1; taken <= 200; taken++) {
      expect((await iterator.next()).value).toBe(taken - 1)
      await new Promise((resolve) => setImmediate(resolve))
      // The part that the loop is at counts as not taken.
      expect(produced).toBe(taken - 1 + 64)
    }
    await iterator.return?.()
  })

  it('stops its generator when the loop is left', async () => {
    const made = await bus()
    const stopped = deferred<BehaviourContext>()
    made.respond('count', async function* (_request, context) {
      try {
        for (let value = 0; ; value++) yield value
      } finally {
        stopped.resolve(context)
      }
    })
    for await (const part of made.stream('count', 1)) if (part === 2) break
    const { signal } = await stopped.promise
    expect(signal.reason).toMatchObject({ code: 'ABORTED' })
    expect(made.conversations()).toEqual([])
  })

  it('fails where the generator throws, after the parts before', async () => {
    const made = await bus()
    made.respond('count', async function* () {
      yield 1
      yield 2
      throw new Error('out of numbers')
    })
    const taken: unknown[] = []
    const reading = (async () => {
      for await (const part of made.stream('count', 1)) taken.push(part)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'RESPONDER_FAILED',
      message: expect.stringMatching(/out of numbers/),
    })
    expect(taken).toEqual([1, 2])
    expect(made.conversations()).toEqual([])
  })

  it('fails where a part cannot be sent, and the generator is stopped', async () => {
    const made = await bus()
    const stopped = deferred<void>()
    made.respond('count', async function* () {
      try {
        yield 1n
      } finally {
        stopped.resolve()
      }
    })
    await failure(() => all(made.stream('count', 1)), 'RESPONDER_FAILED')
    await stopped.promise
  })

  it('is no answer to who asked for one reply: the generator is stopped', async () => {
    const made = await bus()
    const stopped = deferred<void>()
    made.respond('count', async function* () {
      try {
        for (;;) yield 1
      } finally {
        stopped.resolve()
      }
    })
    const error = await failure(() => made.ask('count', 1), 'RESPONDER_FAILED')
    expect(error.message).toMatch(/stream\(\)/)
    await stopped.promise
  })

  it('runs to its end for a message that wants no reply', async () => {
    const made = await bus()
    const done = deferred<number>()
    made.respond('work', async function* () {
      let count = 0
      while (count < 1_000) {
        count++
        yield count
      }
      done.resolve(count)
    })
    const conversation = await made.converse('work')
    conversation.send('x')
    expect(await done.promise).toBe(1_000)
  })

  it.each<[string, unknown]>([
    ['no function', { [Symbol.asyncIterator]: 5 }],
    [
      'a function that throws',
      {
        [Symbol.asyncIterator]: () => {
          throw new Error('no')
        },
      },
    ],
    ['an iterator of nothing', { [Symbol.asyncIterator]: () => ({ next: () => undefined }) }],
    [
      'an iterator that cannot stop',
      { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('no')), return: 5 }) },
    ],
  ])('fails, and only that, where the iterator of a behaviour is %s', async (_what, result) => {
    const made = await bus()
    made.respond('odd', () => result)
    made.respond('odd later', async () => result)
    await failure(() => all(made.stream('odd', 1)), 'RESPONDER_FAILED')
    await failure(() => all(made.stream('odd later', 1)), 'RESPONDER_FAILED')
    await failure(() => made.ask('odd', 1), 'RESPONDER_FAILED')
  })

  it('ends with its signal, also between two parts', async () => {
    const made = await bus()
    made.respond('count', async function* () {
      for (let value = 0; ; value++) yield value
    })
    made.respond('silent', () => new Promise(() => {}))
    const controller = new AbortController()
    const taken: unknown[] = []
    const reading = (async () => {
      for await (const part of made.stream('count', 1, { signal: controller.signal })) {
        taken.push(part)
        if (part === 1) controller.abort('enough')
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
    expect(taken).toEqual([0, 1])
    const other = new AbortController()
    const waiting = all(made.stream('silent', 1, { signal: other.signal }))
    other.abort()
    await failure(() => waiting, 'ABORTED')
    await failure(() => all(made.stream('count', 1, { signal: other.signal })), 'ABORTED')
    expect(made.conversations()).toEqual([])
  })

  it('waits for the next part as long as it may, and not while the loop is at one', async () => {
    vi.useFakeTimers()
    const made = await bus()
    made.respond('one', async function* () {
      yield 1
      await new Promise(() => {})
    })
    const iterator = made.stream('one', 1, { timeoutMs: 100 })[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toBe(1)
    vi.advanceTimersByTime(60_000)
    const next = failure(() => iterator.next(), 'TIMEOUT')
    vi.advanceTimersByTime(99)
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    await next
    expect(vi.getTimerCount()).toBe(0)
    expect(made.conversations()).toEqual([])
  })

  it('comes once', async () => {
    const made = await bus()
    made.respond('count', async function* () {
      yield 1
    })
    const parts = made.stream('count', 1)
    const first = all(parts)
    await failure(() => all(parts), 'INVALID_ARGUMENT')
    expect(await first).toEqual([1])
  })

  it('is asked for when the loop begins: then it is known whether somebody is there', async () => {
    const made = await bus()
    const parts = made.stream('count', 1)
    const missing = made.stream('nobody', 1)
    made.respond('count', async function* () {
      yield 1
    })
    expect(await all(parts)).toEqual([1])
    await failure(() => all(missing), 'NO_RESPONDER')
    await failure(() => made.stream('count', 1n), 'PAYLOAD_INVALID')
  })

  it('is begun anew by another participant as long as no part has come', async () => {
    const made = await bus()
    const began = deferred<void>()
    const first = made.respond('count', async function* () {
      began.resolve()
      await new Promise(() => {})
      yield 0
    })
    made.respond('count', async function* (_request, { attempt }) {
      yield `attempt ${attempt}`
      yield 2
    })
    const reading = all(made.stream('count', 1, { onCrash: 'route-to-next' }))
    await began.promise
    first.process.exit(exitKilled())
    expect(await reading).toEqual(['attempt 2', 2])
  })

  it('fails where the participant crashes between two parts, and is compensated', async () => {
    const made = await bus()
    const responder = made.respond('count', async function* () {
      yield 1
      responder.process.exit(exitKilled())
      yield 2
    })
    const onCrash = { compensate: () => 'undone' }
    const taken: unknown[] = []
    const reading = (async () => {
      for await (const part of made.stream('count', 1, { onCrash })) taken.push(part)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'PARTICIPANT_GONE',
      compensation: { is: 'done', value: 'undone' },
    })
    expect(taken).toEqual([1])
  })

  it('may be one of many of a conversation', async () => {
    const made = await bus()
    made.respond('count', {
      open: () => {
        let total = 0
        return async function* (upTo) {
          for (const value of numbers(Number(upTo))) yield value + total
          total += Number(upTo)
        }
      },
    })
    const conversation = await made.converse('count')
    const both = [all(conversation.stream(3)), all(conversation.stream(2))]
    expect(await Promise.all(both)).toEqual([
      [0, 1, 2],
      [0, 1],
    ])
    expect(await all(conversation.stream(1))).toEqual([5])
    await conversation.close('enough')
    await failure(() => all(conversation.stream(1)), 'CONVERSATION_CLOSED')
  })

  it('ends with its bus', async () => {
    const made = await bus()
    made.respond('count', async function* () {
      for (let value = 0; ; value++) yield value
    })
    const iterator = made.stream('count', 1)[Symbol.asyncIterator]()
    await iterator.next()
    await made.close()
    const rest = (async () => {
      for (;;) if ((await iterator.next()).done === true) return
    })()
    await expect(rest).rejects.toBeInstanceOf(LiminalError)
    await failure(() => made.stream('count', 1), 'CLOSED')
  })

  it('lets timers have their turn, however fast the parts come', async () => {
    const made = await bus()
    made.respond('count', async function* () {
      for (let value = 0; ; value++) yield value
    })
    let rang = false
    setTimeout(() => {
      rang = true
    }, 1)
    for await (const _part of made.stream('count', 1)) if (rang) break
  })
})
