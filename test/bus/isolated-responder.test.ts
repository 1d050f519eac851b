import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBus, type LocalBus, type ThreadResponder } from '../../ts/bus/index.ts'
import type { IsolationOptions } from '../../ts/conversation/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { failure, numbers } from '../conformance/tools.ts'

const module = (name: string): URL => new URL(`./modules/${name}.mjs`, import.meta.url)

let bus: LocalBus

beforeEach(async () => {
  bus = await createBus()
})

afterEach(async () => {
  await bus.close()
  expect(bus.processes.size).toBe(0)
})

async function respond(isolated: true | IsolationOptions = true, name = 'scripted'): Promise<ThreadResponder> {
  const responder = bus.respond('work', module(name), { isolated })
  await responder.ready()
  return responder
}

describe('a responder in worker threads', () => {
  it('answers, and knows what it is asked', async () => {
    await respond()
    expect(await bus.ask('work', { a: [1, 2] })).toEqual({ a: [1, 2] })
    expect(await bus.ask('work', null)).toBeNull()
    const causal = { parentId: 'p', vectorClockEntry: null }
    const { value } = await bus.dispatch('work', { do: 'context' }, { key: 'k', causal })
    expect(value).toEqual({ attempt: 1, subject: 'work', conversationId: 'bigint', key: 'k', causal })
  })

  it('says what it throws, and goes on', async () => {
    await respond()
    const error = await failure(() => bus.ask('work', { do: 'throw' }), 'RESPONDER_FAILED')
    expect(error.message).toContain('out of range')
    expect(error.cause).toMatchObject({ name: 'RangeError' })
    await failure(() => bus.ask('work', { do: 'uncloneable' }), 'RESPONDER_FAILED')
    expect(await bus.ask('work', 'still here')).toBe('still here')
  })

  it.each(['exit', 'uncaught', 'gobble'])(
    'contains a thread that ends (%s): the request fails at once, the next one is answered',
    async (what) => {
      await respond()
      const error = await failure(() => bus.ask('work', { do: what }, { timeoutMs: 20_000 }), 'PARTICIPANT_GONE')
      expect(error.cause).toMatchObject({ is: 'error' })
      expect(await bus.ask('work', 'after it')).toBe('after it')
    },
  )

  it.each(['exit', 'uncaught'])('gives the request to another thread if the asker wants that (%s)', async (what) => {
    await respond({ threads: 2 })
    const reply = await bus.ask('work', { do: what, once: true }, { onCrash: 'route-to-next', timeoutMs: 20_000 })
    expect(reply).toEqual({ attempt: 2, did: 'survived' })
    const outcome = await bus.dispatch('work', { do: what, once: true })
    expect(outcome).toMatchObject({ value: { attempt: 2, did: 'survived' }, attempts: 2 })
    expect(outcome.reroutedFrom).toMatchObject([{ attempt: 1, reason: 'error' }])
  })

  it('kills a thread that loops, once nobody waits any more, and delays nobody else', async () => {
    await respond({ graceMs: 50 })
    bus.respond('other', (value) => value)
    const before = bus.processes.list().filter(({ name }) => name === 'thread')
    const looping = failure(() => bus.ask('work', { do: 'loop' }, { timeoutMs: 100 }), 'TIMEOUT')
    for (const number of numbers(200)) expect(await bus.ask('other', number)).toBe(number)
    await looping
    // Asked while the thread is stuck: it waits for the next one.
    expect(await bus.ask('work', 'after it', { timeoutMs: 20_000 })).toBe('after it')
    const after = bus.processes.list().filter(({ name }) => name === 'thread')
    expect(after).toHaveLength(1)
    expect(after[0].pid).not.toBe(before[0].pid)
  })

  it('does not kill a thread that waits, and tells it when nobody waits any more', async () => {
    await respond({ graceMs: 2_000 })
    const [before] = bus.processes.list().filter(({ name }) => name === 'thread')
    await failure(() => bus.ask('work', { do: 'wait' }, { timeoutMs: 30 }), 'TIMEOUT')
    expect(await bus.ask('work', 'well')).toBe('well')
    const [after] = bus.processes.list().filter(({ name }) => name === 'thread')
    expect(after.pid).toBe(before.pid)
  })

  it('kills a thread whose behaviour goes on after its signal was aborted', async () => {
    await respond({ settleMs: 50 })
    const [before] = bus.processes.list().filter(({ name }) => name === 'thread')
    await failure(() => bus.ask('work', { do: 'hang' }, { timeoutMs: 30 }), 'TIMEOUT')
    // It has no room until the thread is replaced.
    expect(await bus.ask('work', 'well', { timeoutMs: 20_000 })).toBe('well')
    const [after] = bus.processes.list().filter(({ name }) => name === 'thread')
    expect(after.pid).not.toBe(before.pid)
  })

  it('is at one message at a time in each thread, and lets others wait', async () => {
    await respond({ threads: 2 })
    const replies = await Promise.all(numbers(100).map((number) => bus.ask('work', number)))
    expect(replies).toEqual(numbers(100))
  })

  it('streams, and stops when the loop is left', async () => {
    await respond()
    const parts: unknown[] = []
    for await (const part of bus.stream('work', { do: 'parts', to: 300, last: 'last' })) parts.push(part)
    expect(parts).toEqual([...numbers(300), 'last'])
    for await (const part of bus.stream('work', { do: 'parts', to: 1e9 })) if (part === 5) break
    expect(await bus.ask('work', 'after it')).toBe('after it')
    await failure(() => bus.ask('work', { do: 'parts', to: 3 }), 'RESPONDER_FAILED')
  })

  it('hands a message back', async () => {
    await respond()
    const error = await failure(() => bus.ask('work', { do: 'hand-back' }), 'PARTICIPANT_GONE')
    expect(error.message).toContain('not now')
    const reply = bus.ask('work', { do: 'hand-back' }, { onCrash: 'route-to-next' })
    await failure(() => reply, 'PARTICIPANT_GONE')
    bus.respond('work', (_, { attempt }) => ({ attempt, did: 'it here' }))
    expect((await bus.dispatch('work', { do: 'hand-back' }, { timeoutMs: 20_000 })).value).toMatchObject({
      attempt: expect.any(Number),
    })
  })

  it('crashes if its process is killed, as any participant', async () => {
    const responder = await respond()
    const pending = failure(() => bus.ask('work', { do: 'hang' }, { timeoutMs: 20_000 }), 'PARTICIPANT_GONE')
    responder.process?.exit(exitKilled())
    await pending
    await failure(() => responder.closed, 'PROCESS_GONE')
    await failure(() => bus.ask('work', 1), 'NO_RESPONDER')
  })

  it('gives up where threads keep dying, and says so', async () => {
    const responder = await respond({ maxRestarts: 2 })
    for (const _ of numbers(3))
      await failure(() => bus.ask('work', { do: 'exit' }, { timeoutMs: 20_000 }), 'PARTICIPANT_GONE')
    await failure(() => responder.closed, 'RESTARTS_EXCEEDED')
    await failure(() => bus.ask('work', 1), 'NO_RESPONDER')
  })

  it.each(['broken', 'no-function', 'missing'])('is refused with a module that cannot be used (%s)', async (name) => {
    const responder = bus.respond('work', module(name), { isolated: { maxRestarts: 0 } })
    const error = await failure(() => responder.ready(), 'RESTARTS_EXCEEDED')
    expect(error.message).toContain(
      `The responder of 'work' lost its threads too often. The module ${module(name).href}: `,
    )
    expect(error.cause).toBeInstanceOf(Error)
    expect(error.message).toContain((error.cause as Error).message)
    await failure(() => responder.closed, 'RESTARTS_EXCEEDED')
  })

  it('warns that it ended if nobody looks', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    bus.respond('work', module('missing'), { isolated: { maxRestarts: 0 } })
    expect(await warned).toMatchObject({
      name: 'LiminalWarning',
      code: 'LIMINAL_RESPONDER_ENDED',
      message: expect.stringContaining('missing.mjs'),
    })
  })

  it('finishes what it is at when it is closed', async () => {
    const responder = await respond({ threads: 2 })
    const pending = Promise.all(numbers(20).map((number) => bus.ask('work', number)))
    await responder.close()
    expect(await pending).toEqual(numbers(20))
    await responder.closed
    await failure(() => bus.ask('work', 1), 'NO_RESPONDER')
    expect(bus.processes.size).toBe(0)
  })

  it('answers a thousand requests and leaves nothing behind', async () => {
    await respond({ threads: 2, concurrency: 8 })
    for (const _ of numbers(10)) await Promise.all(numbers(100).map((number) => bus.ask('work', number)))
    expect(bus.conversations()).toHaveLength(0)
    // The supervisor and two threads.
    expect(bus.processes.size).toBe(3)
  })

  it('refuses options that it does not know', async () => {
    await failure(
      () => bus.respond('work', module('scripted'), { isolated: { thread: 1 } as IsolationOptions }),
      'INVALID_ARGUMENT',
    )
    await failure(
      () => bus.respond('work', new URL('https://example.com/x.mjs'), { isolated: true }),
      'INVALID_ARGUMENT',
    )
    await failure(() => bus.respond('work', module('scripted'), { isolated: { threads: 0 } }), 'INVALID_ARGUMENT')
  })
})
