import { afterEach, describe, expect, it } from 'vitest'
import { type BehaviourContext, type Conversation, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { type Server, serve } from '../../ts/server/index.ts'

const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource.close()
})

function keep<Resource extends { close(): Promise<void> }>(resource: Resource): Resource {
  open.push(resource)
  return resource
}

interface Life {
  readonly bus: LocalBus
  readonly server: Server
  readonly url: string
  end(): Promise<void>
}

/** A bus on a network, on a store that outlives it. */
async function live(store: MemoryStore, port = 0): Promise<Life> {
  const bus = keep(await createBus({ store }))
  const server = keep(await serve(bus, { port, host: '127.0.0.1' }))
  const url = `liminal://127.0.0.1:${server.address.port}`
  return { bus, server, url, end: async () => await bus.close() }
}

async function client(url: string): Promise<RemoteBus> {
  return keep(await connect(url, { reconnect: { baseMs: 5, maxMs: 20 } }))
}

async function durable(bus: LocalBus | RemoteBus, options = {}): Promise<Conversation> {
  return await bus.converse('order', { durable: true, key: 'o-1', ...options })
}

describe('a durable conversation over a connection', () => {
  it('answers, repeats answers, and closes', async () => {
    const { bus, url } = await live(new MemoryStore())
    let runs = 0
    bus.respond('order', (value) => [value, ++runs])
    const conversation = await durable(await client(url))
    expect(conversation.key).toBe('o-1')
    expect(await conversation.request('a', { requestId: 'r' })).toEqual(['a', 1])
    expect(await conversation.request('a', { requestId: 'r' })).toEqual(['a', 1])
    expect(await conversation.request('b')).toEqual(['b', 2])
    await conversation.close('enough')
    await conversation.closed
    await expect(conversation.request('c')).rejects.toMatchObject({ code: 'CONVERSATION_CLOSED' })
    expect(bus.conversations()).toEqual([])
    const again = await durable(await client(url))
    await again.closed
    expect(await again.request('a', { requestId: 'r' })).toEqual(['a', 1])
    await expect(again.request('c')).rejects.toMatchObject({ code: 'CONVERSATION_CLOSED' })
  })

  it('goes on when its asker is gone, for whoever asks again', async () => {
    const { bus, url } = await live(new MemoryStore())
    const begun = new Deferred<void>()
    const gate = new Deferred<void>()
    bus.respond('order', async (value) => {
      begun.resolve()
      await gate.promise
      return value
    })
    const one = await client(url)
    const lost = (await durable(one)).request('x', { requestId: 'r' }).catch((error: unknown) => error)
    await begun.promise
    await one.close()
    expect(await lost).toMatchObject({ code: 'CLOSED' })
    const again = (await durable(await client(url))).request('x', { requestId: 'r' })
    gate.resolve()
    expect(await again).toBe('x')
  })

  it('asks again by itself after its server was restarted', async () => {
    const store = new MemoryStore()
    const before = await live(store)
    const effects: string[] = []
    const stuck = new Deferred<void>()
    before.bus.respond('order', async (_, { step }) => {
      await step('one', () => effects.push('one'))
      stuck.resolve()
      await new Promise(() => {})
    })
    const conversation = await durable(await client(before.url), { deadlineMs: 60_000 })
    const reply = conversation.request('go', { timeoutMs: 30_000 })
    await stuck.promise
    await before.end()
    const after = await live(store, before.server.address.port)
    after.bus.respond('order', async (_, { step, attempt }) => [
      await step('one', () => -1),
      await step('two', () => effects.push('two')),
      attempt,
    ])
    expect(await reply).toEqual([1, 2, 2])
    expect(effects).toEqual(['one', 'two'])
    expect(await conversation.request('again')).toEqual([-1, 3, 1])
  })

  it('hears of its end, and of why', async () => {
    const { bus, url } = await live(new MemoryStore())
    bus.respond('order', {
      open:
        ({ leave }) =>
        (value) => {
          setImmediate(() => leave())
          return value
        },
    })
    const conversation = await durable(await client(url))
    expect(await conversation.request('bye', { requestId: 'r' })).toBe('bye')
    await conversation.closed
    await expect(conversation.request('more')).rejects.toMatchObject({ code: 'CONVERSATION_CLOSED' })
    expect(await conversation.request('bye', { requestId: 'r' })).toBe('bye')
    const timed = await durable(await client(url), { key: 'o-2', deadlineMs: 20 })
    await expect(timed.closed).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('is not begun anew by a handle on one that was forgotten', async () => {
    const bus = keep(await createBus({ store: new MemoryStore(), conversationRetentionMs: 0 }))
    const server = keep(await serve(bus, { port: 0, host: '127.0.0.1' }))
    bus.respond('order', (value) => value)
    const conversation = await durable(await client(`liminal://127.0.0.1:${server.address.port}`))
    expect(await conversation.request(1, { requestId: 'r' })).toBe(1)
    const own = await durable(bus)
    await own.close()
    await conversation.closed
    await expect
      .poll(async () => await conversation.request(1, { requestId: 'r' }).catch(({ code }: { code: string }) => code))
      .toBe('CONVERSATION_NOT_FOUND')
    expect(bus.conversations()).toEqual([])
  })

  it('is refused where the server has nowhere to keep it', async () => {
    const bus = keep(await createBus())
    const server = keep(await serve(bus, { port: 0, host: '127.0.0.1' }))
    const asker = await client(`liminal://127.0.0.1:${server.address.port}`)
    await expect(durable(asker)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  })

  it('delivers a message that wants no reply', async () => {
    const { bus, url } = await live(new MemoryStore())
    const came = new Deferred<unknown>()
    bus.respond('order', (value) => came.resolve(value))
    const conversation = await durable(await client(url))
    conversation.send({ note: 1 })
    expect(await came.promise).toEqual({ note: 1 })
  })
})

describe('a step behind a connection', () => {
  it('is recorded at the server, and not run again elsewhere', async () => {
    const { bus, url } = await live(new MemoryStore())
    const effects: string[] = []
    const tokens: string[] = []
    const stuck = new Deferred<void>()
    const run = async (_: unknown, { step, attempt }: BehaviourContext): Promise<unknown> => {
      const first = await step('one', ({ token }) => {
        tokens.push(token)
        effects.push(`one by ${attempt}`)
        return { value: 'ü' }
      })
      const second = await step('two', ({ token, attempt: tried }) => {
        tokens.push(token)
        if (attempt === 1 && tried === 1) throw new Error('not yet')
        if (attempt === 1) {
          stuck.resolve()
          return new Promise(() => {})
        }
        return `two, try ${tried}`
      }).catch(() =>
        step('two', ({ token }) => {
          tokens.push(token)
          stuck.resolve()
          return new Promise<string>(() => {})
        }),
      )
      return [first, second, await step('nothing', () => {})]
    }
    const dying = await client(url)
    await dying.respond('order', run).ready()
    const conversation = await durable(bus)
    const reply = conversation.request('go', { timeoutMs: 30_000 })
    await stuck.promise
    await dying.close()
    await (await client(url)).respond('order', run).ready()
    expect(await reply).toEqual([{ value: 'ü' }, 'two, try 2', null])
    expect(effects).toEqual(['one by 1'])
    const [first, ...second] = tokens
    expect(new Set(second).size).toBe(1)
    expect(second[0]).not.toBe(first)
  })

  it('says what keeps it from being recorded', async () => {
    const { bus, url } = await live(new MemoryStore())
    const responder = await client(url)
    await responder
      .respond('order', async (_, { step }) => {
        const error = await step('large', () => 'x'.repeat(1024 * 1024)).catch((thrown: unknown) => thrown)
        return (error as { code: string }).code
      })
      .ready()
    expect(await (await durable(bus)).request(1)).toBe('PAYLOAD_TOO_LARGE')
    // Nothing is recorded here, so nothing is too large: the text has no code.
    expect(await bus.ask('order', 1)).toBeNull()
  })
})
