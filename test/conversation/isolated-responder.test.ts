import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  BEHAVIOUR_FAILED,
  type BehaviourFailed,
  ConversationRegistry,
  participantFromBehaviour,
  SEND_FAILED,
} from '../../ts/conversation/index.ts'
import { exitKilled, exitNormal, type Process } from '../../ts/process/index.ts'
import { said } from '../process/support.ts'
import { ask, failure, isolated, module, outcome } from './isolated-threads.ts'
import { NO_CAUSE } from './participants.ts'

let registry: ConversationRegistry

beforeEach(() => {
  registry = new ConversationRegistry()
})

afterEach(() => {
  registry.processes.close()
  expect(registry.size).toBe(0)
})

function threads(): readonly number[] {
  return registry.processes
    .list()
    .filter(({ name }) => name === 'thread')
    .map(({ pid }) => pid)
}

function gone(pid: number): Promise<unknown> {
  const process: Process | undefined = registry.processes.get(pid)
  return process === undefined ? Promise.resolve() : process.exited
}

describe('a behaviour in a thread', () => {
  const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

  it.each([
    'price',
    'nothing',
    'buffer',
    'function',
    'bigint',
    'bad part',
    'throw',
    'throw text',
    'throw object',
    'throw nothing printable',
    'reject',
    'bare prototype',
    'parts',
    'parts without end',
    'parts that throw',
    { any: ['JSON', 1, null, { __proto__: 1 }] },
  ])('answers like the same one in process (%j)', async (request) => {
    const { default: behaviour } = await import(module('answers').href)
    for (const inParts of [false, true]) {
      const here = new ConversationRegistry()
      here.register('work', participantFromBehaviour(behaviour, 'json'))
      const expected = await outcome(here, json(request), inParts)
      const { responder } = await isolated(registry, 'answers')
      expect(await outcome(registry, json(request), inParts)).toEqual(expected)
      await responder.close()
    }
  })

  it('takes JSON only, and says so', async () => {
    await isolated(registry, 'answers')
    const { error } = await outcome(registry, Buffer.from('{'), false)
    expect(error).toMatchObject(['PAYLOAD_INVALID', expect.stringContaining('takes JSON')])
  })

  it('takes and gives bytes untouched, and sees no memory but its own', async () => {
    await isolated(registry, 'bytes', {}, 'bytes')
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const conversation = registry.open('work', { ended: () => {} })
    expect(new Uint8Array(await conversation.request(every, NO_CAUSE, {}))).toEqual(every)
    expect([...(await conversation.request(Buffer.from('memory'), NO_CAUSE, {}))]).toEqual([1])
    conversation.close()
    expect((await outcome(registry, Buffer.from('pooled'), false)).reply).toBe('from a pool')
    const { error } = await outcome(registry, Buffer.from('text'), false)
    expect(error).toMatchObject(['RESPONDER_FAILED', expect.stringContaining('Uint8Array')])
  })

  it('may return what it likes where no reply is wanted', async () => {
    await isolated(registry, 'faults')
    const conversation = registry.open('work', { ended: () => {} })
    const failures = await said(SEND_FAILED, async () => {
      await new Promise<void>((resolve) => conversation.send(json({ do: 'no answer' }), NO_CAUSE, resolve))
    })
    conversation.close()
    expect(failures).toEqual([])
  })

  it('is said to have failed, whichever way it did', async () => {
    await isolated(registry, 'answers')
    const failures = await said(BEHAVIOUR_FAILED, async () => {
      await outcome(registry, json('throw'), false)
      await outcome(registry, json('function'), false)
      await outcome(registry, json('bad part'), true)
    })
    expect(failures).toHaveLength(3)
    for (const said of failures as BehaviourFailed[]) expect(said).toMatchObject({ subject: 'work' })
  })
})

describe('an isolated responder', () => {
  it.each(['exit', 'uncaught', 'gobble'])(
    'replaces a thread that ends (%s), which is a crash of its message alone',
    async (what) => {
      await isolated(registry, 'faults', { threads: 2, memoryMb: 24 })
      const before = threads()
      const controller = new AbortController()
      const kept = failure(ask(registry, { do: 'wait' }, { signal: controller.signal }))
      const error = await failure(ask(registry, { do: what }, { timeoutMs: 20_000 }))
      expect(error).toMatchObject({ code: 'PARTICIPANT_GONE', cause: { is: 'error' } })
      controller.abort()
      expect((await kept).code).toBe('ABORTED')
      expect(await ask(registry, 'after it')).toBe('after it')
      const after = threads()
      expect(after).toHaveLength(2)
      expect(after.filter((pid) => before.includes(pid))).toHaveLength(1)
    },
  )

  it('replaces a thread whose process is killed, and one that ends normally', async () => {
    await isolated(registry, 'faults')
    for (const [reason, code] of [
      [exitKilled('enough'), 'PARTICIPANT_GONE'],
      [exitNormal(), 'PARTICIPANT_GONE'],
    ] as const) {
      const pending = failure(ask(registry, { do: 'hang' }, { timeoutMs: 20_000 }))
      const [pid] = threads()
      registry.processes.exit(pid, reason)
      expect((await pending).code).toBe(code)
      expect(await ask(registry, 'after it')).toBe('after it')
      expect(threads()).not.toContain(pid)
    }
  })

  it('contains an endless loop: killed soon after its deadline, and nobody else is held up by it', async () => {
    await isolated(registry, 'faults', { graceMs: 50 })
    registry.register(
      'other',
      participantFromBehaviour((request) => request, 'json'),
    )
    const roundTrips = async (until: () => boolean): Promise<{ slow: number; count: number }> => {
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      let count = 0
      while (!until()) {
        const conversation = registry.open('other', { ended: () => {} })
        await conversation.request(Buffer.from('1'), NO_CAUSE, { timeoutMs: 10_000 })
        conversation.close()
        await new Promise((resolve) => setImmediate(resolve))
        count++
      }
      delay.disable()
      return { slow: delay.percentile(50) / 1e6, count }
    }
    const end = performance.now() + 250
    const quiet = await roundTrips(() => performance.now() > end)
    const [pid] = threads()
    let isKilled = false
    const killed = gone(pid).then((exit) => {
      isKilled = true
      return exit
    })
    const looping = failure(ask(registry, { do: 'loop' }, { timeoutMs: 200 }))
    const loud = await roundTrips(() => isKilled)
    expect((await looping).code).toBe('TIMEOUT')
    expect(await killed).toMatchObject({ reason: { is: 'killed', cause: { code: 'TIMEOUT' } } })
    expect(loud.count).toBeGreaterThan(20)
    // Cores are shared with whatever else runs: what the loop adds to most turns is what counts.
    expect(loud.slow).toBeLessThan(quiet.slow + 50)
    expect(await ask(registry, 'after it', { timeoutMs: 20_000 })).toBe('after it')
  })

  it('tells a behaviour that its asker is gone, and gives its thread to the next message', async () => {
    await isolated(registry, 'faults', { graceMs: 5_000 })
    const before = threads()
    const controller = new AbortController()
    const waiting = failure(ask(registry, { do: 'wait' }, { signal: controller.signal }))
    const next = ask(registry, 'next', { timeoutMs: 20_000 })
    controller.abort()
    expect((await waiting).code).toBe('ABORTED')
    expect(await next).toBe('next')
    expect(threads()).toEqual(before)
  })

  it('begins nothing whose asker left while it waited for a thread', async () => {
    const { responder } = await isolated(registry, 'faults', { graceMs: 5_000 })
    const controller = new AbortController()
    const { signal } = controller
    const first = failure(ask(registry, { do: 'wait' }, { signal }))
    // It would take the thread down.
    const left = failure(ask(registry, { do: 'exit' }, { signal }))
    const before = threads()
    controller.abort()
    expect((await first).code).toBe('ABORTED')
    expect((await left).code).toBe('ABORTED')
    expect(await ask(registry, 'after them', { timeoutMs: 20_000 })).toBe('after them')
    expect(threads()).toEqual(before)
    await responder.close()
  })

  it('refuses what is too much to wait, and takes more once those who waited have left', async () => {
    await isolated(registry, 'faults', { graceMs: 5_000 })
    const controller = new AbortController()
    const { signal } = controller
    const asked = Array.from({ length: 1_026 }, () => failure(ask(registry, { do: 'wait' }, { signal })))
    expect((await asked[1_025]).code).toBe('LIMIT_EXCEEDED')
    controller.abort()
    const codes = await Promise.all(asked.slice(0, -1).map(async (one) => (await one).code))
    expect(new Set(codes)).toEqual(new Set(['ABORTED']))
    expect(await ask(registry, 'after them', { timeoutMs: 20_000 })).toBe('after them')
  })

  it('gives up where threads keep dying, and tells its owner', async () => {
    const { responder, ends } = await isolated(registry, 'faults', { maxRestarts: 1 })
    for (let count = 0; count < 2; count++) await failure(ask(registry, { do: 'exit' }, { timeoutMs: 20_000 }))
    await responder.process.exited
    expect(ends).toMatchObject([{ code: 'RESTARTS_EXCEEDED' }])
    expect(registry.subjects).toEqual([])
    expect(registry.processes.size).toBe(0)
  })

  it('waits before it replaces a thread, if that is wanted', async () => {
    const restartBackoff = { baseMs: 60_000, maxMs: 60_000, jitter: 'none' } as const
    const { responder } = await isolated(registry, 'faults', { restartBackoff })
    await failure(ask(registry, { do: 'exit' }, { timeoutMs: 20_000 }))
    expect(threads()).toEqual([])
    expect(registry.subjects).toEqual(['work'])
    await responder.close()
    expect(registry.processes.size).toBe(0)
  })

  it('is closed in time, whatever its threads are at, and whoever keeps a conversation with it', async () => {
    const { responder, ends } = await isolated(registry, 'faults', { threads: 2, closeGraceMs: 50 })
    const open = registry.open('work', { ended: () => {} })
    const pending = failure(ask(registry, { do: 'loop' }))
    await responder.close()
    expect((await pending).code).toBe('PARTICIPANT_GONE')
    expect(open.phase).toBe('closed')
    expect(ends).toEqual([])
    expect(registry.processes.size).toBe(0)
  })

  it('answers 1,000 requests at once, and leaves nothing behind', async () => {
    const { responder } = await isolated(registry, 'faults', { threads: 2, concurrency: 4 })
    const numbers = Array.from({ length: 1_000 }, (_, number) => number)
    expect(await Promise.all(numbers.map((number) => ask(registry, number)))).toEqual(numbers)
    expect(registry.processes.size).toBe(3)
    await responder.close()
    expect(registry.processes.size).toBe(0)
    expect(registry.subjects).toEqual([])
  })
})
