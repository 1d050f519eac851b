import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LiminalError } from '../../ts/errors.ts'
import { type Exit, exitError, exitKilled, exitNormal, ProcessSystem, Thread } from '../../ts/process/index.ts'
import { codeOf, rejection, trapper, watch } from './support.ts'
import { answer, call, module, start } from './thread-support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

afterEach(() => {
  processes.close()
  expect(processes.size).toBe(0)
})

function abandoned(): LiminalError {
  return new LiminalError('TIMEOUT', 'Nobody waits any more.')
}

function shared(length: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * length))
}

describe('a thread', () => {
  it('is a process that answers with what the default export of its module returns', async () => {
    const thread = await start(processes, 'scripted', { name: 'mailer' })
    expect(processes.list()).toMatchObject([{ pid: thread.process.pid, name: 'mailer', status: 'passive' }])
    expect(await answer(thread, { a: [1n, new Date(0)] })).toEqual({ a: [1n, new Date(0)] })
    expect(await answer(thread, undefined)).toBeUndefined()
    const recorded = call(thread, { do: 'throw' })
    const end = await recorded.over
    expect(end).toMatchObject({
      is: 'threw',
      thrown: { name: 'RangeError', message: 'out of range', code: 'ERR_RANGE' },
    })
    expect(thread.calls).toBe(0)
  })

  it('is at many calls at once, a thousand say, and keeps nothing of them', async () => {
    const thread = await start(processes)
    const numbers = Array.from({ length: 1_000 }, (_, number) => number)
    expect(await Promise.all(numbers.map((number) => answer(thread, number)))).toEqual(numbers)
    expect(thread.calls).toBe(0)
    expect(processes.size).toBe(1)
  })

  it.each([
    ['exit', /ended with code 7/],
    ['uncaught', /thrown outside of any call/],
    ['reject', /nobody catches this/],
    ['gobble', /memory/i],
  ])('that would %s exits with an error, once, and takes its calls along', async (what, message) => {
    const thread = await start(processes, 'scripted', { memoryMb: 24 })
    const exits = watch(processes, thread.process)
    const [hanging, deadly] = [call(thread, { do: 'hang' }), call(thread, { do: what })]
    const exit = await thread.process.exited
    expect(exit.reason).toMatchObject({ is: 'error', cause: { message: expect.stringMatching(message) } })
    for (const { ends } of [hanging, deadly]) expect(ends).toEqual([{ is: 'lost', reason: exit.reason }])
    await thread.terminated
    expect(exits).toEqual([exit])
    expect(processes.size).toBe(0)
    expect(codeOf(() => call(thread, 1))).toBe('PROCESS_GONE')
  })

  it('exits with an error also if it ends itself with code 0', async () => {
    const thread = await start(processes)
    call(thread, { do: 'exit', code: 0 })
    expect((await thread.process.exited).reason.is).toBe('error')
  })

  it('is ended by the exit of its process, whatever it is at, and tells links and monitors in that turn', async () => {
    const thread = await start(processes)
    const { process: supervisor, told } = trapper(processes)
    supervisor.link(thread.process)
    const exits = watch(processes, thread.process)
    const looping = call(thread, { do: 'loop' })
    processes.exit(thread.process, exitKilled('enough'))
    expect(exits).toMatchObject([{ reason: { is: 'killed', cause: 'enough' } }])
    expect(told).toEqual([{ is: 'link-exit', exit: exits[0] }])
    expect(looping.ends).toEqual([{ is: 'lost', reason: exits[0].reason }])
    await thread.terminated
  })

  it('is linked with its parent before anything else, if that is wanted', async () => {
    const parent = processes.spawnPassive()
    const thread = new Thread(processes, { module: module('scripted'), parent, link: true })
    expect(parent.children).toEqual([thread.process])
    parent.end(exitError('gone'))
    expect(thread.process.over).toMatchObject({ reason: { is: 'error', cause: 'gone' }, through: parent.pid })
    await thread.terminated
  })

  it('tells what it answered before it died, however late it is looked at', async () => {
    const thread = await start(processes)
    const told = shared(1)
    const recorded = call(thread, { do: 'answer-and-die', told })
    // Holds this side up until the answer and the death are both on their way.
    Atomics.wait(told, 0, 0)
    for (const until = performance.now() + 50; performance.now() < until; );
    const exit = await thread.process.exited
    expect(exit.reason).toMatchObject({ is: 'error', cause: { message: 'died after its answer' } })
    expect(recorded.ends).toEqual([{ is: 'returned', value: 'answered first' }])
  })

  it('tells what it had answered when it was killed', async () => {
    const thread = await start(processes)
    const told = shared(1)
    const recorded = call(thread, { do: 'answer-and-die', told })
    Atomics.wait(told, 0, 0)
    thread.process.exit(exitKilled())
    expect(recorded.ends).toEqual([{ is: 'returned', value: 'answered first' }])
    await thread.terminated
  })

  it('that cannot load its module says why', async () => {
    const fails = async (name: string, loadMs = 10_000): Promise<[unknown, Exit]> => {
      const thread = new Thread(processes, { module: module(name), loadMs })
      const error = await rejection(thread.ready)
      await thread.terminated
      return [error, await thread.process.exited]
    }
    const [broken, exit] = await fails('broken')
    expect(broken).toMatchObject({ name: 'RangeError', message: 'this module cannot be loaded' })
    expect(exit.reason).toEqual(exitError(broken))
    expect((await fails('no-function'))[0]).toMatchObject({ message: expect.stringContaining('default export') })
    expect((await fails('missing'))[0]).toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' })
    const [endless, killed] = await fails('endless', 200)
    expect(endless).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('within 200 ms') })
    expect(killed.reason.is).toBe('killed')
  })

  it('answers calls that were made before its module was loaded, and begins none that was abandoned', async () => {
    const thread = new Thread(processes, { module: module('late'), graceMs: 1 })
    const [gone, kept] = [call(thread, 1), call(thread, 2)]
    gone.call?.abandon(abandoned())
    expect(await kept.over).toEqual({ is: 'returned', value: { request: 2, aborted: false } })
    expect(gone.ends).toEqual([])
    expect(thread.process.over).toBeNull()
  })

  it('refuses options that cannot be kept, and leaves no process behind', () => {
    const refused = (options: object): string =>
      codeOf(() => new Thread(processes, { module: module('scripted'), ...options }))
    for (const options of [
      { module: 'scripted.mjs' },
      { memoryMb: 0 },
      { memoryMb: 1.5 },
      { loadMs: -1 },
      { graceMs: Number.NaN },
      { window: 0 },
      { link: true },
      { memory: 5 },
    ])
      expect([options, refused(options)]).toEqual([options, 'INVALID_ARGUMENT'])
    expect(processes.size).toBe(0)
  })

  it('does not keep what it ends with to itself when the process system is closed', async () => {
    const thread = await start(processes)
    const recorded = call(thread, { do: 'hang' })
    processes.close()
    expect(recorded.ends).toMatchObject([{ is: 'lost', reason: { is: 'killed' } }])
    await thread.terminated
  })
})

describe('what a thread sends', () => {
  it('is an error of its call if it cannot be copied', async () => {
    const thread = await start(processes)
    expect(await call(thread, { do: 'uncloneable' }).over).toMatchObject({
      is: 'threw',
      thrown: { name: 'DataCloneError' },
    })
    expect(() => call(thread, () => {})).toThrow(/could not be cloned/)
    expect(thread.calls).toBe(0)
    expect(await answer(thread, 'after it')).toBe('after it')
  })

  it.each(['throw-nothing-printable', 'throw-trap'])('may be any thrown value (%s)', async (what) => {
    const thread = await start(processes)
    expect(await call(thread, { do: what }).over).toMatchObject({ is: 'threw', thrown: { name: 'Error' } })
    expect(await answer(thread, 'after it')).toBe('after it')
  })

  it('by itself, on the port that every thread has, means nothing here', async () => {
    const thread = await start(processes)
    const hanging = call(thread, { do: 'hang' })
    const forged = [1, 2, 3].map((id) => ({ is: 'value', id, value: 'forged' }))
    const messages = [null, undefined, 'text', {}, { is: 'alive', id: 1 }, { is: 'ready' }, { is: 'end' }, ...forged]
    expect(await answer(thread, { do: 'post', messages })).toBe('posted')
    expect(await answer(thread, { do: 'shut-port' })).toBe('shut')
    // Nor is there another port to be had.
    expect(await answer(thread, { do: 'worker-data' })).toEqual([])
    expect(await answer(thread, 'after it')).toBe('after it')
    expect(hanging.ends).toEqual([])
  })

  it('brings no memory along that is not its own', async () => {
    const thread = await start(processes)
    const reply = await answer(thread, { do: 'pooled' })
    if (!(reply instanceof Uint8Array)) throw new Error('It answered with no bytes.')
    expect(Buffer.from(reply).toString()).toBe('a few bytes')
    expect(reply.buffer.byteLength).toBe(reply.byteLength)
  })

  it.each([
    [{ at: new Date(0), bytes: 1 }, '{"at":"1970-01-01T00:00:00.000Z","bytes":1}'],
    [undefined, 'null'],
  ])('is JSON text, made over there, if that is wanted', async (request, text) => {
    const thread = await start(processes, 'scripted', { answers: 'json' })
    expect(await answer(thread, request)).toBe(text)
    expect(await call(thread, { do: 'uncloneable' }).over).toMatchObject({ is: 'threw', thrown: { name: 'TypeError' } })
    const parts = call(thread, { do: 'parts', to: 2 }, true)
    expect(await parts.over).toEqual({ is: 'ended', value: '"last"' })
    expect(parts.parts).toEqual(['0', '1'])
  })
})

describe('an abandoned call', () => {
  it('aborts the signal of its function with the reason, and is not heard of again', async () => {
    const thread = await start(processes)
    const heard = shared(2)
    const waiting = call(thread, { do: 'wait', heard })
    Atomics.wait(heard, 1, 0)
    waiting.call?.abandon(abandoned())
    expect(Atomics.wait(heard, 0, 0, 10_000)).not.toBe('timed-out')
    expect(await answer(thread, 'after it')).toBe('after it')
    expect(waiting.ends).toEqual([])
    expect(thread.process.over).toBeNull()
  })

  it('ends a thread that does not react, as killed, and nobody here waits for that', async () => {
    const thread = await start(processes, 'scripted', { graceMs: 200 })
    const others = await start(processes)
    const looping = call(thread, { do: 'loop' })
    const before = performance.now()
    looping.call?.abandon(abandoned())
    expect(thread.isFree).toBe(false)
    let rounds = 0
    while (thread.process.over === null) {
      await answer(others, rounds)
      rounds++
    }
    expect(thread.process.over.reason).toMatchObject({ is: 'killed', cause: { code: 'TIMEOUT' } })
    expect(thread.process.over.at - before).toBeGreaterThanOrEqual(199)
    expect(rounds).toBeGreaterThan(5)
    await thread.terminated
  })

  it('does not end a thread that reacted while this side was held up', async () => {
    const thread = await start(processes, 'scripted', { graceMs: 20 })
    const heard = shared(2)
    // Timers come next then, before anything that has arrived.
    await nextTurn()
    const waiting = call(thread, { do: 'wait', heard })
    Atomics.wait(heard, 1, 0)
    waiting.call?.abandon(abandoned())
    expect(Atomics.wait(heard, 0, 0, 10_000)).not.toBe('timed-out')
    for (const until = performance.now() + 60; performance.now() < until; );
    expect(await answer(thread, 'after it')).toBe('after it')
    expect(thread.process.over).toBeNull()
    expect(thread.isFree).toBe(true)
  })

  it('tells when there is room again', async () => {
    let rooms = 0
    const thread = await start(processes, 'scripted', { graceMs: 10_000, onRoom: () => rooms++ })
    const hanging = [call(thread, { do: 'hang' }), call(thread, { do: 'hang' })]
    for (const { call: made } of hanging) made?.abandon(abandoned())
    hanging[0].call?.abandon(abandoned())
    expect(thread.isFree).toBe(false)
    await answer(thread, 1)
    expect(thread.isFree).toBe(true)
    expect(rooms).toBe(1)
  })
})

describe('an answer in parts', () => {
  it('comes in order, no further ahead than the window allows, and ends with what was returned', async () => {
    const thread = await start(processes)
    const recorded = call(thread, { do: 'parts', to: 200 }, true)
    await recorded.got(64)
    // Whatever it had sent beyond the window would be here before this.
    await answer(thread, 1)
    expect(recorded.parts).toHaveLength(64)
    recorded.call?.take(10)
    await recorded.got(74)
    await answer(thread, 1)
    expect(recorded.parts).toHaveLength(74)
    recorded.call?.take(200)
    expect(await recorded.over).toEqual({ is: 'ended', value: 'last' })
    expect(recorded.parts).toEqual(Array.from({ length: 200 }, (_, number) => number))
  })

  it('stops when nobody wants it any more, also while it waits', async () => {
    const thread = await start(processes)
    const recorded = call(thread, { do: 'parts', to: 1e9 }, true)
    await recorded.got(64)
    expect(await answer(thread, { do: 'open-iterators' })).toBe(1)
    recorded.call?.abandon(abandoned())
    expect(await answer(thread, { do: 'open-iterators' })).toBe(0)
    expect(recorded.ends).toEqual([])
  })

  it('is over with a part that cannot be copied', async () => {
    const thread = await start(processes)
    const recorded = call(thread, { do: 'parts', to: 1e9, bad: 3 }, true)
    expect(await recorded.over).toMatchObject({ is: 'threw', thrown: { name: 'DataCloneError' } })
    expect(recorded.parts).toEqual([0, 1, 2])
    expect(await answer(thread, { do: 'open-iterators' })).toBe(0)
  })

  it('is refused where it is not wanted', async () => {
    const thread = await start(processes)
    expect(await call(thread, { do: 'parts', to: 3 }).over).toEqual({ is: 'in-parts' })
    expect(await answer(thread, { do: 'open-iterators' })).toBe(0)
  })

  it('is lost with its thread, in the middle', async () => {
    const thread = await start(processes)
    const recorded = call(thread, { do: 'parts', to: 1e9 }, true)
    await recorded.got(64)
    thread.process.exit(exitNormal())
    expect(recorded.ends).toEqual([{ is: 'lost', reason: exitNormal() }])
    await thread.terminated
    expect(recorded.parts).toHaveLength(64)
  })
})
