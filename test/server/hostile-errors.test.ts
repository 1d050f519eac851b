import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Bus, runSaga } from '../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { routingFunction } from '../../ts/routing/index.ts'
import { type BusServer, createServer, WORKER_HOOK_FAILED } from '../../ts/server/index.ts'
import { eventually } from '../eventually.ts'
import { HOSTILE } from '../hostile.ts'
import { diagnosed } from './fixture.ts'

/** What the code of users throws in the test that runs. */
let make: () => unknown = () => undefined

const hostile = (): never => {
  throw make()
}

describe.each(Object.entries(HOSTILE))('code of users that throws %s', (_kind, kind) => {
  let server: BusServer
  let client: RemoteBus
  const stray: unknown[] = []
  const note = (error: unknown): void => {
    stray.push(error)
  }

  beforeAll(async () => {
    make = kind
    process.on('uncaughtException', note)
    process.on('unhandledRejection', note)
    const onRegister = ({ identity }: { identity: string }): void => {
      if (identity === 'unwelcome') hostile()
    }
    server = await createServer({ port: 0, workers: { onRegister, onUnregister: hostile } })
    client = await connect(server.url)
    const buses: readonly (readonly [string, Bus])[] = [
      ['here', server.bus],
      ['far', client],
    ]
    for (const [where, bus] of buses) {
      bus.respond(`sync-${where}`, () => hostile())
      bus.respond(`async-${where}`, async () => hostile())
      bus.respond(`returned-${where}`, () => make())
      bus.respond(`open-${where}`, { open: () => hostile() })
      await bus
        .respond(`parts-${where}`, async function* () {
          yield 1
          hostile()
        })
        .ready()
      await bus.worker.register({ identity: where, taskQueue: `work-${where}` }, () => hostile()).ready()
    }
    client.onPush(hostile)
  })

  afterAll(async () => {
    await client.close()
    await server.close({ graceMs: 0 })
    // Whatever is unhandled is said in the turn after.
    await new Promise((resolve) => setImmediate(resolve))
    process.off('uncaughtException', note)
    process.off('unhandledRejection', note)
    expect(stray).toEqual([])
  })

  /** What a client closes is closed a moment later. */
  const allOver = (): Promise<void> => eventually(() => expect(server.bus.conversations()).toEqual([]))

  const subjects = ['sync', 'async', 'work'].flatMap((what) => [`${what}-here`, `${what}-far`])

  it.each(subjects)('fails the request to %s and lets go of it', async (subject) => {
    for (const bus of [server.bus, client]) {
      await expect(bus.ask(subject, 1)).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
      await expect(bus.dispatch(subject, 1)).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
    }
    await allOver()
    for (const { inFlight } of server.bus.group(subject).consumers()) expect(inFlight).toBe(0)
  })

  it.each(['here', 'far'])('fails conversations and streams to what answers %s', async (where) => {
    for (const bus of [server.bus, client]) {
      // Over a connection the other side hears of it once it is open.
      const opened = bus.converse(`open-${where}`).then((conversation) => conversation.closed)
      await expect(opened).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
      await expect(collect(bus.stream(`parts-${where}`, 1))).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
    }
    await allOver()
  })

  it('settles the request that is answered with it', async () => {
    for (const where of ['here', 'far']) {
      for (const bus of [server.bus, client]) await Promise.allSettled([bus.ask(`returned-${where}`, 1)])
    }
    await allOver()
  })

  it('fails the push', async () => {
    const push = server.push(server.sessions[0].id, new Uint8Array(1))
    await expect(push.reply()).rejects.toMatchObject({ code: 'REMOTE_ERROR' })
  })

  it('refuses the registration, and those behind it have their turn', async () => {
    const other = await connect(server.url)
    onTestFinished(() => other.close())
    const refused = other.worker.register({ identity: 'unwelcome', taskQueue: 'other' }, () => 1)
    await expect(refused.ready()).rejects.toMatchObject({ code: 'REMOTE_ERROR' })
    await expect(refused.closed).rejects.toMatchObject({ code: 'REMOTE_ERROR' })
    const welcome = other.worker.register({ identity: 'welcome', taskQueue: 'other' }, () => 1)
    await welcome.ready()
    const failed = diagnosed(WORKER_HOOK_FAILED)
    await welcome.close()
    await failed
  })

  it('fails routing, sagas and processes', async () => {
    server.bus.respond('routed', () => 1)
    await server.bus.group('routed').deploy(routingFunction('hostile', () => hostile()))
    await expect(server.bus.dispatch('routed', 1)).rejects.toMatchObject({ code: 'ROUTING_FAILED' })
    const saga = runSaga([
      { name: 'one', run: () => 1, compensate: hostile },
      { name: 'two', run: hostile },
    ])
    await expect(saga).rejects.toMatchObject({ code: 'SAGA_FAILED' })
    for (const body of [hostile, async () => hostile(), make]) {
      await server.bus.processes.spawn(body).exited
    }
  })

  it('says so for what it cannot be made of', async () => {
    for (const bus of [server.bus, client]) {
      const value = { toJSON: hostile }
      await expect(bus.ask('sync-here', value)).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
      await expect(bus.dispatch('sync-here', value)).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    }
  })
})

async function collect(parts: AsyncIterable<unknown>): Promise<unknown[]> {
  const collected: unknown[] = []
  for await (const part of parts) collected.push(part)
  return collected
}
