import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect } from '../../ts/client/index.ts'
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
