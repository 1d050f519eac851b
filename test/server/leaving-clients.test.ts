import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, type RemoteBus } from '../../ts/client/index.ts'
import { startServer } from './fixture.ts'

const ROUNDS = 20
const EACH = 100

/** Takes a turn of the event loop or two: the work of a moment. */
function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}

async function client(url: string): Promise<RemoteBus> {
  const bus = await connect(url)
  onTestFinished(() => bus.close())
  return bus
}

/** What failed, and whether somebody had begun it. */
class Losses {
  readonly begun = new Set<string>()
  readonly failed: string[] = []

  readonly work = async (id: string): Promise<string> => {
    this.begun.add(id)
    await moment()
    return id
  }

  async all(calls: readonly (readonly [string, Promise<unknown>])[]): Promise<void> {
    const results = await Promise.allSettled(calls.map(([, call]) => call))
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') continue
      // Begun, and ended in good order without an answer: that is no failure of the responder.
      expect(result.reason).toMatchObject({ code: 'PARTICIPANT_GONE' })
      this.failed.push(calls[index][0])
    }
  }

  get neverBegun(): string[] {
    return this.failed.filter((id) => !this.begun.has(id))
  }
}

describe('a client that closes', () => {
  it('gives back what was pushed to its worker and not read yet', async () => {
    const server = await startServer()
    const [leaving, staying] = [await client(server.url), await client(server.url)]
    let isBegun = false
    const worker = leaving.worker.register({ identity: 'leaving', taskQueue: 'work' }, () => {
      isBegun = true
    })
    await worker.ready()
    const outcome = server.bus.dispatch('work', 1)
    const closing = leaving.close()
    await staying.worker.register({ identity: 'staying', taskQueue: 'work' }, () => 'done').ready()
    expect(await outcome).toMatchObject({ value: 'done', deliveredTo: 'staying' })
    await closing
    expect(isBegun).toBe(false)
  })

  it('loses nothing of what is dispatched to its worker, however busy that is', async () => {
    const server = await startServer()
    const losses = new Losses()
    const worker = async (identity: string): Promise<RemoteBus> => {
      const bus = await client(server.url)
      await bus.worker.register({ identity, taskQueue: 'work', capacity: 8 }, losses.work).ready()
      return bus
    }
    await worker('staying')
    for (let round = 0; round < ROUNDS; round++) {
      const leaving = await worker(`leaving-${round}`)
      const ids = Array.from({ length: EACH }, (_, n) => `${round}-${n}`)
      const all = losses.all(ids.map((id) => [id, server.bus.dispatch('work', id)] as const))
      for (let count = round % 5; count > 0; count--) await moment()
      await leaving.close()
      await all
    }
    expect(losses.failed).toEqual([])
    expect(losses.begun.size).toBe(ROUNDS * EACH)
  })

  it.each(['ask', 'dispatch'] as const)('loses no %s to its responder that was not begun', async (how) => {
    const server = await startServer()
    const losses = new Losses()
    const responder = async (): Promise<RemoteBus> => {
      const bus = await client(server.url)
      await bus.respond('work', losses.work).ready()
      return bus
    }
    await responder()
    for (let round = 0; round < ROUNDS; round++) {
      const leaving = await responder()
      const ids = Array.from({ length: EACH }, (_, n) => `${round}-${n}`)
      const call = (id: string): Promise<unknown> =>
        how === 'ask' ? server.bus.ask('work', id, { onCrash: 'route-to-next' }) : server.bus.dispatch('work', id)
      const all = losses.all(ids.map((id) => [id, call(id)] as const))
      for (let count = round % 5; count > 0; count--) await moment()
      await leaving.close()
      await all
    }
    expect(losses.neverBegun).toEqual([])
  })

  it('fails nothing if its responder was closed before, with a grace', async () => {
    const server = await startServer()
    const losses = new Losses()
    const bus = await client(server.url)
    await bus.respond('work', losses.work).ready()
    for (let round = 0; round < ROUNDS; round++) {
      const leaving = await client(server.url)
      const responder = leaving.respond('work', losses.work)
      await responder.ready()
      const ids = Array.from({ length: EACH }, (_, n) => `${round}-${n}`)
      const all = losses.all(ids.map((id) => [id, server.bus.ask('work', id)] as const))
      for (let count = round % 5; count > 0; count--) await moment()
      await responder.close({ graceMs: 20_000 })
      await leaving.close()
      await all
    }
    expect(losses.failed).toEqual([])
  })
})

describe('a worker behind a connection', () => {
  it('is ready when the server knows how much it takes at once', async () => {
    const server = await startServer()
    for (let round = 0; round < 10; round++) {
      const bus = await client(server.url)
      const worker = bus.worker.register<number>({ identity: 'ada', taskQueue: 'work', capacity: 4 }, (n) => n)
      await worker.ready()
      expect(await Promise.all([1, 2, 3, 4].map((n) => server.bus.ask('work', n)))).toEqual([1, 2, 3, 4])
      await bus.close()
    }
  })
})
