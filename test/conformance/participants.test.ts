import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Behaviour, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, numbers } from './tools.ts'

const MODULE = new URL('../bus/modules/scripted.mjs', import.meta.url)

/** A participant that runs the same module, wherever that is. */
interface Participant {
  /** Lets it die. */
  crash(): void
  /** Takes no more. */
  close(): Promise<void>
}

/** Where participants live. */
interface Place {
  readonly name: string
  start(bus: LocalBus): Promise<Participant>
}

/** The behaviour of the module, in this thread. */
async function behaviour(): Promise<Behaviour> {
  const loaded: { default: Behaviour } = await import(MODULE.href)
  return loaded.default
}

const PLACES: readonly Place[] = [
  {
    name: 'in this process',
    async start(bus) {
      const responder = bus.respond('work', await behaviour())
      return { crash: () => responder.process.exit(exitKilled()), close: () => responder.close() }
    },
  },
  {
    name: 'in a worker thread',
    async start(bus) {
      const responder = bus.respond('work', MODULE, { isolated: true })
      await responder.ready()
      return { crash: () => responder.process?.exit(exitKilled()), close: () => responder.close() }
    },
  },
  {
    name: 'behind a connection',
    async start(bus) {
      const server = await serve(bus, { port: 0 })
      const client = await connect(server.url, { reconnect: false })
      onTestFinished(() => client.close())
      const responder = client.respond('work', await behaviour())
      await responder.ready()
      const [{ pid }] = server.sessions
      return { crash: () => bus.processes.exit(pid, exitKilled()), close: () => responder.close() }
    },
  },
]

describe.each(PLACES)('a participant $name', (place) => {
  let bus: LocalBus

  beforeEach(async () => {
    bus = await createBus()
  })

  afterEach(async () => {
    await bus.close()
    expect(bus.processes.size).toBe(0)
    expect(bus.conversations()).toEqual([])
  })

  /** Resolves once the participant has begun the request that is underway. */
  async function begun(): Promise<void> {
    // What was sent before this one was taken before it.
    await bus.ask('work', 'are you there?').catch(() => {})
  }

  it('answers many requests, each with its own reply', async () => {
    await place.start(bus)
    const replies = await Promise.all(numbers(50).map((number) => bus.ask('work', { number })))
    expect(replies).toEqual(numbers(50).map((number) => ({ number })))
  })

  it('knows what it is asked', async () => {
    await place.start(bus)
    const causal = { parentId: 'p-1', vectorClockEntry: null }
    const { value, attempts } = await bus.dispatch('work', { do: 'context' }, { key: 'k', causal })
    expect(value).toEqual({ attempt: 1, subject: 'work', conversationId: 'bigint', key: 'k', causal })
    expect(attempts).toBe(1)
  })

  it('answers by throwing, which nobody else is asked for', async () => {
    await place.start(bus)
    let others = 0
    bus.respond('work', () => {
      others++
      throw new RangeError('out of range')
    })
    for (const _ of numbers(2)) {
      const error = await failure(
        () => bus.ask('work', { do: 'throw' }, { onCrash: 'route-to-next' }),
        'RESPONDER_FAILED',
      )
      expect(error.message).toContain('out of range')
    }
    expect(others).toBe(1)
    await failure(() => bus.dispatch('work', { do: 'throw' }), 'RESPONDER_FAILED')
  })

  it('fails everybody who waits when it crashes, at once', async () => {
    const participant = await place.start(bus)
    const pending = failure(() => bus.ask('work', { do: 'hang' }, { timeoutMs: 20_000 }), 'PARTICIPANT_GONE')
    if (place.name !== 'in a worker thread') await begun()
    participant.crash()
    await pending
    await failure(() => bus.ask('work', 1), 'NO_RESPONDER')
  })

  it('loses its request to another one when it crashes, with the attempt raised', async () => {
    const participant = await place.start(bus)
    const asked = bus.ask('work', { do: 'hang' }, { onCrash: 'route-to-next', timeoutMs: 20_000 })
    if (place.name !== 'in a worker thread') await begun()
    bus.respond('work', (request, { attempt }) => ({ request, attempt }))
    participant.crash()
    expect(await asked).toEqual({ request: { do: 'hang' }, attempt: 2 })
  })

  it('loses what was dispatched to it when it crashes, and the outcome says so', async () => {
    const participant = await place.start(bus)
    const dispatched = bus.dispatch('work', { do: 'hang' }, { timeoutMs: 20_000 })
    if (place.name !== 'in a worker thread') await begun()
    bus.respond('work', (_, { attempt }) => attempt, { tags: ['rescuer'] })
    participant.crash()
    const outcome = await dispatched
    expect(outcome).toMatchObject({ value: 2, attempts: 2, reroutedFrom: [{ attempt: 1, reason: 'killed' }] })
    expect(outcome.reroutedFrom[0].microseconds).toBeGreaterThanOrEqual(0)
  })

  it('hands a message back, which goes to another one', async () => {
    await place.start(bus)
    const early = bus.dispatch('work', { do: 'hand-back' }, { timeoutMs: 20_000 })
    bus.respond('work', (_, { attempt }) => `taken at attempt ${attempt}`)
    expect(await early).toMatchObject({ value: 'taken at attempt 2', reroutedFrom: [{ reason: 'handed-back' }] })
  })

  it('hears that nobody waits any more', async () => {
    await place.start(bus)
    await failure(() => bus.ask('work', { do: 'wait' }, { timeoutMs: 30 }), 'TIMEOUT')
    const leaving = new AbortController()
    const asked = failure(() => bus.ask('work', { do: 'wait' }, { signal: leaving.signal }), 'ABORTED')
    leaving.abort()
    await asked
    expect(await bus.ask('work', 'well', { timeoutMs: 20_000 })).toBe('well')
  })

  it('answers in parts, in order, and stops when the loop is left', async () => {
    await place.start(bus)
    const parts: unknown[] = []
    for await (const part of bus.stream('work', { do: 'parts', to: 200, last: 'end' })) parts.push(part)
    expect(parts).toEqual([...numbers(200), 'end'])
    for await (const part of bus.stream('work', { do: 'parts', to: 1e9 })) if (part === 100) break
    expect(await bus.ask('work', 'after it', { timeoutMs: 20_000 })).toBe('after it')
  })

  it('finishes what it is at when it is closed, and gets nothing more', async () => {
    const participant = await place.start(bus)
    const pending = Promise.all(numbers(5).map((number) => bus.ask('work', number)))
    await participant.close()
    expect(await pending).toEqual(numbers(5))
    await failure(() => bus.ask('work', 1), 'NO_RESPONDER')
  })

  it('takes part in a conversation of several turns', async () => {
    await place.start(bus)
    await using conversation = await bus.converse('work')
    const replies = await Promise.all(numbers(20).map((number) => conversation.request(number)))
    expect(replies).toEqual(numbers(20))
  })
})
