import { afterEach, describe, expect, it, vi } from 'vitest'
import { ConsumerGroup, HandedBackError, roundRobin, routingFunction } from '../../ts/routing/index.ts'
import { completing, NORMAL, rejection, TestConsumer } from './consumers.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('joining', () => {
  it('takes effect on the next dispatch, and at once for messages that wait', async () => {
    const made = new ConsumerGroup('work')
    const waiting = made.dispatch(1)
    expect(made.waiting).toBe(1)
    made.join(completing('a'))
    expect((await waiting).deliveredTo).toBe('a')
    made.join(completing('b'))
    const next = [await made.dispatch(2), await made.dispatch(3)]
    expect(next.map(({ deliveredTo }) => deliveredTo).sort()).toEqual(['a', 'b'])
    expect([...made.consumers()].map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('is refused for an id that is taken, until its consumer has left or ended', async () => {
    const made = new ConsumerGroup('work')
    const first = new TestConsumer('a')
    const membership = made.join(first)
    expect(() => made.join(completing('a'))).toThrow(/has a consumer 'a' already/)
    const kept = made.dispatch(1)
    const leaving = membership.leave()
    made.join(completing('a'))
    expect((await made.dispatch(2)).value).toBe('a')
    first.received[0].complete('old a')
    await leaving
    expect((await kept).value).toBe('old a')
    expect(made.size).toBe(1)
  })

  it('is refused for a consumer that has ended already', () => {
    const made = new ConsumerGroup('work')
    const dead = new TestConsumer('a')
    dead.end()
    expect(() => made.join(dead)).toThrow(/has ended already \(killed\)/)
    expect(made.size).toBe(0)
  })

  it('is refused for what is no consumer', () => {
    const made = new ConsumerGroup('work')
    expect(() => made.join(new TestConsumer('a', { capacity: 0 }))).toThrow(/consumer.capacity/)
    expect(() => made.join(new TestConsumer('a', { capacity: 1.5 }))).toThrow(/consumer.capacity/)
    expect(() => made.join(new TestConsumer(''))).toThrow(/consumer.id/)
    expect(() => made.join(new TestConsumer('a', { tags: [''] }))).toThrow(/consumer.tags/)
    const tags = Array.from({ length: 65 }, (_, index) => `t${index}`)
    expect(() => made.join(new TestConsumer('a', { tags }))).toThrow(/at most 64 tags/)
    expect(made.size).toBe(0)
  })
})

describe('a consumer that has ended', () => {
  it('leaves at once and is never chosen', async () => {
    const made = new ConsumerGroup('work')
    const dead = new TestConsumer('dead')
    const membership = made.join(dead)
    made.join(completing('alive'))
    dead.end()
    expect([made.size, membership.isJoined, made.consumer('dead')]).toEqual([1, false, null])
    for (let count = 0; count < 4; count++) expect((await made.dispatch(count)).deliveredTo).toBe('alive')
    await membership.leave()
  })

  it('but did not say so is passed over when it hands back what it is given', async () => {
    const made = new ConsumerGroup('work')
    const deaf = new TestConsumer('deaf')
    deaf.onDelivery = ({ reject }) => reject(new HandedBackError('The connection is gone.'))
    made.join(deaf)
    made.join(completing('alive'))
    for (let count = 0; count < 4; count++) expect((await made.dispatch(count)).deliveredTo).toBe('alive')
  })

  it('and says so twice is heard once', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a')
    made.join(a)
    const [listener] = a.listeners
    const dispatch = made.dispatch(1)
    listener({ is: 'killed', cause: 'first' })
    listener({ is: 'normal', cause: 'second' })
    made.join(completing('b'))
    expect((await dispatch).reroutedFrom).toMatchObject([{ reason: 'killed', cause: 'first' }])
  })
})

describe('leaving', () => {
  it('takes effect on the next dispatch and waits for what is in flight', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a', { capacity: 2 })
    const membership = made.join(a)
    const [first, second] = [made.dispatch(1), made.dispatch(2)]
    let hasLeft = false
    const left = membership.leave().then(() => {
      hasLeft = true
    })
    expect([made.size, made.inFlight, membership.consumer.available]).toEqual([0, 2, 0])
    const waiting = made.dispatch(3)
    a.received[0].complete()
    await first
    expect([hasLeft, a.listeners.size]).toEqual([false, 1])
    a.received[1].complete()
    await left
    await second
    expect(a.messages).toEqual([1, 2])
    expect(a.listeners.size).toBe(0)
    made.join(completing('b'))
    expect((await waiting).deliveredTo).toBe('b')
    await membership.leave()
  })

  it('stops waiting at its deadline, and what is completed later still counts', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a')
    const membership = made.join(a)
    const dispatch = made.dispatch(1)
    expect((await rejection(membership.leave({ timeoutMs: 10 }))).code).toBe('TIMEOUT')
    const signal = AbortSignal.abort()
    expect((await rejection(membership.leave({ signal }))).code).toBe('ABORTED')
    a.received[0].complete('late')
    expect((await dispatch).value).toBe('late')
    await membership.leave()
  })

  it('is over when the consumer ends, and what it had goes elsewhere', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a')
    const membership = made.join(a)
    const dispatch = made.dispatch(1)
    const left = membership.leave()
    made.join(completing('b'))
    a.end()
    await left
    expect((await dispatch).deliveredTo).toBe('b')
  })

  it('sends messages that wait for this very consumer elsewhere', async () => {
    const preferA = routingFunction(
      'prefer a',
      ({ consumers }) => consumers.get('a')?.id ?? consumers.next()?.id ?? null,
    )
    const made = new ConsumerGroup('work', { routing: preferA })
    const a = new TestConsumer('a')
    const membership = made.join(a)
    made.join(completing('b'))
    void made.dispatch(1)
    const waiting = made.dispatch(2)
    expect(made.waiting).toBe(1)
    const left = membership.leave()
    expect((await waiting).deliveredTo).toBe('b')
    a.received[0].complete()
    await left
  })
})

describe('the live state', () => {
  it('follows the dispatches', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a', { capacity: 2, tags: ['gpu', 'gpu'] })
    const { consumer } = made.join(a)
    expect(consumer).toMatchObject({
      inFlight: 0,
      capacity: 2,
      available: 2,
      latencyMs: null,
      completed: 0,
      tags: ['gpu'],
    })
    const [first, second] = [made.dispatch(1), made.dispatch(2)]
    expect(consumer).toMatchObject({ inFlight: 2, available: 0 })
    vi.advanceTimersByTime(100)
    a.received[0].complete()
    await first
    expect(consumer).toMatchObject({ inFlight: 1, available: 1, latencyMs: 100, completed: 1 })
    vi.advanceTimersByTime(100)
    a.received[1].complete()
    await second
    expect(consumer).toMatchObject({ inFlight: 0, latencyMs: 120, completed: 2, failed: 0 })
    expect(made.consumer('a')).toBe(consumer)
  })

  it('respects each consumer’s capacity, also when that changes', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a', { capacity: 2 })
    const membership = made.join(a)
    const dispatches = Array.from({ length: 8 }, (_, index) => made.dispatch(index))
    expect([a.received.length, made.waiting]).toEqual([2, 6])
    membership.resize(5)
    expect([a.received.length, made.waiting]).toEqual([5, 3])
    membership.resize(1)
    expect(membership.consumer.available).toBe(0)
    for (const received of a.received.slice(0, 5)) received.complete()
    await Promise.all(dispatches.slice(0, 5))
    expect([a.received.length, made.inFlight]).toEqual([6, 1])
    expect(() => membership.resize(0)).toThrow(/capacity/)
    membership.resize(9)
    expect(a.received.length).toBe(8)
    for (const received of a.received) received.complete()
    await Promise.all(dispatches)
    expect(a.messages).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})

describe('a dispatch without a consumer that has room', () => {
  it('fails at once if told to, and says why', async () => {
    const made = new ConsumerGroup('work')
    const none = await rejection(made.dispatch(1, { whenUnavailable: 'fail' }))
    expect(none).toMatchObject({ code: 'NO_RESPONDER', retryable: true })
    expect(none.message).toContain('the group has no consumer')
    made.join(new TestConsumer('a'))
    void made.dispatch(2)
    const full = await rejection(made.dispatch(3, { whenUnavailable: 'fail' }))
    expect(full.message).toContain('none of its 1 consumers can take it')
  })

  it('waits in order, up to the cap', async () => {
    const made = new ConsumerGroup('work', { maxWaiting: 2 })
    const dispatches = [made.dispatch(1), made.dispatch(2)]
    expect(await rejection(made.dispatch(3))).toMatchObject({ code: 'LIMIT_EXCEEDED', retryable: true })
    const a = completing('a')
    made.join(a)
    await Promise.all(dispatches)
    expect(a.messages).toEqual([1, 2])
  })

  it('waits no longer than it may', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const made = new ConsumerGroup('work')
    const [short, long] = [rejection(made.dispatch(1, { waitMs: 50 })), rejection(made.dispatch(2))]
    vi.advanceTimersByTime(50)
    expect((await short).message).toContain('no consumer with room within 50 ms')
    expect(made.waiting).toBe(1)
    vi.advanceTimersByTime(30_000)
    expect(await long).toMatchObject({ code: 'TIMEOUT' })
    expect(made.waiting).toBe(0)
  })

  it('may be asked about while consumers run within the delivery and dispatch themselves', async () => {
    const made = new ConsumerGroup('work')
    const inner: Promise<unknown>[] = []
    const a = new TestConsumer('a', { capacity: 3 })
    a.onDelivery = ({ message, complete }) => {
      if (Number(message) < 100) inner.push(made.dispatch(Number(message) + 100))
      complete()
    }
    const dispatches = Array.from({ length: 10 }, (_, index) => made.dispatch(index))
    made.join(a)
    await Promise.all(dispatches)
    await Promise.all(inner)
    expect(a.received).toHaveLength(20)
    expect([made.waiting, made.inFlight]).toEqual([0, 0])
  })

  it('is not forgotten if room appears while its routing function is still at it', async () => {
    const slow = routingFunction('slow', async ({ consumers }) => {
      const next = consumers.next()?.id ?? null
      await new Promise((resolve) => setImmediate(resolve))
      return next
    })
    const made = new ConsumerGroup('work', { routing: slow })
    const dispatches = Array.from({ length: 20 }, (_, index) => made.dispatch(index))
    expect(made.waiting).toBe(20)
    const consumers = ['a', 'b', 'c'].map((id) => completing(id))
    for (const consumer of consumers) made.join(consumer)
    await Promise.all(dispatches)
    expect(consumers.flatMap(({ messages }) => messages)).toHaveLength(20)
  })
})

describe('a consumer that joins while the routing function says that there is none', () => {
  it.each(['wait', 'fail'] as const)('is found all the same: %s', async (whenUnavailable) => {
    const late = completing('late')
    const joining = routingFunction('joining', ({ consumers }) => {
      const next = consumers.next()?.id ?? null
      if (next === null) made.join(late)
      return next
    })
    const made = new ConsumerGroup('work', { routing: joining })
    expect((await made.dispatch(1, { whenUnavailable })).deliveredTo).toBe('late')
  })
})

describe('closing', () => {
  it('fails what waits, finishes what is in flight, and takes nothing more', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a')
    made.join(a)
    const working = made.dispatch(1)
    const waiting = rejection(made.dispatch(2))
    const closed = made.close()
    expect((await waiting).code).toBe('SHUTTING_DOWN')
    expect((await rejection(made.dispatch(3))).code).toBe('SHUTTING_DOWN')
    expect(() => made.join(completing('b'))).toThrow(/is closing/)
    a.received[0].complete('done')
    expect((await working).value).toBe('done')
    await closed
    expect((await rejection(made.dispatch(4))).code).toBe('CLOSED')
    expect([made.size, a.listeners.size]).toEqual([0, 0])
    await made.close()
  })

  it('ends at its deadline whatever the consumers do', async () => {
    const made = new ConsumerGroup('work')
    const a = new TestConsumer('a')
    made.join(a)
    const working = rejection(made.dispatch(1))
    const { signal } = a.received[0].context
    await made.close({ timeoutMs: 10 })
    expect((await working).code).toBe('SHUTTING_DOWN')
    expect(signal.aborted).toBe(true)
    a.received[0].complete()
    a.end(NORMAL)
  })

  it('comes with the end of its block', async () => {
    const a = completing('a')
    {
      await using made = new ConsumerGroup('work', { routing: roundRobin() })
      made.join(a)
      await made.dispatch(1)
    }
    expect(a.listeners.size).toBe(0)
  })
})

describe('options', () => {
  it('are checked before anything is done', async () => {
    expect(() => new ConsumerGroup('')).toThrow(/name/)
    expect(() => new ConsumerGroup('work', { maxWaiting: -1 })).toThrow(/maxWaiting/)
    const misspelt: object = { maxWaitng: 1 }
    expect(() => new ConsumerGroup('work', misspelt)).toThrow(/Did you mean 'maxWaiting'/)
    const made = new ConsumerGroup('work')
    for (const options of [{ timeoutMs: -1 }, { waitMs: Number.NaN }, { maxAttempts: 0 }]) {
      expect((await rejection(made.dispatch(1, options))).code).toBe('INVALID_ARGUMENT')
    }
    expect(made.waiting).toBe(0)
  })
})
