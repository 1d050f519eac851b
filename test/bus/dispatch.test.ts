import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BehaviourContext, type BusOptions, coreOf, createBus, type LocalBus } from '../../ts/bus/index.ts'
import type { ConversationRegistry } from '../../ts/conversation/index.ts'
import { exitError, exitKilled, exitNormal } from '../../ts/process/index.ts'
import { ANSWER_REFUSED, DispatchError, HandedBackError, leastLoaded, routingFunction } from '../../ts/routing/index.ts'
import { deferred, failure } from '../conformance/tools.ts'

const open: LocalBus[] = []

async function bus(options?: BusOptions): Promise<LocalBus> {
  const made = await createBus(options)
  open.push(made)
  return made
}

function registryOf(made: LocalBus): ConversationRegistry {
  const core = coreOf(made)
  if (core === null) throw new Error('The bus is not in this process.')
  return core.conversations
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

afterEach(async () => {
  vi.useRealTimers()
  for (const made of open.splice(0)) {
    await made.close()
    expect(made.processes.size).toBe(0)
  }
})

describe('a dispatch', () => {
  it('says who did it, and how it got there', async () => {
    const made = await bus()
    const responder = made.respond('sum', ([a, b]: number[], { key, attempt }) => ({ sum: a + b, key, attempt }))
    const outcome = await made.dispatch('sum', [1, 2], { key: 'k' })
    expect(outcome).toMatchObject({
      value: { sum: 3, key: 'k', attempt: 1 },
      deliveredTo: `responder#${responder.process.pid}`,
      attempts: 1,
      reroutedFrom: [],
    })
    expect(outcome.queuedMs).toBeGreaterThanOrEqual(0)
    expect(outcome.durationMs).toBeGreaterThanOrEqual(outcome.queuedMs)
    expect(made.conversations()).toEqual([])
  })

  it('takes bytes, and owns them', async () => {
    const made = await bus()
    const sent = Uint8Array.of(1, 2, 3)
    made.respond('bytes', async (value) => value, { payload: 'bytes' })
    const outcome = made.dispatch<Uint8Array>('bytes', sent, { payload: 'bytes' })
    sent.fill(9)
    expect([...(await outcome).value]).toEqual([1, 2, 3])
  })

  it('goes to another responder when one crashes, and tells why and how fast', async () => {
    const made = await bus()
    const asked = deferred<void>()
    const first = made.respond('work', () => {
      asked.resolve()
      return new Promise(() => {})
    })
    const second = made.respond('work', (value, { attempt }) => ({ value, attempt }))
    const dispatched = made.dispatch('work', 7)
    await asked.promise
    const cause = new Error('out of memory')
    first.process.exit(exitError(cause))
    const outcome = await dispatched
    expect(outcome).toMatchObject({
      value: { value: 7, attempt: 2 },
      deliveredTo: `responder#${second.process.pid}`,
      attempts: 2,
      reroutedFrom: [{ consumer: `responder#${first.process.pid}`, attempt: 1, reason: 'error', cause }],
    })
    expect(outcome.reroutedFrom[0].microseconds).toBeGreaterThanOrEqual(0)
  })

  it('goes to another responder when one hands it back', async () => {
    const made = await bus()
    made.respond('work', () => {
      throw new HandedBackError('not me')
    })
    made.respond('work', (_value, { attempt }) => attempt)
    expect(await made.dispatch('work', 1)).toMatchObject({ value: 2, reroutedFrom: [{ reason: 'handed-back' }] })
  })

  it('is undone when the participant is lost and its source lives, unless that ended normally', async () => {
    const made = await bus()
    const reasons = [exitKilled(), exitNormal()]
    let receives = 0
    const registration = registryOf(made).register('work', {
      join: (conversation) => ({
        receive: () => {
          receives++
          conversation.lost(reasons[receives - 1])
        },
        close: () => {},
      }),
    })
    expect(await failure(() => made.dispatch('work', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER')).toMatchObject({
      reroutedFrom: [{ reason: 'handed-back' }],
    })
    await failure(() => made.dispatch('work', 1, { whenUnavailable: 'fail' }), 'PARTICIPANT_GONE')
    expect(receives).toBe(2)
    registration.withdraw()
  })

  it.each<[string, (context: BehaviourContext) => unknown, string]>([
    ['throws', () => Promise.reject(new Error('no')), 'RESPONDER_FAILED'],
    [
      'answers in parts',
      async function* () {
        yield 1
      },
      'RESPONDER_FAILED',
    ],
  ])('fails, and is not run again, when the responder %s', async (_what, behaviour, code) => {
    const made = await bus()
    let calls = 0
    for (let count = 0; count < 2; count++) {
      made.respond('work', (_value, context) => {
        calls++
        return behaviour(context)
      })
    }
    await expect(made.dispatch('work', 1)).rejects.toMatchObject({ code, attempts: 1 })
    expect(calls).toBe(1)
  })

  it('fails, and is not run again, when the responder ends normally before it answered', async () => {
    const made = await bus()
    const first = made.respond('work', () => {
      first.process.exit(exitNormal())
      return new Promise(() => {})
    })
    made.respond('work', () => 'twice')
    await expect(made.dispatch('work', 1)).rejects.toMatchObject({ code: 'PARTICIPANT_GONE', attempts: 1 })
  })

  it('is given up after as many attempts as it may make', async () => {
    const made = await bus()
    let calls = 0
    for (let count = 0; count < 4; count++) {
      const responder = made.respond('work', () => {
        calls++
        responder.process.exit(exitKilled())
        return new Promise(() => {})
      })
    }
    const error = await failure(() => made.dispatch('work', 1, { maxAttempts: 2 }), 'PARTICIPANT_GONE')
    expect(error).toBeInstanceOf(DispatchError)
    expect(calls).toBe(2)
    await failure(() => made.dispatch('work', 1, { maxAttempts: 0 }), 'INVALID_ARGUMENT')
  })

  it('waits for somebody, or not, as it is told', async () => {
    const made = await bus()
    await failure(() => made.dispatch('work', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER')
    await failure(() => made.dispatch('work', 1, { waitMs: 5 }), 'TIMEOUT')
    const waiting = made.dispatch('work', 1)
    await turn()
    made.respond('work', (value) => value)
    expect((await waiting).value).toBe(1)
  })

  it('tells the behaviour that it is given up, and keeps its place until the behaviour is done', async () => {
    const made = await bus()
    const refused: unknown[] = []
    const listener = (message: unknown): void => {
      refused.push(message)
    }
    diagnosticsChannel(ANSWER_REFUSED).subscribe(listener)
    const finish: ((value: string) => void)[] = []
    const contexts: BehaviourContext[] = []
    const behaviour = (_value: unknown, context: BehaviourContext): Promise<string> => {
      contexts.push(context)
      return new Promise((resolve) => finish.push(resolve))
    }
    made.respond('work', behaviour, { capacity: 1 })
    const before = Date.now()
    await failure(() => made.dispatch('work', 1, { timeoutMs: 5 }), 'TIMEOUT')
    expect(contexts[0].signal.aborted).toBe(true)
    expect(contexts[0].deadline).toBeGreaterThanOrEqual(before + 4)
    const [consumer] = made.group('work').consumers()
    expect(consumer).toMatchObject({ inFlight: 1, available: 0 })
    const second = made.dispatch('work', 2)
    await turn()
    expect(contexts).toHaveLength(1)
    finish[0]('too late')
    while (contexts.length < 2) await turn()
    finish[1]('in time')
    expect((await second).value).toBe('in time')
    expect(made.group('work').refusedAnswers).toBe(1)
    diagnosticsChannel(ANSWER_REFUSED).unsubscribe(listener)
    expect(refused).toMatchObject([{ group: 'work', attempt: 1, error: undefined }])
  })

  it('is aborted by its signal', async () => {
    const made = await bus()
    const controller = new AbortController()
    const asked = deferred<AbortSignal>()
    made.respond('work', (_value, { signal }) => {
      asked.resolve(signal)
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const dispatched = made.dispatch('work', 1, { signal: controller.signal })
    const signal = await asked.promise
    controller.abort('enough')
    await expect(dispatched).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
    expect(signal.aborted).toBe(true)
  })

  it('fails with CLOSED when its bus is closed, whether it waits or is underway', async () => {
    const made = await bus()
    const asked = deferred<void>()
    made.respond('work', () => {
      asked.resolve()
      return new Promise(() => {})
    })
    const dispatched = [made.dispatch('work', 1), made.dispatch('nobody', 1)].map((one) => failure(() => one, 'CLOSED'))
    await asked.promise
    await made.close()
    await Promise.all(dispatched)
    await failure(() => made.dispatch('work', 1), 'CLOSED')
    await failure(() => made.group('work'), 'CLOSED')
  })
})

describe('the group of a subject', () => {
  it('shows routing functions the decoded message, tags and live state', async () => {
    const made = await bus()
    const routing = routingFunction('by size', ({ message, consumers }) => {
      const { size } = message as { size: number }
      return consumers.withTag(size > 10 ? 'big' : 'small').next()?.id ?? null
    })
    const group = made.group('work', { routing })
    made.respond('work', () => 'big', { tags: ['big'], capacity: 2 })
    made.respond('work', () => 'small', { tags: ['small'] })
    expect((await made.dispatch('work', { size: 11 })).value).toBe('big')
    expect((await made.dispatch('work', { size: 1 })).value).toBe('small')
    expect([...group.consumers()]).toMatchObject([
      { tags: ['big'], capacity: 2, completed: 1, inFlight: 0 },
      { tags: ['small'], capacity: 64, completed: 1, inFlight: 0 },
    ])
    // What is no JSON is shown as it is.
    await group.deploy(
      routingFunction('bytes', ({ message, consumers }) => {
        if (!(message instanceof Uint8Array)) throw new Error('no bytes')
        return consumers.next()?.id ?? null
      }),
    )
    made.respond('bytes', () => {}, { payload: 'bytes' })
    const seen: unknown[] = []
    made.group('bytes', {
      routing: routingFunction('look', ({ message, consumers }) => {
        seen.push(message)
        return consumers.next()?.id ?? null
      }),
    })
    await made.dispatch('bytes', Uint8Array.of(0xff), { payload: 'bytes' }).catch(() => {})
    expect(seen).toEqual([Uint8Array.of(0xff)])
  })

  it('gives a responder as many messages as its capacity, and no more', async () => {
    const made = await bus()
    let atOnce = 0
    let most = 0
    made.respond(
      'work',
      async () => {
        most = Math.max(most, ++atOnce)
        await turn()
        atOnce--
      },
      { capacity: 3 },
    )
    await Promise.all(Array.from({ length: 20 }, () => made.dispatch('work', 1)))
    expect(most).toBe(3)
  })

  it('keeps what was deployed while nobody answers', async () => {
    const made = await bus()
    const group = made.group('work')
    await group.deploy(leastLoaded())
    await made.respond('work', (value) => value).close()
    made.respond('work', (value) => value)
    expect(made.group('work')).toBe(group)
    expect(group.routing.name).toBe(leastLoaded().name)
    expect((await made.dispatch('work', 1)).value).toBe(1)
    expect(() => made.group('work', {})).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  it('is forgotten when only dispatches needed it, and nobody answers', async () => {
    const made = await bus({ maxGroups: 1 })
    const responder = made.respond('a', (value) => value)
    await made.dispatch('a', 1)
    await failure(() => made.dispatch('b', 1, { whenUnavailable: 'fail' }), 'LIMIT_EXCEEDED')
    await failure(() => made.group('b'), 'LIMIT_EXCEEDED')
    await responder.close()
    await failure(() => made.dispatch('b', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER')
    await failure(() => made.dispatch('c', 1, { waitMs: 1 }), 'TIMEOUT')
    await failure(() => made.group('d', { maxWaiting: -1 }), 'INVALID_ARGUMENT')
    made.group('e')
    await failure(() => made.dispatch('a', 1), 'LIMIT_EXCEEDED')
  })

  it.each<[string, (made: LocalBus, pid: number, finish: () => void) => void]>([
    ['answers', (_made, _pid, finish) => finish()],
    ['is killed', (made, pid) => made.processes.exit(pid, exitKilled())],
  ])('is forgotten after what was given up: the behaviour %s later', async (_what, end) => {
    const made = await bus({ maxGroups: 1 })
    const underway = deferred<void>()
    const responder = made.respond('a', () => underway.promise)
    await failure(() => made.dispatch('a', 1, { timeoutMs: 1 }), 'TIMEOUT')
    await responder.close()
    await failure(() => made.dispatch('b', 1, { whenUnavailable: 'fail' }), 'LIMIT_EXCEEDED')
    expect(responder.process.over).toBeNull()
    end(made, responder.process.pid, () => underway.resolve())
    expect(await responder.process.exited).toBeDefined()
    await turn()
    await failure(() => made.dispatch('b', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER')
  })
})

describe('a worker of a bus in this process', () => {
  it('is not given more than it takes while it ignores that a message was given up', async () => {
    const made = await bus()
    const finish: (() => void)[] = []
    const worker = made.worker.register({ identity: 'w', taskQueue: 'jobs', capacity: 1 }, () => {
      return new Promise<void>((resolve) => finish.push(resolve))
    })
    await worker.ready()
    await failure(() => made.dispatch('jobs', 1, { timeoutMs: 1 }), 'TIMEOUT')
    const second = made.dispatch('jobs', 2)
    await turn()
    expect(finish).toHaveLength(1)
    finish[0]()
    while (finish.length < 2) await turn()
    finish[1]()
    expect(await second).toMatchObject({ attempts: 1, reroutedFrom: [] })
  })
})

describe('a bus that is busy for long', () => {
  it('has as many processes as before, and remembers nothing', async () => {
    const made = await bus()
    made.respond('echo', (value) => value)
    made.respond('echo', async (value) => value)
    const registry = registryOf(made)
    await made.dispatch('echo', 0)
    const before = made.processes.size
    for (let round = 0; round < 100; round++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          if (index % 2 === 0) await made.ask('echo', index)
          else await made.dispatch('echo', index)
        }),
      )
    }
    expect(made.processes.size).toBe(before)
    expect(made.processes.list()).toHaveLength(before)
    expect(registry.size).toBe(0)
    expect(registry.subjects).toEqual(['echo'])
  })
})
