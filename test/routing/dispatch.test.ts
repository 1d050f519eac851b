import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import {
  ANSWER_REFUSED,
  type AnswerRefused,
  CONSUMER_ENDED,
  ConsumerGroup,
  DISPATCH_REROUTED,
  DispatchError,
  HandedBackError,
  leastLoaded,
  routingFunction,
} from '../../ts/routing/index.ts'
import { completing, KILLED, NORMAL, ProcessConsumer, rejection, TestConsumer } from './consumers.ts'

/** Chooses the first consumer with room, in the order of joining: tests know where a message goes. */
const inOrder = routingFunction('in order', ({ consumers }) => {
  for (const { id, available } of consumers) if (available > 0) return id
  return null
})

function group(...consumers: TestConsumer[]): ConsumerGroup {
  const made = new ConsumerGroup('work', { routing: inOrder })
  for (const consumer of consumers) made.join(consumer)
  return made
}

/** One turn of the event loop, in which everything is heard that is settled already. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function dispatchError(promise: Promise<unknown>): Promise<DispatchError> {
  const error = await rejection(promise)
  expect(error).toBeInstanceOf(DispatchError)
  if (error instanceof DispatchError) return error
  throw error
}

describe('a dispatch', () => {
  it('brings the message to the consumer and ends on its completion', async () => {
    const a = new TestConsumer('a')
    const made = group(a)
    const dispatch = made.dispatch({ order: 7 }, { key: 'k', timeoutMs: 60_000 })
    expect(a.messages).toEqual([{ order: 7 }])
    const { context, complete } = a.received[0]
    expect(context).toMatchObject({ group: 'work', attempt: 1, key: 'k' })
    expect(Math.abs((context.deadline ?? 0) - (Date.now() + 60_000))).toBeLessThan(5_000)
    expect(context.signal.aborted).toBe(false)
    expect(made.inFlight).toBe(1)
    complete({ done: true })
    const outcome = await dispatch
    expect(outcome).toMatchObject({ value: { done: true }, deliveredTo: 'a', attempts: 1, reroutedFrom: [] })
    expect(outcome.durationMs).toBeGreaterThanOrEqual(outcome.queuedMs)
    expect(made.inFlight).toBe(0)
  })

  it('fails with what the consumer rejects it with, and is not run again', async () => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const made = group(a, b)
    const dispatch = made.dispatch(1)
    const cause = new Error('bad order')
    a.received[0].reject(cause)
    expect(await dispatchError(dispatch)).toMatchObject({ code: 'RESPONDER_FAILED', cause, attempts: 1 })
    expect(b.received).toEqual([])
    expect(made.consumer('a')?.failed).toBe(1)
  })

  it('fails if the consumer throws where it should promise', async () => {
    const a = new TestConsumer('a')
    a.onDelivery = () => {}
    a.deliver = () => {
      throw new Error('at once')
    }
    const made = group(a)
    expect((await dispatchError(made.dispatch(1))).code).toBe('RESPONDER_FAILED')
    expect(made.inFlight).toBe(0)
  })
})

describe('a consumer that ends during a dispatch', () => {
  it.each(['error', 'killed', 'noconnection'] as const)(
    'by %s is left out, and another one gets the message',
    async (is) => {
      const [a, b] = [new TestConsumer('a'), new TestConsumer('b')]
      const made = group(a, b)
      const started = performance.now()
      const dispatch = made.dispatch('m')
      const cause = new Error('boom')
      a.end({ is, cause })
      expect(made.consumer('a')).toBeNull()
      await b.got(1)
      expect(b.received[0]).toMatchObject({ message: 'm', context: { attempt: 2 } })
      b.received[0].complete('by b')
      const outcome = await dispatch
      expect(outcome).toMatchObject({ value: 'by b', deliveredTo: 'b', attempts: 2 })
      expect(outcome.reroutedFrom).toHaveLength(1)
      const [reroute] = outcome.reroutedFrom
      expect(reroute).toMatchObject({ consumer: 'a', attempt: 1, reason: is, cause })
      const { observedAt, startedAt, microseconds } = reroute
      if (observedAt === null || startedAt === null) throw new Error('Both are on the clock of this process.')
      expect(observedAt).toBeGreaterThanOrEqual(started)
      expect(startedAt).toBeGreaterThanOrEqual(observedAt)
      expect(microseconds).toBeCloseTo((startedAt - observedAt) * 1_000, 6)
    },
  )

  it('is replaced within a millisecond', async () => {
    const microseconds: number[] = []
    for (let round = 0; round < 200; round++) {
      const [a, b] = [new TestConsumer('a'), completing('b')]
      const dispatch = group(a, b).dispatch(round)
      a.end()
      microseconds.push((await dispatch).reroutedFrom[0].microseconds)
    }
    microseconds.sort((one, other) => one - other)
    expect(microseconds[Math.floor(microseconds.length * 0.9)]).toBeLessThan(1_000)
  })

  it('late, long after the delivery, loses nothing', async () => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const dispatch = group(a, b).dispatch(1)
    for (let count = 0; count < 50; count++) await turn()
    a.end()
    expect((await dispatch).deliveredTo).toBe('b')
  })

  it('normally fails the dispatch and runs nothing twice: it may have done the work', async () => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const dispatch = group(a, b).dispatch(1)
    a.end(NORMAL)
    const error = await dispatchError(dispatch)
    expect(error).toMatchObject({ code: 'PARTICIPANT_GONE', attempts: 1, reroutedFrom: [] })
    expect(error.message).toContain('ended normally')
    expect(b.received).toEqual([])
  })

  it.each([NORMAL, KILLED])('in the same turn in which it completed has completed: $is', async (exit) => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const made = group(a, b)
    const dispatch = made.dispatch(1)
    a.received[0].complete('done')
    a.end(exit)
    expect(await dispatch).toMatchObject({ value: 'done', deliveredTo: 'a', attempts: 1 })
    expect(b.received).toEqual([])
  })

  it('right after it completed through a chain of promises has completed', async () => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const deliver = a.deliver.bind(a)
    a.deliver = async (message, context) => {
      const value = await deliver(message, context)
      for (let step = 0; step < 20; step++) await null
      return value
    }
    const dispatch = group(a, b).dispatch(1)
    a.received[0].complete('done')
    queueMicrotask(() => a.end())
    expect((await dispatch).value).toBe('done')
    expect(b.received).toEqual([])
  })

  it('after its completion is no crash', async () => {
    const [a, b] = [completing('a'), completing('b')]
    const made = group(a, b)
    expect((await made.dispatch(1)).reroutedFrom).toEqual([])
    a.end(NORMAL)
    expect((await made.dispatch(2)).deliveredTo).toBe('b')
    expect(b.messages).toEqual([2])
  })

  it('and answers afterwards is refused', async () => {
    const refused: AnswerRefused[] = []
    const listen = (event: unknown): void => {
      refused.push(event as AnswerRefused)
    }
    subscribe(ANSWER_REFUSED, listen)
    const [a, b] = [new TestConsumer('a'), new TestConsumer('b')]
    const made = group(a, b)
    const dispatch = made.dispatch(1)
    a.end()
    const second = await b.got(1)
    a.received[0].complete('too late')
    second.complete('in time')
    expect((await dispatch).value).toBe('in time')
    unsubscribe(ANSWER_REFUSED, listen)
    expect(refused).toEqual([{ group: 'work', consumer: 'a', attempt: 1, error: undefined }])
    expect(made.refusedAnswers).toBe(1)
  })

  it('is passed over from then on, one after the other, until the attempts are used up', async () => {
    const consumers = ['a', 'b', 'c', 'd'].map((id) => new TestConsumer(id))
    const made = group(...consumers)
    const dispatch = made.dispatch('poison', { maxAttempts: 3 })
    for (const consumer of consumers.slice(0, 3)) {
      await consumer.got(1)
      consumer.end({ is: 'error', cause: new Error(consumer.id) })
    }
    const error = await dispatchError(dispatch)
    expect(error).toMatchObject({ code: 'PARTICIPANT_GONE', attempts: 3 })
    expect(error.reroutedFrom.map(({ consumer }) => consumer)).toEqual(['a', 'b'])
    expect(error.message).toContain("'c' ended")
    expect(consumers[3].received).toEqual([])
    expect(made.size).toBe(1)
  })

  it('and was the last one leaves the message nobody, or lets it wait for another', async () => {
    const a = new TestConsumer('a')
    const made = group(a)
    const failing = made.dispatch(1, { whenUnavailable: 'fail' })
    a.end()
    expect(await dispatchError(failing)).toMatchObject({ code: 'NO_RESPONDER', attempts: 1 })
    const b = new TestConsumer('b')
    made.join(b)
    const waiting = made.dispatch(2)
    b.end()
    await turn()
    expect(made.waiting).toBe(1)
    made.join(completing('c'))
    expect(await waiting).toMatchObject({ deliveredTo: 'c', attempts: 2 })
  })

  it('loses none of the many messages that it had', async () => {
    const a = new TestConsumer('a', { capacity: 64 })
    const b = completing('b', { capacity: 8 })
    const made = group(a, b)
    const dispatches = Array.from({ length: 64 }, (_, index) => made.dispatch(index))
    for (const received of a.received.slice(0, 10)) received.complete('a')
    a.end()
    const outcomes = await Promise.all(dispatches)
    expect(outcomes.filter(({ deliveredTo }) => deliveredTo === 'a')).toHaveLength(10)
    expect(outcomes.filter(({ deliveredTo }) => deliveredTo === 'b')).toHaveLength(54)
    expect(b.messages.sort((one, other) => Number(one) - Number(other))).toEqual(
      Array.from({ length: 54 }, (_, at) => at + 10),
    )
  })

  it('is said on the diagnostics channels', async () => {
    const events: unknown[] = []
    const listen = (event: unknown): void => {
      events.push(event)
    }
    for (const name of [CONSUMER_ENDED, DISPATCH_REROUTED]) subscribe(name, listen)
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const dispatch = group(a, b).dispatch(1)
    a.end()
    const { reroutedFrom } = await dispatch
    for (const name of [CONSUMER_ENDED, DISPATCH_REROUTED]) unsubscribe(name, listen)
    expect(events).toEqual([
      { group: 'work', consumer: 'a', exit: KILLED, inFlight: 1 },
      { group: 'work', reroute: reroutedFrom[0] },
    ])
  })

  it('may be the one that is told first that it is full: its waiting messages go elsewhere', async () => {
    const toA = routingFunction('a while it is there', ({ consumers }) => consumers.get('a')?.id ?? 'b')
    const made = new ConsumerGroup('work', { routing: toA })
    const [a, b] = [new TestConsumer('a'), completing('b', { capacity: 2 })]
    made.join(a)
    made.join(b)
    const [first, second] = [made.dispatch(1), made.dispatch(2)]
    expect(made.waiting).toBe(1)
    a.end()
    expect((await first).deliveredTo).toBe('b')
    expect(await second).toMatchObject({ deliveredTo: 'b', attempts: 1, reroutedFrom: [] })
  })
})

describe('a message that is handed back', () => {
  it('goes to another consumer, and not to the same again', async () => {
    const [a, b] = [new TestConsumer('a'), completing('b')]
    const made = group(a, b)
    const dispatch = made.dispatch(1)
    const cause = new HandedBackError('The lease is over.')
    a.received[0].reject(cause)
    const outcome = await dispatch
    expect(outcome).toMatchObject({ deliveredTo: 'b', attempts: 2 })
    expect(outcome.reroutedFrom).toMatchObject([{ consumer: 'a', reason: 'handed-back', cause }])
    expect(made.consumer('a')).toMatchObject({ inFlight: 0, available: 1, failed: 0 })
  })

  it('by the only consumer waits for another one', async () => {
    const a = new TestConsumer('a')
    const made = new ConsumerGroup('work', { routing: leastLoaded() })
    made.join(a)
    const dispatch = made.dispatch(1)
    a.received[0].reject(new HandedBackError('Not now.'))
    await rejection(made.dispatch(2, { timeoutMs: 0 }))
    expect(made.waiting).toBe(1)
    made.join(completing('b'))
    expect((await dispatch).deliveredTo).toBe('b')
    expect(a.messages).toEqual([1, 2])
  })
})

describe('a dispatch that nobody waits for any more', () => {
  it('times out; its consumer is told, keeps its place until it is done, and its answer is refused', async () => {
    const a = new TestConsumer('a')
    const made = group(a)
    const error = dispatchError(made.dispatch(1, { timeoutMs: 20 }))
    const { context, complete } = a.received[0]
    const { signal } = context
    expect((await error).code).toBe('TIMEOUT')
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ code: 'TIMEOUT' })
    expect(made.inFlight).toBe(1)
    const next = made.dispatch(2)
    expect(made.waiting).toBe(1)
    complete('too late')
    const second = await a.got(2)
    expect(made.refusedAnswers).toBe(1)
    second.complete('b')
    expect((await next).value).toBe('b')
  })

  it('is aborted, before it begins, while it waits, and while it is worked at', async () => {
    const a = new TestConsumer('a')
    const made = group(a)
    const reason = new Error('enough')
    expect(await rejection(made.dispatch(0, { signal: AbortSignal.abort(reason) }))).toMatchObject({ code: 'ABORTED' })
    expect(a.received).toEqual([])
    const controller = new AbortController()
    const working = dispatchError(made.dispatch(1, { signal: controller.signal }))
    const waiting = dispatchError(made.dispatch(2, { signal: controller.signal }))
    expect(made.waiting).toBe(1)
    controller.abort(reason)
    expect(await working).toMatchObject({ code: 'ABORTED', cause: reason, attempts: 1 })
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason, attempts: 0 })
    expect(made.waiting).toBe(0)
    expect(a.received[0].context.signal.aborted).toBe(true)
    a.end()
    expect(made.inFlight).toBe(1)
    await turn()
    expect(made.inFlight).toBe(0)
  })
})

describe('a dispatch that its own routing function aborts', () => {
  it('is settled and waits nowhere', async () => {
    const controller = new AbortController()
    const aborting = routingFunction('aborting', async ({ consumers }) => {
      controller.abort()
      return consumers.next()?.id ?? null
    })
    const made = new ConsumerGroup('work', { routing: aborting })
    const a = completing('a')
    made.join(a)
    expect((await dispatchError(made.dispatch(1, { signal: controller.signal }))).code).toBe('ABORTED')
    await turn()
    expect([made.waiting, made.inFlight, a.received.length]).toEqual([0, 0, 0])
  })
})

describe('ten thousand dispatches', () => {
  it('leave nothing behind', async () => {
    const made = new ConsumerGroup('work')
    const consumers = ['a', 'b', 'c', 'd'].map((id) => completing(id, { capacity: 4 }))
    for (const consumer of consumers) made.join(consumer)
    const { signal } = new AbortController()
    const warnings: Error[] = []
    const warned = (warning: Error): void => {
      warnings.push(warning)
    }
    process.on('warning', warned)
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    for (let batch = 0; batch < 100; batch++) {
      const dispatches = Array.from({ length: 100 }, (_, index) => made.dispatch(index, { signal, timeoutMs: 60_000 }))
      if (batch % 10 === 0) {
        consumers[0].end()
        consumers[0] = completing('a', { capacity: 4 })
        made.join(consumers[0])
      }
      await Promise.all(dispatches)
    }
    expect([made.inFlight, made.waiting, made.size]).toEqual([0, 0, 4])
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(warnings).toEqual([])
    for (const consumer of consumers) expect(consumer.listeners.size).toBe(1)
    for (const view of made.consumers()) expect(view.inFlight).toBe(0)
    expect(timers()).toBe(before)
    process.off('warning', warned)
    await made.close()
    for (const consumer of consumers) expect(consumer.listeners.size).toBe(0)
  })
})

describe('consumers in processes of their own', () => {
  const started: ProcessConsumer[] = []

  afterEach(async () => {
    for (const { process } of started.splice(0)) {
      if (process.exitCode !== null || process.signalCode !== null) continue
      const ended = new Promise((resolve) => process.once('exit', resolve))
      process.kill('SIGKILL')
      await ended
    }
  })

  it('are killed, and what they had is finished by another', async () => {
    const made = new ConsumerGroup<string, string>('work', { routing: inOrder })
    for (const id of ['a', 'b']) {
      const consumer = new ProcessConsumer(id)
      started.push(consumer)
      made.join(consumer)
    }
    const [a, b] = started
    expect((await made.dispatch('hello')).value).toBe(`hello by ${a.process.pid}`)
    const dispatches = ['keep', 'keep', 'keep'].map((message) => made.dispatch(message))
    await a.kept.promise
    a.process.kill('SIGKILL')
    for (const outcome of await Promise.all(dispatches)) {
      expect(outcome).toMatchObject({ value: `keep by ${b.process.pid}`, deliveredTo: 'b', attempts: 2 })
      expect(outcome.reroutedFrom).toMatchObject([{ consumer: 'a', reason: 'noconnection', cause: 'SIGKILL' }])
    }
    expect(made.size).toBe(1)
  })
})
