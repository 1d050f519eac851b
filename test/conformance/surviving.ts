import { expect, it } from 'vitest'
import { type BehaviourContext, CompensatedError, type Crash } from '../../ts/bus/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import type { Setup } from './suite.ts'
import { deferred, failure, numbers } from './tools.ts'

const never = (): Promise<never> => new Promise(() => {})

/** What becomes of requests whose participant crashes, or does not. */
export function survivingTests(setup: Setup): void {
  it('tells everybody who waits at once that the participant crashed', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const all = deferred()
    let begun = 0
    const responder = answerer.respond('work', () => {
      if (++begun === 20) all.resolve()
      return never()
    })
    await responder.ready()
    const pending = numbers(20).map((number) =>
      failure(() => asker.ask('work', number, { timeoutMs: 20_000 }), 'PARTICIPANT_GONE'),
    )
    await all.promise
    backing.crash(answerer, responder)
    const errors = await Promise.all(pending)
    expect(errors.every(({ retryable }) => retryable)).toBe(true)
    await failure(() => asker.ask('work', 1), 'NO_RESPONDER')
  })

  it('gives the request to another participant, with the attempt raised', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const begun = deferred<BehaviourContext>()
    const first = one.respond('work', (_, context) => {
      begun.resolve(context)
      return never()
    })
    await first.ready()
    const pending = asker.ask('work', { n: 1 }, { onCrash: 'route-to-next', timeoutMs: 20_000 })
    expect((await begun.promise).attempt).toBe(1)
    await two.respond('work', (request, { attempt }) => ({ request, attempt })).ready()
    backing.crash(one, first)
    expect(await pending).toEqual({ request: { n: 1 }, attempt: 2 })
  })

  it('refuses what a participant says that has the request no longer', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const begun = deferred<AbortSignal>()
    const old = deferred<string>()
    const young = deferred<string>()
    const rerouted = deferred()
    const first = one.respond('work', (_, { signal }) => {
      begun.resolve(signal)
      return old.promise
    })
    await first.ready()
    const pending = asker.ask<string>('work', 1, { onCrash: 'route-to-next', timeoutMs: 20_000 })
    const signal = await begun.promise
    const told = new Promise((resolve) => signal.addEventListener('abort', resolve))
    await two
      .respond('work', () => {
        rerouted.resolve()
        return young.promise
      })
      .ready()
    backing.crash(one, first)
    await rerouted.promise
    await told
    old.resolve('from the first')
    await backing.settled()
    young.resolve('from the second')
    expect(await pending).toBe('from the second')
  })

  it('gives every request of a conversation to the next participant, and keeps their replies apart', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const all = deferred()
    let count = 0
    const first = one.respond<number>('chat', (number) => {
      if (number === 0) return 'answered'
      if (++count === 20) all.resolve()
      return never()
    })
    await first.ready()
    const again: { number: number; reply: (value: unknown) => void }[] = []
    const both = deferred()
    await using conversation = await asker.converse('chat', { onCrash: 'route-to-next' })
    expect(await conversation.request(0)).toBe('answered')
    const replies = numbers(20).map((number) => conversation.request(number + 1, { timeoutMs: 20_000 }))
    await all.promise
    await two
      .respond<number>('chat', (number, { attempt }) => {
        const reply = deferred<unknown>()
        again.push({ number, reply: (value) => reply.resolve([value, attempt]) })
        if (again.length === 20) both.resolve()
        return reply.promise
      })
      .ready()
    backing.crash(one, first)
    await both.promise
    // What was answered is not asked again.
    expect(again.map(({ number }) => number)).toEqual(numbers(20).map((number) => number + 1))
    for (const { number, reply } of again.reverse()) reply(number)
    expect(await Promise.all(replies)).toEqual(numbers(20).map((number) => [number + 1, 2]))
  })

  it('gives what is handed back to another participant, where it may', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    await one
      .respond('work', () => {
        throw new HandedBackError('I am not fit for this.')
      })
      .ready()
    await failure(() => asker.ask('work', 1), 'PARTICIPANT_GONE')
    await two.respond('work', (_, { attempt }) => attempt).ready()
    const replies = [
      await asker.ask('work', 1, { onCrash: 'route-to-next' }),
      await asker.ask('work', 1, { onCrash: 'route-to-next' }),
    ]
    // One of them began with the other participant.
    expect(replies.sort()).toEqual([1, 2])
  })

  it('fails the request if nobody else is there', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const begun = deferred()
    const only = one.respond('work', () => {
      begun.resolve()
      return never()
    })
    await only.ready()
    const pending = failure(
      () => asker.ask('work', 1, { onCrash: 'route-to-next', timeoutMs: 20_000 }),
      'PARTICIPANT_GONE',
    )
    await begun.promise
    backing.crash(one, only)
    await pending
  })

  it('tries three participants and no more', async () => {
    const backing = await setup()
    const asker = await backing.bus()
    const attempts: number[] = []
    let next = deferred()
    const victims = []
    for (const _ of numbers(4)) {
      const bus = await backing.bus()
      const responder = bus.respond('deadly', (_request, { attempt }) => {
        attempts.push(attempt)
        next.resolve()
        return never()
      })
      victims.push({ bus, responder })
    }
    for (const { responder } of victims) await responder.ready()
    const second = failure(
      () => asker.ask('deadly', 2, { onCrash: 'route-to-next', timeoutMs: 20_000 }),
      'PARTICIPANT_GONE',
    )
    for (const round of numbers(3)) {
      await next.promise
      next = deferred()
      const victim = victims[round]
      backing.crash(victim.bus, victim.responder)
    }
    await second
    expect(attempts).toEqual([1, 2, 3])
  })

  it('does not run a request again that was answered, with a value or with a throw', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    let calls = 0
    const refuse = (request: unknown): unknown => {
      calls++
      if (request === 'throw') throw new Error('no')
      return request
    }
    const first = one.respond('work', refuse)
    const second = two.respond('work', refuse)
    await Promise.all([first.ready(), second.ready()])
    expect(await asker.ask('work', 'value', { onCrash: 'route-to-next' })).toBe('value')
    await failure(() => asker.ask('work', 'throw', { onCrash: 'route-to-next' }), 'RESPONDER_FAILED')
    expect(calls).toBe(2)
    backing.crash(one, first)
    await failure(() => asker.ask('work', 'throw', { onCrash: 'route-to-next' }), 'RESPONDER_FAILED')
    expect(calls).toBe(3)
  })

  it('goes on with a conversation whose participant crashed between two messages', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const first = one.respond('chat', () => 'one')
    await first.ready()
    await using conversation = await asker.converse('chat', { onCrash: 'route-to-next' })
    expect(await conversation.request(1)).toBe('one')
    await two.respond('chat', () => 'two').ready()
    backing.crash(one, first)
    await backing.settled()
    expect(await conversation.request(2)).toBe('two')
  })

  it('ends a conversation whose participant crashed, if it is told to do nothing else', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const responder = one.respond('chat', () => 'one')
    await responder.ready()
    const conversation = await asker.converse('chat')
    expect(await conversation.request(1)).toBe('one')
    const ended = failure(() => conversation.closed, 'PARTICIPANT_GONE')
    backing.crash(one, responder)
    await ended
    await failure(() => conversation.request(2), 'PARTICIPANT_GONE')
  })

  it('runs the compensation, and says how it went', async () => {
    const backing = await setup()
    const asker = await backing.bus()
    const crashed = async (compensate: (crash: Crash) => unknown): Promise<CompensatedError> => {
      const bus = await backing.bus()
      const begun = deferred()
      const responder = bus.respond('book', () => {
        begun.resolve()
        return never()
      })
      await responder.ready()
      const pending = failure(
        () => asker.ask('book', 'room 7', { onCrash: { compensate }, timeoutMs: 20_000 }),
        'PARTICIPANT_GONE',
      )
      await begun.promise
      backing.crash(bus, responder)
      const error = await pending
      if (!(error instanceof CompensatedError)) throw error
      return error
    }
    const done = await crashed(async ({ subject, request, error }) => `${subject}: ${request}: ${error.code}`)
    expect(done.compensation).toEqual({ is: 'done', value: 'book: room 7: PARTICIPANT_GONE' })
    const failed = await crashed(() => {
      throw new Error('cannot cancel')
    })
    expect(failed.compensation).toMatchObject({ is: 'failed', error: { message: 'cannot cancel' } })
  })

  it.each(['its own time', 'that of the bus'])('waits for a compensation no longer than %s', async (whose) => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const [begun, compensating, aborted] = [deferred(), deferred(), deferred<unknown>()]
    const responder = one.respond('book', () => {
      begun.resolve()
      return never()
    })
    await responder.ready()
    const compensate = ({ signal }: Crash): Promise<never> => {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason))
      compensating.resolve()
      return never()
    }
    const compensationMs = whose === 'its own time' ? 20 : 3_600_000
    const onCrash = { compensate, compensationMs }
    const pending = failure(() => asker.ask('book', 1, { onCrash, timeoutMs: 20_000 }), 'PARTICIPANT_GONE')
    await begun.promise
    backing.crash(one, responder)
    await compensating.promise
    if (whose === 'that of the bus') await asker.close()
    const code = whose === 'its own time' ? 'TIMEOUT' : 'CLOSED'
    expect(await pending).toMatchObject({ compensation: { is: 'failed', error: { code } } })
    expect(await aborted.promise).toMatchObject({ code })
  })

  it('checks how long a compensation may take', async () => {
    const asker = await (await setup()).bus()
    for (const compensationMs of [-1, Number.NaN, '1']) {
      const onCrash = { compensate: () => {}, compensationMs } as { compensate: () => void }
      await failure(() => asker.ask('book', 1, { onCrash }), 'INVALID_ARGUMENT')
    }
  })

  it('runs no compensation for an answer', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond('book', () => {
        throw new Error('full')
      })
      .ready()
    let runs = 0
    const compensate = (): void => {
      runs++
    }
    await failure(() => asker.ask('book', 1, { onCrash: { compensate } }), 'RESPONDER_FAILED')
    await failure(() => asker.ask('nobody', 1, { onCrash: { compensate } }), 'NO_RESPONDER')
    expect(runs).toBe(0)
  })

  it('keeps a state for each conversation of several turns, and tells it of the end', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const ends: unknown[] = []
    const ended = deferred()
    const responder = one.respond<number>('sum', {
      open: ({ signal }) => {
        let sum = 0
        signal.addEventListener('abort', () => {
          ends.push((signal.reason as Error).message)
          if (ends.length === 2) ended.resolve()
        })
        return (number) => {
          sum += number
          return sum
        }
      },
    })
    await responder.ready()
    const [a, b] = [await asker.converse('sum'), await asker.converse('sum')]
    expect([await a.request(1), await b.request(10), await a.request(2), await b.request(20)]).toEqual([1, 10, 3, 30])
    await a.close('enough of it')
    await b.close()
    await ended.promise
    expect(ends[0]).toBe('enough of it')
  })

  it('tells the asker that the participant of several turns could not begin', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const responder = one.respond('picky', {
      open: () => {
        throw new Error('not with you')
      },
    })
    await responder.ready()
    const error = await failure(() => asker.ask('picky', 1), 'RESPONDER_FAILED')
    expect(error.message).toContain('not with you')
    await backing.settled()
    expect(backing.conversations()).toBe(0)
  })

  it('lets a participant end the conversation', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const responder = one.respond('bye', {
      open:
        ({ leave }) =>
        () => {
          setImmediate(leave)
          return 'bye'
        },
    })
    await responder.ready()
    const conversation = await asker.converse('bye')
    expect(await conversation.request('hello')).toBe('bye')
    await conversation.closed
    await failure(() => conversation.request('still there?'), 'CONVERSATION_CLOSED')
  })

  it('keeps the deadline and the idle time of a conversation', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const abandoned = deferred()
    const responder = one.respond('slow', (_, { signal }) => {
      signal.addEventListener('abort', () => abandoned.resolve())
      return never()
    })
    await responder.ready()
    const conversation = await asker.converse('slow', { deadlineMs: 500 })
    const [request] = [failure(() => conversation.request(1, { timeoutMs: 20_000 }), 'TIMEOUT')]
    await failure(() => conversation.closed, 'TIMEOUT')
    await request
    await abandoned.promise
    const idle = await asker.converse('slow', { idleTimeoutMs: 300 })
    await failure(() => idle.closed, 'TIMEOUT')
  })
}
