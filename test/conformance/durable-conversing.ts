import { expect, it } from 'vitest'
import type { BehaviourContext, Bus, Conversation, ConverseOptions } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import type { Backing, Setup } from './suite.ts'
import { deferred, failure, numbers } from './tools.ts'

const never = (): Promise<never> => new Promise(() => {})

/** Times that one request is begun, at most. */
const MOST_ATTEMPTS = 16

/** Conversations that their journal carries. */
export function durableConversingTests(setup: Setup): void {
  /** A backing with buses on it, on a store that another backing may have had before. */
  async function life(store = new MemoryStore()): Promise<{ backing: Backing; asker: Bus; answerer: Bus }> {
    const backing = await setup({ store })
    return { backing, asker: await backing.bus(), answerer: await backing.bus() }
  }

  function open(bus: Bus, options: ConverseOptions = {}): Promise<Conversation> {
    return bus.converse('order', { durable: true, key: 'o-1', ...options })
  }

  async function respond(bus: Bus, behaviour: (value: unknown, context: BehaviourContext) => unknown): Promise<void> {
    await bus.respond('order', behaviour).ready()
  }

  it('need somewhere to be kept', async () => {
    const bus = await (await setup()).bus()
    await failure(() => open(bus), 'NOT_SUPPORTED')
  })

  it('wait for somebody who answers', async () => {
    const { asker, answerer, backing } = await life()
    const conversation = await open(asker)
    const asked = conversation.request(1)
    await backing.settled()
    await respond(answerer, (value) => [value])
    expect(await asked).toEqual([1])
    await failure(() => asker.ask('nobody', 1), 'NO_RESPONDER')
  })

  it('answer a request with an id once, whoever asks, and however often', async () => {
    const { asker, answerer } = await life()
    const gate = deferred()
    let runs = 0
    await respond(answerer, async (value) => {
      runs++
      await gate.promise
      return [value, runs]
    })
    const [one, other] = [await open(asker), await open(answerer)]
    const both = Promise.all([one.request('a', { requestId: 'r' }), other.request('b', { requestId: 'r' })])
    gate.resolve()
    const [first, second] = await both
    expect(second).toEqual(first)
    expect(await one.request('c', { requestId: 'r' })).toEqual(first)
    expect(await one.request('d', { requestId: 'another' })).toEqual(['d', 2])
    expect(runs).toBe(2)
  })

  it('repeat what a behaviour threw as they repeat a reply', async () => {
    const { asker, answerer } = await life()
    let runs = 0
    await respond(answerer, () => {
      throw new RangeError(`out of range ${++runs}`)
    })
    const conversation = await open(asker)
    for (const _ of [1, 2]) {
      const error = await failure(() => conversation.request(1, { requestId: 'r' }), 'RESPONDER_FAILED')
      expect(error.message).toContain('out of range 1')
    }
    expect(runs).toBe(1)
  })

  it('record a step once: whoever goes on gets its output, and does what is not done', async () => {
    const { asker, answerer, backing } = await life()
    const dying = await backing.bus()
    const ran: string[] = []
    const tokens: string[] = []
    const stuck = deferred()
    const step = (context: BehaviourContext, who: string, name: string, index: number) =>
      context.step(name, ({ token }) => {
        ran.push(`${who} ${name} ${index}`)
        tokens.push(token)
        return { who, index }
      })
    const first = dying.respond('order', async (_, context) => {
      await step(context, 'first', 'charge', 0)
      await step(context, 'first', 'mail', 0)
      await step(context, 'first', 'mail', 1)
      stuck.resolve()
      return never()
    })
    await first.ready()
    const asked = (await open(asker)).request('book', { timeoutMs: 20_000 })
    await stuck.promise
    await respond(answerer, async (_, context) => [
      await step(context, 'second', 'ship', 0),
      await step(context, 'second', 'mail', 0),
      await step(context, 'second', 'charge', 0),
      await step(context, 'second', 'mail', 1),
      await step(context, 'second', 'mail', 2),
      context.attempt,
    ])
    backing.crash(dying, first)
    const of = (who: string, index: number) => ({ who, index })
    expect(await asked).toEqual([of('second', 0), of('first', 0), of('first', 0), of('first', 1), of('second', 2), 2])
    expect(ran).toEqual(['first charge 0', 'first mail 0', 'first mail 1', 'second ship 0', 'second mail 2'])
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  it('count the failures of a step, and run it again with the same token', async () => {
    const { asker, answerer } = await life()
    const runs: unknown[] = []
    await respond(answerer, async (_, { step }) => {
      const charge = () =>
        step('charge', ({ attempt, token }) => {
          runs.push([attempt, token])
          if (attempt < 3) throw new Error('not yet')
          return 'charged'
        })
      for (const _ of [1, 2]) await expect(charge()).rejects.toThrow('not yet')
      return await charge()
    })
    expect(await (await open(asker)).request(1)).toBe('charged')
    const [[, token]] = runs as [[number, string]]
    expect(runs).toEqual([1, 2, 3].map((attempt) => [attempt, token]))
  })

  it('count how often a request is begun, also across restarts, and give it up after so many times', async () => {
    const store = new MemoryStore()
    const attempts: number[] = []
    for (const _ of numbers(MOST_ATTEMPTS)) {
      const { backing, asker, answerer } = await life(store)
      const begun = deferred()
      await respond(answerer, (_value, { attempt }) => {
        attempts.push(attempt)
        begun.resolve()
        return never()
      })
      const asked = (await open(asker)).request('kill', { requestId: 'r', timeoutMs: 60_000 }).catch(() => {})
      await begun.promise
      await backing.close()
      await asked
    }
    expect(attempts).toEqual(numbers(MOST_ATTEMPTS).map((index) => index + 1))
    const { asker, answerer } = await life(store)
    await respond(answerer, () => attempts.push(-1))
    const conversation = await open(asker)
    await failure(() => conversation.request('kill', { requestId: 'r' }), 'RESPONDER_FAILED')
    expect(attempts).toHaveLength(MOST_ATTEMPTS)
    expect(await conversation.request('more', { requestId: 'another' })).toBe(MOST_ATTEMPTS + 1)
  })

  it('go on under their key for whoever opens it, as they were begun, after a restart too', async () => {
    const store = new MemoryStore()
    const before = await life(store)
    await respond(before.answerer, (value) => [value])
    const one = await open(before.asker)
    expect([one.subject, one.key]).toEqual(['order', 'o-1'])
    expect(await one.request(1, { requestId: 'first' })).toEqual([1])
    const other = await open(before.answerer)
    expect(await other.request('anything', { requestId: 'first' })).toEqual([1])
    expect(before.backing.conversations()).toBe(1)
    const another = await open(before.asker, { key: 'o-2' })
    expect(await another.request(2, { requestId: 'first' })).toEqual([2])
    await before.backing.close()

    const { backing, asker, answerer } = await life(store)
    expect(backing.conversations()).toBe(2)
    const again = await open(asker)
    // From the journal: nobody is there to answer.
    expect(await again.request('anything', { requestId: 'first' })).toEqual([1])
    const asked = again.request(2)
    await respond(answerer, (value) => ({ value }))
    expect(await asked).toEqual({ value: 2 })
  })

  it('answer after the wait has ended, whoever asks again', async () => {
    const { asker, answerer } = await life()
    const gate = deferred()
    await respond(answerer, () => gate.promise.then(() => 'late'))
    const conversation = await open(asker)
    await failure(() => conversation.request(1, { requestId: 'r', timeoutMs: 20 }), 'TIMEOUT')
    const again = conversation.request(1, { requestId: 'r' })
    gate.resolve()
    expect(await again).toBe('late')
  })

  it('are over for all once somebody closes them: what was answered is told still, and nothing new', async () => {
    const { asker, answerer, backing } = await life()
    await respond(answerer, (value) => (value === 'hang' ? never() : [value]))
    const [one, other] = [await open(asker), await open(answerer)]
    expect(await one.request(1, { requestId: 'first' })).toEqual([1])
    const hanging = failure(() => other.request('hang'), 'CONVERSATION_CLOSED')
    await backing.settled()
    await one.close('enough')
    await hanging
    await Promise.all([one.closed, other.closed])
    expect(backing.conversations()).toBe(0)
    for (const conversation of [other, await open(asker)]) {
      expect(await conversation.request(2, { requestId: 'first' })).toEqual([1])
      await failure(() => conversation.request(3), 'CONVERSATION_CLOSED')
    }
    await failure(() => one.request(3), 'CONVERSATION_CLOSED')
  })

  it('end at their deadline, with what is underway', async () => {
    const { asker, answerer, backing } = await life()
    await respond(answerer, never)
    const conversation = await open(asker, { deadlineMs: 60 })
    await failure(() => conversation.request(1, { requestId: 'r', timeoutMs: 20_000 }), 'TIMEOUT')
    await failure(() => conversation.closed, 'TIMEOUT')
    expect(backing.conversations()).toBe(0)
    const again = await open(asker)
    await failure(() => again.request(1, { requestId: 'r' }), 'TIMEOUT')
    await failure(() => again.request(2), 'TIMEOUT')
  })

  it('end at their deadline though nobody was there when it passed', async () => {
    const store = new MemoryStore()
    const before = await life(store)
    const conversation = await open(before.asker, { deadlineMs: 300 })
    const ended = conversation.request(1, { requestId: 'r', timeoutMs: 20_000 }).catch(() => {})
    await before.backing.settled()
    await before.backing.close()
    await ended
    const { asker } = await life(store)
    const again = await open(asker)
    await failure(() => again.closed, 'TIMEOUT')
    await failure(() => again.request(1, { requestId: 'r' }), 'TIMEOUT')
  })

  it('refuse parts of replies, and ids where nothing is recorded', async () => {
    const { asker, answerer } = await life()
    await respond(answerer, (value) => value)
    const conversation = await open(asker)
    await failure(async () => {
      for await (const part of conversation.stream(1)) throw new Error(`It gave ${part}.`)
    }, 'NOT_SUPPORTED')
    await using ephemeral = await asker.converse('order')
    expect(ephemeral.key).toBeNull()
    await failure(() => ephemeral.request(1, { requestId: 'r' }), 'INVALID_ARGUMENT')
    await failure(() => asker.converse('order', { key: 'o-1' }), 'INVALID_ARGUMENT')
  })

  it('record the steps of a generator that only returns, and take an answer in parts for a failure', async () => {
    const { asker, answerer } = await life()
    let runs = 0
    await respond(answerer, async function* (value, { step, attempt }) {
      const charged = await step('charge', () => ++runs)
      if (value === 'parts') yield charged
      return [charged, attempt]
    })
    const conversation = await open(asker)
    expect(await conversation.request('one')).toEqual([1, 1])
    await failure(() => conversation.request('parts'), 'RESPONDER_FAILED')
    // Where nothing is durable a step simply runs.
    const parts: unknown[] = []
    for await (const part of asker.stream('order', 'parts')) parts.push(part)
    expect(parts).toEqual([3, [3, 1]])
  })

  it('take the answers of workers too, whose work has attempts and no steps', async () => {
    const { asker, answerer, backing } = await life()
    const dying = await backing.bus()
    const begun = deferred()
    const options = { identity: 'first', taskQueue: 'order' }
    const first = dying.worker.register(options, () => {
      begun.resolve()
      return never()
    })
    await first.ready()
    const conversation = await open(asker)
    const asked = conversation.request('book', { requestId: 'r', timeoutMs: 20_000 })
    await begun.promise
    const second = answerer.worker.register({ ...options, identity: 'second' }, (work, context) => [
      work,
      context.attempt,
      'step' in context,
    ])
    await second.ready()
    backing.crash(dying, first)
    expect(await asked).toEqual(['book', 2, false])
    await second.close()
    expect(await conversation.request('again', { requestId: 'r' })).toEqual(['book', 2, false])
  })
}
