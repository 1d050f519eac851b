import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { DurableServer } from '../faults/durable-server.ts'

const CONVERSATIONS = 12
const REQUESTS = 6
const STEPS = 4
const KILLS = 4

/** Starts a server process on a directory. It ends with the test. */
async function start(dataDir: string, port: number): Promise<DurableServer> {
  const server = new DurableServer({ dataDir, port, echoFallback: false })
  onTestFinished(() => server.kill())
  await server.listening
  return server
}

async function client(port: number): Promise<RemoteBus> {
  const bus = await connect(`liminal://127.0.0.1:${port}`, { reconnect: { baseMs: 10, maxMs: 50 } })
  onTestFinished(() => bus.close())
  return bus
}

describe('durable conversations of a server that is killed again and again', () => {
  it('are all answered, each step with one effect', { timeout: 120_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'liminal-conversations-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    let server = await start(directory, 0)
    const port = await server.listening
    const worker = await client(port)
    const asker = await client(port)
    /** What is done outside, by the tokens of the steps that do it: the second time it is known already. */
    const effects = new Map<string, string>()
    let runs = 0
    let next = { at: Number.POSITIVE_INFINITY, reached: new Deferred<void>() }
    worker.respond<string>('order', async (request, { step }) => {
      const done: string[] = []
      for (let index = 0; index < STEPS; index++) {
        done.push(
          await step('work', async ({ token }) => {
            if (++runs >= next.at) next.reached.resolve()
            await new Promise((resolve) => setTimeout(resolve, 5))
            if (!effects.has(token)) effects.set(token, `${request}/${index}`)
            return effects.get(token) ?? ''
          }),
        )
      }
      return done
    })
    const asked = Array.from({ length: CONVERSATIONS }, async (_, number) => {
      const conversation = await asker.converse('order', { durable: true, key: `o-${number}`, timeoutMs: 100_000 })
      for (let request = 0; request < REQUESTS; request++) {
        const value = `${number}.${request}`
        const options = { requestId: `r-${request}`, timeoutMs: 100_000 }
        const reply = await conversation.request(value, options)
        expect(reply).toEqual(Array.from({ length: STEPS }, (_, index) => `${value}/${index}`))
        // Somebody who did not hear of it asks again.
        expect(await conversation.request('anything', options)).toEqual(reply)
      }
      await conversation.close()
    })
    let isDone = false
    const all = Promise.all(asked).finally(() => {
      isDone = true
    })
    for (let round = 0; round < KILLS && !isDone; round++) {
      // In the middle of work, wherever that is.
      next = { at: runs + 10 + round * 7, reached: new Deferred() }
      await Promise.race([next.reached.promise, all])
      await server.kill()
      server = await start(directory, port)
    }
    await all
    expect([...effects.values()].sort()).toEqual(
      Array.from({ length: CONVERSATIONS * REQUESTS * STEPS }, (_, index) => {
        const work = Math.floor(index / STEPS)
        return `${Math.floor(work / REQUESTS)}.${work % REQUESTS}/${index % STEPS}`
      }).sort(),
    )
    expect(runs).toBeLessThan(effects.size + KILLS * CONVERSATIONS + 1)
  })
})
