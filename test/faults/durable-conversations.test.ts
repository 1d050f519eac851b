import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { serve } from '../../ts/server/index.ts'
import { temporaryDirectory } from './durable-fixture.ts'
import { DurableServer } from './durable-server.ts'
import { Relay } from './kills/relay.ts'
import { generator } from './random.ts'

const KILLS = 8
const CONVERSATIONS = 12
/** Replies between two kills, at most. */
const MOST_REPLIES = 60
const SEED = Number(process.env.LIMINAL_FAULT_SEED ?? randomInt(2 ** 31))

/** What a step did, as the server wrote it down at that moment. */
interface Effect {
  readonly order: string
  readonly name: 'reserve' | 'charge' | 'ship'
  readonly token: string
  readonly attempt: number
  /** What the step before it returned. */
  readonly before: string | null
  readonly effect: string
}

describe(`kill -9 of a server with durable conversations, seed ${SEED}`, () => {
  it('answers every request in the end, and runs no step again whose output was used', async () => {
    const random = generator(SEED)
    const directory = await temporaryDirectory()
    const effectsFile = join(directory, 'effects.ndjson')
    const start = () => new DurableServer({ dataDir: join(directory, 'data') }, { arguments: [effectsFile] })
    const relay = await Relay.open()
    onTestFinished(() => relay.close())
    let server = start()
    onTestFinished(() => server.kill())
    relay.lead(await server.listening)
    const bus = await connect(relay.url, { reconnect: { baseMs: 5, maxMs: 50 } })
    onTestFinished(() => bus.close())

    const replies = new Map<string, string>()
    let awaited: { left: number; readonly resolve: () => void } | null = null
    let stopping = false
    const ask = async (key: string, order: string): Promise<string> => {
      const conversation = await bus.converse('order', { durable: true, key })
      const reply = await conversation.request<{ order: string; shipped: string }>(
        { order },
        { requestId: order, timeoutMs: 60_000 },
      )
      expect(reply.order).toBe(order)
      return reply.shipped
    }
    const customer = async (key: string): Promise<void> => {
      for (let number = 0; !stopping; number++) {
        const order = `${key}-${number}`
        replies.set(order, await ask(key, order))
        if (awaited !== null && --awaited.left === 0) awaited.resolve()
      }
    }
    const customers = Promise.all(Array.from({ length: CONVERSATIONS }, (_, index) => customer(`customer-${index}`)))
    for (let kill = 0; kill < KILLS; kill++) {
      const answered = new Promise<void>((resolve) => {
        awaited = { left: 1 + random(MOST_REPLIES), resolve }
      })
      await Promise.race([answered, customers])
      awaited = null
      await server.kill()
      relay.cut()
      server = start()
      relay.lead(await server.listening)
    }
    stopping = true
    await customers
    expect(replies.size).toBeGreaterThan(KILLS)

    const lines = (await readFile(effectsFile, 'utf8')).trim().split('\n')
    const effects = lines.map((line): Effect => JSON.parse(line))
    for (const [order, shipped] of replies) {
      const all = (name: Effect['name']) => effects.filter((effect) => effect.order === order && effect.name === name)
      // What a later step was given is what was recorded; it never changes.
      let output = shipped
      for (const name of ['ship', 'charge', 'reserve'] as const) {
        const runs = all(name)
        expect(
          runs.map(({ effect }) => effect),
          `${name} of ${order}`,
        ).toContain(output)
        // Only the last run was recorded, and it was told how often it had been tried.
        expect(runs.at(-1)?.effect, `${name} of ${order}`).toBe(output)
        expect(new Set(runs.map(({ token }) => token)).size).toBe(1)
        expect(runs.map(({ attempt }) => attempt)).toEqual(runs.map((_, index) => index + 1))
        const [before, ...others] = new Set(runs.map((run) => run.before))
        expect(others).toEqual([])
        output = before ?? ''
      }
    }
    // Asked once more by its name, it is answered from the journal.
    const some = [...replies].slice(0, 50)
    for (const [order, shipped] of some) expect(await ask(order.slice(0, order.lastIndexOf('-')), order)).toBe(shipped)
    expect((await readFile(effectsFile, 'utf8')).trim().split('\n')).toHaveLength(lines.length)
  }, 120_000)
})

describe('a server with durable conversations that was killed', () => {
  it('has them back as they were: phase, history, deadline, and what is not answered', async () => {
    const dataDir = join(await temporaryDirectory(), 'data')
    const relay = await Relay.open()
    onTestFinished(() => relay.close())
    const killed = new DurableServer({ dataDir })
    onTestFinished(() => killed.kill())
    relay.lead(await killed.listening)
    const bus = await connect(relay.url, { reconnect: { baseMs: 5, maxMs: 50 } })
    onTestFinished(() => bus.close())

    const stuck = new Deferred<void>()
    const responder = bus.respond('order', async (request, { step }) => {
      const charged = await step('charge', () => `charged ${request}`)
      if (request !== 'shipped') {
        stuck.resolve()
        await new Promise(() => {})
      }
      return charged
    })
    await responder.ready()
    const open = (key: string, options = {}) => bus.converse('order', { durable: true, key, ...options })
    const [before, idle, closed] = [Date.now(), await open('idle'), await open('closed')]
    const active = await open('active', { deadlineMs: 60_000 })
    expect(await active.request('shipped', { requestId: 'first' })).toBe('charged shipped')
    expect(await closed.request('shipped', { requestId: 'first' })).toBe('charged shipped')
    await closed.close()
    const pending = active.request('stuck', { requestId: 'second', timeoutMs: 20_000 })
    pending.catch(() => undefined)
    await stuck.promise
    const after = Date.now()
    await responder.close()
    await killed.kill()
    relay.cut()

    const revived = await createBus({ dataDir, conversationHistory: 16 })
    onTestFinished(() => revived.close())
    const views = new Map(revived.conversations().map((view) => [view.key, view]))
    expect([...views.keys()].sort()).toEqual(['active', 'idle'])
    expect(views.get('idle')).toMatchObject({
      subject: 'order',
      phase: 'created',
      deadline: null,
      pending: 0,
      history: [],
    })
    const view = views.get('active')
    expect(view).toMatchObject({ subject: 'order', phase: 'active', pending: 1, participant: null })
    expect(view?.history.map(({ is, attempt }) => [is, attempt])).toEqual([
      ['request', 1],
      ['reply', 1],
      ['request', 1],
    ])
    // When things happened, and when it fails, is as it was before the kill.
    for (const at of [
      view?.openedAt,
      (view?.deadline ?? 0) - 60_000,
      ...(view?.history.map((event) => event.at) ?? []),
    ]) {
      expect(at).toBeGreaterThanOrEqual(before - 1)
      expect(at).toBeLessThanOrEqual(after + 1)
    }

    const attempts: number[] = []
    revived.respond('order', async (_request, { step, attempt }) => {
      attempts.push(attempt)
      return await step('charge', () => 'charged again')
    })
    const server = await serve(revived, { port: 0 })
    onTestFinished(() => server.close())
    relay.lead(server.address.port)
    expect(await pending).toBe('charged stuck')
    expect(attempts).toEqual([2])
    expect(await active.request('repeated', { requestId: 'first' })).toBe('charged shipped')
    expect(await (await open('closed')).request('repeated', { requestId: 'first' })).toBe('charged shipped')
    expect(await idle.request('new')).toBe('charged again')
    const now = revived.conversations().find(({ key }) => key === 'active')
    expect(now).toMatchObject({ phase: 'active', pending: 0, deadline: view?.deadline })
    expect(now?.history.map(({ is, attempt }) => `${is} ${attempt}`)).toEqual([
      ...['request 1', 'reply 1', 'request 1'],
      ...['joined 0', 'request 2', 'reply 2'],
    ])
  })
})
