import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import {
  ConsumerGroup,
  type IsolatedRouting,
  isolatedRouting,
  RoutingError,
  roundRobin,
} from '../../ts/routing/index.ts'
import { sourceHash } from '../../ts/routing/source-hash.ts'
import { completing, rejection } from './consumers.ts'

const module = (name: string): URL => new URL(`./modules/${name}.mjs`, import.meta.url)

const opened: IsolatedRouting[] = []

async function load(...[from, options]: Parameters<typeof isolatedRouting>): Promise<IsolatedRouting> {
  const routing = await isolatedRouting(from, options)
  opened.push(routing)
  return routing
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((routing) => routing.close()))
})

function group(routing: IsolatedRouting): ConsumerGroup {
  const made = new ConsumerGroup('work', { routing })
  made.join(completing('a', { capacity: 64 }))
  return made
}

async function routingFailure(promise: Promise<unknown>): Promise<RoutingError> {
  const error = await rejection(promise)
  if (error.cause instanceof RoutingError) return error.cause
  throw error
}

describe('an isolated routing function', () => {
  it('chooses in a thread, with copies of the message and of the live state', async () => {
    const routing = await load(module('scripted'))
    expect(routing.hash).toBe(sourceHash(await readFile(module('scripted'))))
    const made = group(routing)
    expect((await made.dispatch({})).deliveredTo).toBe('a')
    const failure = await routingFailure(made.dispatch({ do: 'report' }, { key: 'k' }))
    expect(failure.failure).toBe('unknown-consumer')
    const reported = failure.message.slice(failure.message.indexOf("'{") + 1, failure.message.lastIndexOf("'"))
    expect(JSON.parse(reported)).toMatchObject({
      key: 'k',
      attempt: 1,
      consumers: [{ id: 'a', inFlight: 0, capacity: 64, available: 64, completed: 1, failed: 0, tags: [] }],
    })
  })

  it('that throws or answers nonsense fails that dispatch and keeps its thread', async () => {
    const routing = await load(module('scripted'), { maxLosses: 1 })
    const made = group(routing)
    expect(await routingFailure(made.dispatch({ do: 'throw' }))).toMatchObject({
      failure: 'crashed',
      hash: routing.hash,
    })
    expect((await routingFailure(made.dispatch({ do: 'throw' }))).message).toContain('the function says no')
    expect((await routingFailure(made.dispatch({ do: 'nonsense' }))).failure).toBe('crashed')
    expect((await routingFailure(made.dispatch({ no: () => {} }))).message).toContain('could not be cloned')
    expect((await made.dispatch({})).deliveredTo).toBe('a')
    expect(routing.isSuspended).toBe(false)
  })

  it.each(['loop', 'hang', 'exit', 'gobble'])('is stopped and replaced if it would %s', async (what) => {
    const routing = await load(module('scripted'), { timeoutMs: what === 'gobble' ? 20_000 : 150, memoryMb: 24 })
    const made = group(routing)
    const failure = await routingFailure(made.dispatch({ do: what }))
    expect(failure.failure).toBe(what === 'loop' || what === 'hang' ? 'timed-out' : 'crashed')
    expect((await made.dispatch({})).deliveredTo).toBe('a')
    expect(routing.threads).toBe(1)
  })

  it('in an endless loop delays nobody else', async () => {
    const looping = group(await load(module('scripted'), { timeoutMs: 800, name: 'looping' }))
    const others = group(await load(module('first')))
    const inProcess = new ConsumerGroup('in process', { routing: roundRobin() })
    inProcess.join(completing('a'))
    const delay = monitorEventLoopDelay({ resolution: 5 })
    await others.dispatch({})
    delay.enable()
    let isStopped = false
    const stopped = rejection(looping.dispatch({ do: 'loop' })).then((error) => {
      isStopped = true
      return error
    })
    const durations: number[] = []
    while (!isStopped) {
      durations.push((await others.dispatch({})).durationMs, (await inProcess.dispatch({})).durationMs)
      // Promises alone would let nothing else happen.
      await new Promise((resolve) => setImmediate(resolve))
    }
    delay.disable()
    expect((await stopped).code).toBe('ROUTING_FAILED')
    // One after the other, all while the loop went on: whoever waited for it would have been among the last.
    expect(durations.length).toBeGreaterThan(20)
    // Two cores run three busy threads and whatever else: the bound is of the product, and most waits are far below it.
    expect(durations.sort((one, other) => one - other)[durations.length >> 1]).toBeLessThan(50)
    expect(delay.percentile(50) / 1e6).toBeLessThan(50)
  })

  it('runs as many calls at a time as it has threads', async () => {
    const routing = await load(module('scripted'), { timeoutMs: 250, threads: 2 })
    const made = group(routing)
    const looping = rejection(made.dispatch({ do: 'loop' }))
    const order: string[] = []
    await Promise.all([looping.then(() => order.push('loop')), made.dispatch({}).then(() => order.push('fine'))])
    expect(order).toEqual(['fine', 'loop'])
  })

  it('refuses calls when too many wait for its thread', async () => {
    const routing = await load(module('scripted'), { timeoutMs: 200, maxWaiting: 1 })
    const made = group(routing)
    const looping = rejection(made.dispatch({ do: 'loop' }))
    const waiting = made.dispatch({})
    expect(routing.waiting).toBe(1)
    expect(await routingFailure(made.dispatch({}))).toMatchObject({ failure: 'suspended', retryable: true })
    await looping
    expect((await waiting).deliveredTo).toBe('a')
  })

  it('that keeps losing threads is suspended, then tried with one, and comes back', async () => {
    const routing = await load(module('scripted'), { maxLosses: 3, cooldownMs: 300, threads: 2 })
    const made = group(routing)
    for (let count = 0; count < 3; count++) await rejection(made.dispatch({ do: 'exit' }))
    expect(routing.isSuspended).toBe(true)
    const failure = await routingFailure(made.dispatch({}))
    expect(failure).toMatchObject({ failure: 'suspended', retryable: true })
    let tries = 0
    let outcome: unknown = null
    while (outcome === null) {
      tries++
      outcome = await made.dispatch({}).catch(() => null)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(tries).toBeGreaterThan(1)
    expect(routing.isSuspended).toBe(false)
    expect(outcome).toMatchObject({ deliveredTo: 'a' })
  })

  it('cannot be loaded if its module is broken, missing or no file', async () => {
    expect((await rejection(isolatedRouting(module('broken')))).message).toContain('this module cannot be loaded')
    expect((await rejection(isolatedRouting(module('exiting')))).message).toContain('ended with code 5')
    expect((await rejection(isolatedRouting(module('endless'), { loadMs: 200 }))).message).toContain('within 200 ms')
    expect((await rejection(isolatedRouting(module('missing')))).code).toBe('ROUTING_FAILED')
    expect((await rejection(isolatedRouting(new URL('data:text/javascript,1')))).code).toBe('INVALID_ARGUMENT')
  })

  it('cannot be loaded if its thread ends while the text is read again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'routing-'))
    try {
      const path = join(folder, 'routing.mjs')
      // Reading that much takes the event loop many rounds: the end of the thread is heard in one of them.
      const filling = `/*${'-'.repeat(48 << 20)}*/`
      await writeFile(path, `setImmediate(() => process.exit(3))\nexport default () => null\n${filling}\n`)
      const error = await rejection(isolatedRouting(path, { memoryMb: 512 }))
      expect(error).toMatchObject({ code: 'ROUTING_FAILED', message: expect.stringContaining('ended with code 3') })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('never runs another text under its hash', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'routing-'))
    try {
      const path = join(folder, 'routing.mjs')
      await copyFile(module('scripted'), path)
      const old = await load(path, { maxLosses: 2 })
      const made = group(old)
      await writeFile(path, 'export default () => "b"\n')
      // The thread that is there goes on with what it loaded; the one that replaces it would load the new text.
      expect((await made.dispatch({})).deliveredTo).toBe('a')
      await rejection(made.dispatch({ do: 'exit' }))
      const failure = await routingFailure(made.dispatch({}))
      expect(failure.failure).toBe('suspended')
      expect(failure.message).toMatch(/has changed since it was deployed\. Deploy it again\.$/)
      made.join(completing('b'))
      const changed = await load(pathToFileURL(path))
      expect(changed.hash).not.toBe(old.hash)
      await made.deploy(changed)
      expect((await made.dispatch({})).deliveredTo).toBe('b')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('finishes its calls when it is replaced, and ends its threads then', async () => {
    const routing = await load(module('first'))
    const made = group(routing)
    const last = made.dispatch({})
    await made.deploy(roundRobin())
    expect((await last).deliveredTo).toBe('a')
    await routing.close()
    expect(routing.threads).toBe(0)
    expect(() => new ConsumerGroup('work', { routing })).toThrow(/is closed/)
  })

  it('lives on while another group uses it', async () => {
    const routing = await load(module('first'))
    const [one, other] = [group(routing), group(routing)]
    await one.close()
    expect((await other.dispatch({})).deliveredTo).toBe('a')
    await other.close()
    await routing.close()
    expect(routing.threads).toBe(0)
  })
})
