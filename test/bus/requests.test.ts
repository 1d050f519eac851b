import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BehaviourContext,
  type BusOptions,
  CompensatedError,
  type ConversationContext,
  type Crash,
  createBus,
  type LocalBus,
} from '../../ts/bus/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { deferred, failure } from '../conformance/tools.ts'

const open: LocalBus[] = []

async function bus(options?: BusOptions): Promise<LocalBus> {
  const made = await createBus(options)
  open.push(made)
  return made
}

/** Never answers, and says when it was asked. */
function silence(): { readonly behaviour: () => Promise<never>; readonly asked: Promise<void>; calls: number } {
  let told: () => void
  const asked = new Promise<void>((resolve) => {
    told = resolve
  })
  const silent = {
    calls: 0,
    asked,
    behaviour: () => {
      silent.calls++
      told()
      return new Promise<never>(() => {})
    },
  }
  return silent
}

afterEach(async () => {
  vi.useRealTimers()
  for (const made of open.splice(0)) {
    await made.close()
    expect(made.processes.size).toBe(0)
  }
})

describe('a compensation', () => {
  it('runs when the participant crashed, and its outcome is on the error', async () => {
    const made = await bus()
    const silent = silence()
    const responder = made.respond('charge', silent.behaviour)
    const crashes: Crash[] = []
    const compensate = async (crash: Crash): Promise<string> => {
      crashes.push(crash)
      return 'refunded'
    }
    const asking = made.ask('charge', { amount: 5 }, { onCrash: { compensate } })
    await silent.asked
    responder.process.exit(exitKilled())
    const error = await asking.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CompensatedError)
    expect(error).toMatchObject({
      code: 'PARTICIPANT_GONE',
      retryable: false,
      compensation: { is: 'done', value: 'refunded' },
      cause: { code: 'PARTICIPANT_GONE' },
    })
    expect(crashes).toMatchObject([{ subject: 'charge', request: { amount: 5 }, error: { code: 'PARTICIPANT_GONE' } }])
  })

  it('says that it failed', async () => {
    const made = await bus()
    const responder = made.respond('charge', () => {
      responder.process.exit(exitKilled())
    })
    const cause = new Error('the bank is closed')
    const compensate = (): never => {
      throw cause
    }
    await expect(made.ask('charge', 1, { onCrash: { compensate } })).rejects.toMatchObject({
      code: 'PARTICIPANT_GONE',
      compensation: { is: 'failed', error: cause },
    })
  })

  it('runs for what was handed back: how far the work was is not known', async () => {
    const made = await bus()
    made.respond('charge', () => {
      throw new HandedBackError('My lease ran out.')
    })
    const asking = made.ask('charge', 1, { onCrash: { compensate: () => 'refunded' } })
    await expect(asking).rejects.toMatchObject({
      compensation: { is: 'done' },
      cause: { message: 'My lease ran out.' },
    })
  })

  it('does not run where the participant answered, nobody was asked, or nobody knows', async () => {
    const made = await bus()
    let runs = 0
    const onCrash = { compensate: () => runs++ }
    made.respond('broken', () => {
      throw new Error('no')
    })
    made.respond('slow', silence().behaviour)
    expect(await failure(() => made.ask('broken', 1, { onCrash }), 'RESPONDER_FAILED')).not.toBeInstanceOf(
      CompensatedError,
    )
    await failure(() => made.ask('slow', 1, { onCrash, timeoutMs: 5 }), 'TIMEOUT')
    await failure(() => made.ask('nobody', 1, { onCrash }), 'NO_RESPONDER')
    expect(runs).toBe(0)
  })

  it('runs once for each request of a conversation, and not for those that were never begun', async () => {
    const made = await bus()
    const silent = silence()
    const responder = made.respond('charge', silent.behaviour)
    const requests: unknown[] = []
    const onCrash = { compensate: ({ request }: Crash) => requests.push(request) }
    const conversation = await made.converse('charge', { onCrash })
    const replies = [conversation.request(1), conversation.request(2)].map((reply) =>
      failure(() => reply, 'PARTICIPANT_GONE'),
    )
    await silent.asked
    responder.process.exit(exitKilled())
    await Promise.all(replies)
    await failure(() => conversation.closed, 'PARTICIPANT_GONE')
    await failure(() => conversation.request(3), 'PARTICIPANT_GONE')
    expect(requests).toEqual([1, 2])
  })
})

describe('the crash policy of a request', () => {
  it('is that of its conversation: another one is refused, a compensation is not', async () => {
    const made = await bus()
    made.respond('echo', (value) => value)
    const failing = await made.converse('echo')
    await failure(() => failing.request(1, { onCrash: 'route-to-next' }), 'INVALID_ARGUMENT')
    expect(await failing.request(1, { onCrash: 'fail' })).toBe(1)
    const rerouted = await made.converse('echo', { onCrash: 'route-to-next' })
    await failure(() => rerouted.request(1, { onCrash: 'fail' }), 'INVALID_ARGUMENT')
    expect(await rerouted.request(2, { onCrash: { compensate: () => {} } })).toBe(2)
  })

  it('has another responder finish what a dead one had', async () => {
    const made = await bus()
    const silent = silence()
    const first = made.respond('sum', silent.behaviour)
    made.respond('sum', (value, { attempt }) => ({ value, attempt }))
    const asking = made.ask('sum', 7, { onCrash: 'route-to-next' })
    await silent.asked
    first.process.exit(exitKilled())
    expect(await asking).toEqual({ value: 7, attempt: 2 })
  })

  it('has another responder do what one hands back, and fails without it', async () => {
    const made = await bus()
    made.respond('sum', () => {
      throw new HandedBackError('I am busy.')
    })
    made.respond('sum', (value, { attempt }) => ({ value, attempt }))
    expect(await made.ask('sum', 1, { onCrash: 'route-to-next' })).toEqual({ value: 1, attempt: 2 })
    await expect(made.ask('sum', 1)).rejects.toMatchObject({ code: 'PARTICIPANT_GONE', message: 'I am busy.' })
  })
})

describe('a behaviour of several turns', () => {
  it('remembers what its conversation is about, and hears of its end with the reason', async () => {
    const made = await bus()
    const contexts: ConversationContext[] = []
    made.respond('counter', {
      open: (conversation) => {
        contexts.push(conversation)
        let count = 0
        return () => ++count
      },
    })
    const one = await made.converse('counter')
    const other = await made.converse('counter')
    expect([await one.request(0), await one.request(0), await other.request(0)]).toEqual([1, 2, 1])
    expect(contexts.map(({ conversationId }) => conversationId)).toEqual([one.id, other.id])
    expect(contexts[0]).toMatchObject({ subject: 'counter', signal: { aborted: false } })
    await one.close('I have what I need')
    expect(contexts[0].signal.reason).toMatchObject({ code: 'CONVERSATION_CLOSED', message: 'I have what I need' })
    expect(contexts[1].signal.aborted).toBe(false)
  })

  it('hears of the death of its process', async () => {
    const made = await bus()
    const signals: AbortSignal[] = []
    const responder = made.respond('counter', {
      open: ({ signal }) => {
        signals.push(signal)
        return () => {}
      },
    })
    const conversation = await made.converse('counter')
    responder.process.exit(exitKilled())
    expect(signals[0].reason).toMatchObject({ code: 'PARTICIPANT_GONE' })
    await failure(() => conversation.closed, 'PARTICIPANT_GONE')
    const dying = made.respond('dying', {
      open: ({ signal }) => {
        signals.push(signal)
        dying.process.exit(exitKilled())
        return () => {}
      },
    })
    await failure(() => made.converse('dying'), 'PARTICIPANT_GONE')
    expect(signals[1].aborted).toBe(true)
  })

  it('fails the open when it throws, and when it gives no behaviour', async () => {
    const made = await bus()
    made.respond('a', {
      open: () => {
        throw new Error('not today')
      },
    })
    // @ts-expect-error Somebody who writes no TypeScript.
    made.respond('b', { open: () => 5 })
    await expect(made.converse('a')).rejects.toMatchObject({
      code: 'RESPONDER_FAILED',
      message: expect.stringMatching(/not today/),
    })
    await failure(() => made.ask('b', 1), 'RESPONDER_FAILED')
    expect(made.conversations()).toEqual([])
  })

  it('may leave: well, with an error, or while it joins', async () => {
    const made = await bus()
    const enough = new LiminalError('LIMIT_EXCEEDED', 'I have said enough.')
    made.respond('talk', {
      open: (conversation) => (request) => {
        if (request === 'thrown') conversation.leave(new Error('mine') as LiminalError)
        else conversation.leave(request === 'error' ? enough : undefined)
        return 'never heard'
      },
    })
    const well = await made.converse('talk')
    await failure(() => well.request('well'), 'CONVERSATION_CLOSED')
    await well.closed
    const failed = await made.converse('talk')
    await expect(failed.request('error')).rejects.toBe(enough)
    await expect(failed.closed).rejects.toBe(enough)
    const odd = await made.converse('talk')
    expect((await failure(() => odd.request('thrown'), 'RESPONDER_FAILED')).message).toContain('mine')
    made.respond('shy', {
      open: (conversation) => {
        conversation.leave(enough)
        return () => {}
      },
    })
    await expect(made.converse('shy')).rejects.toBe(enough)
    expect(made.conversations()).toEqual([])
  })

  it('may leave while a message that wants no reply is unfinished, and its process waits for that', async () => {
    const made = await bus()
    let finish = (): void => {}
    const responder = made.respond('talk', {
      open: (conversation) => () =>
        new Promise<void>((resolve) => {
          finish = resolve
          conversation.leave()
        }),
    })
    const conversation = await made.converse('talk')
    conversation.send('x')
    await conversation.closed
    await responder.close()
    expect(responder.process.over).toBeNull()
    finish()
    expect((await responder.process.exited).reason.is).toBe('normal')
  })
})

describe('a conversation on a bus', () => {
  it('ends in time', async () => {
    vi.useFakeTimers()
    const made = await bus()
    made.respond('slow', silence().behaviour)
    const late = await made.converse('slow', { deadlineMs: 1_000 })
    const idle = await made.converse('slow', { idleTimeoutMs: 500 })
    const closed = [failure(() => late.closed, 'TIMEOUT'), failure(() => idle.closed, 'TIMEOUT')]
    const asked = failure(() => late.request(1, { timeoutMs: 9_000 }), 'TIMEOUT')
    vi.advanceTimersByTime(1_000)
    await Promise.all([...closed, asked])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('tells the behaviour the deadline and the cause of each request', async () => {
    const made = await bus()
    const seen: BehaviourContext[] = []
    made.respond('tell', (_, context) => {
      seen.push(context)
    })
    const causal = { parentId: 'outer', vectorClockEntry: 4n }
    const conversation = await made.converse('tell', { causal })
    const before = Date.now()
    await conversation.request(1, { timeoutMs: 1_000 })
    await conversation.request(1, { causal: { parentId: 'own', vectorClockEntry: null } })
    expect(seen[0]).toMatchObject({ conversationId: conversation.id, attempt: 1, key: null, causal })
    expect(seen[0].deadline).toBeGreaterThanOrEqual(before + 1_000)
    expect(seen[1].causal).toEqual({ parentId: 'own', vectorClockEntry: null })
    expect(made.conversation(conversation.id)).toMatchObject({ subject: 'tell', causal, phase: 'active' })
    await conversation.close()
    expect(made.conversation(conversation.id)).toBeNull()
  })

  it('lets timers have their turn, however fast it is answered', async () => {
    const made = await bus()
    made.respond('echo', (value) => value)
    const conversation = await made.converse('echo')
    for (const ask of [() => made.ask('echo', 1), () => conversation.request(1), () => made.dispatch('echo', 1)]) {
      let rang = false
      const timer = setTimeout(() => {
        rang = true
      }, 1)
      // It ends because the timer rings.
      while (!rang) await ask()
      clearTimeout(timer)
    }
  })

  it('may close its bus, or kill itself, from within a behaviour', async () => {
    const made = await bus()
    let closing: Promise<void> | null = null
    const responder = made.respond('end', (what) => {
      if (what === 'kill') responder.process.exit(exitKilled())
      else closing = made.close()
      return 'done'
    })
    const second = made.respond('end', () => 'the second')
    expect(await made.ask('end', 'kill', { onCrash: 'route-to-next' })).toBe('the second')
    await second.close()
    const last = made.respond('end', () => {
      closing = made.close()
      return new Promise(() => {})
    })
    await failure(() => made.ask('end', 'close'), 'CLOSED')
    await closing
    expect(last.process.over?.reason.is).toBe('normal')
    await failure(() => made.ask('end', 1), 'CLOSED')
  })

  it('may be opened by a participant that joins, even if the bus is closed then', async () => {
    const made = await bus()
    made.respond('inner', (value) => value)
    const inner: Promise<unknown>[] = []
    made.respond('outer', {
      open: () => {
        inner.push(made.ask('inner', 'from within'))
        return () => inner[inner.length - 1]
      },
    })
    expect(await made.ask('outer', 1)).toBe('from within')
    const closing: Promise<void>[] = []
    made.respond('closing', {
      open: () => {
        closing.push(made.close())
        return () => new Promise(() => {})
      },
    })
    await failure(() => made.ask('closing', 1), 'CLOSED')
    await Promise.all(closing)
    expect(made.conversations()).toEqual([])
  })
})

describe('options', () => {
  it('that nobody knows are refused everywhere', async () => {
    const made = await bus()
    made.respond('echo', (value) => value)
    const conversation = await made.converse('echo')
    const odd = { timeoutMS: 5 }
    for (const call of [
      () => made.ask('echo', 1, odd as object),
      () => made.converse('echo', odd as object),
      () => made.dispatch('echo', 1, odd as object),
      () => made.stream('echo', 1, odd as object),
      () => made.respond('echo', () => {}, odd as object),
      () => conversation.request(1, odd as object),
      () => conversation.stream(1, odd as object),
      () => made.group('other', odd as object),
      () => createBus(odd as object),
    ]) {
      expect(await failure(call, 'INVALID_ARGUMENT')).toMatchObject({ message: expect.stringMatching(/timeoutMS/) })
    }
  })

  it.each<[string, object]>([
    ['onCrash', { onCrash: 'retry' }],
    ['onCrash', { onCrash: { compensate: 5 } }],
    ['payload', { payload: 'xml' }],
    ['signal', { signal: 5 }],
    ['causal', { causal: { parentId: 5, vectorClockEntry: null } }],
  ])('of requests are checked: %s', async (_name, options) => {
    const made = await bus()
    made.respond('echo', (value) => value)
    await failure(() => made.ask('echo', 1, options), 'INVALID_ARGUMENT')
    await failure(() => made.converse('echo', options), 'INVALID_ARGUMENT')
    await failure(() => made.stream('echo', 1, options), 'INVALID_ARGUMENT')
  })

  it.each([{ deadlineMs: -1 }, { idleTimeoutMs: Number.NaN }, { deadlineMs: 2 ** 31 }])(
    'of conversations are checked: %o',
    async (options) => {
      const made = await bus()
      made.respond('echo', (value) => value)
      await failure(() => made.converse('echo', options), 'INVALID_ARGUMENT')
    },
  )
})

describe('arguments that cannot be used', () => {
  it.each([5, null, 'abc', () => 1, Number.NaN, []] as unknown[])(
    'are refused as options of a group: %s',
    async (options) => {
      const made = await bus()
      await failure(() => made.group('work', options as object), 'INVALID_ARGUMENT')
    },
  )

  it('are refused as a subject, as an id and as a signal', async () => {
    const made = await bus()
    const odd = Symbol('odd') as unknown
    await failure(() => made.ask(odd as string, 1, { timeoutMs: 10 }), 'INVALID_ARGUMENT')
    await failure(() => made.conversation(odd as bigint), 'INVALID_ARGUMENT')
    const signal = Object.create(AbortSignal.prototype) as AbortSignal
    await failure(() => made.ask('work', 1, { signal }), 'INVALID_ARGUMENT')
  })
})

describe('a responder that is closed with a grace', () => {
  it('waits for what it is at, and no longer than that', async () => {
    const made = await bus()
    const [reply, begun] = [deferred<string>(), deferred()]
    const responder = made.respond('work', () => {
      begun.resolve()
      return reply.promise
    })
    const pending = made.ask('work', 1)
    await begun.promise
    let isClosed = false
    const closing = responder.close({ graceMs: 20_000 }).then(() => {
      isClosed = true
    })
    await failure(() => made.ask('work', 2), 'NO_RESPONDER')
    expect(isClosed).toBe(false)
    reply.resolve('done')
    expect(await pending).toBe('done')
    await closing
    await failure(() => responder.close({ graceMs: -1 }), 'INVALID_ARGUMENT')
  })

  it('goes on after the grace', async () => {
    const made = await bus()
    const [reply, begun] = [deferred<string>(), deferred()]
    const responder = made.respond('work', () => {
      begun.resolve()
      return reply.promise
    })
    const pending = made.ask('work', 1)
    await begun.promise
    await responder.close({ graceMs: 10 })
    reply.resolve('done')
    expect(await pending).toBe('done')
  })
})
