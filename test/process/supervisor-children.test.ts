import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ChildSpec, exitError, exitKilled, exitNormal, ProcessSystem } from '../../ts/process/index.ts'
import { nursery } from './nursery.ts'
import { codeOf, restOfTurn } from './support.ts'

const crash = new Error('crash')

let { processes, started, log, child, stubborn, current, supervise } = nursery()

beforeEach(() => {
  ;({ processes, started, log, child, stubborn, current, supervise } = nursery())
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('an orderly stop', () => {
  it('ends the children in reverse order, each once the one before is over, then the supervisor', async () => {
    const supervisor = supervise({ children: [child('a'), stubborn('b'), child('c')] })
    log.length = 0
    const stopped = supervisor.stop(exitNormal('done'))
    await restOfTurn()
    expect(log).toEqual(['c normal', 'b is told: exit-request'])
    expect(supervisor.children().map((one) => [one.id, one.status])).toEqual([
      ['a', 'running'],
      ['b', 'stopping'],
    ])
    current('b').end()
    expect((await stopped).reason.cause).toBe('done')
    expect(log.slice(2)).toEqual(['b normal', 'a normal'])
    expect(processes.size).toBe(0)
  })

  it('kills a child at its deadline and goes on', async () => {
    vi.useFakeTimers()
    const supervisor = supervise({
      children: [stubborn('a', { shutdownMs: 0 }), stubborn('b', { shutdownMs: 300 }), stubborn('c')],
    })
    const stopped = supervisor.stop()
    await restOfTurn()
    vi.advanceTimersByTime(4_999)
    expect(log).toEqual(['c is told: exit-request'])
    vi.advanceTimersByTime(1)
    await restOfTurn()
    vi.advanceTimersByTime(300)
    expect((await stopped).reason.is).toBe('normal')
    expect(log).toEqual(['c is told: exit-request', 'c killed', 'b is told: exit-request', 'b killed', 'a killed'])
    expect(current('b').over?.reason.cause).toMatchObject({ code: 'TIMEOUT' })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('starts and restarts nothing from then on, and later stops change nothing', async () => {
    const supervisor = supervise({ children: [child('a'), stubborn('b')] })
    const stopped = supervisor.stop(exitNormal('first'))
    expect(codeOf(() => supervisor.start(child('late')))).toBe('SHUTTING_DOWN')
    current('a').end(exitError(crash))
    current('b').end(exitError(crash))
    expect(supervisor.stop(exitNormal('second'))).toBe(stopped)
    expect((await stopped).reason.cause).toBe('first')
    expect(started.get('a')).toHaveLength(1)
    expect(codeOf(() => supervisor.start(child('late')))).toBe('SHUTTING_DOWN')
    expect(processes.size).toBe(0)
  })

  it('is what a request to its process means, and what leaving its scope does', async () => {
    const asked = supervise({ children: [child('a')] })
    asked.process.exit()
    expect((await asked.process.exited).reason.is).toBe('normal')
    {
      await using scoped = supervise({ children: [child('b')] })
      expect(scoped.children()).toHaveLength(1)
    }
    expect(processes.size).toBe(0)
  })

  it('follows a crash of whoever it is linked with and has not started', async () => {
    const parent = processes.spawnPassive()
    const supervisor = supervise({ parent, children: [child('a')] })
    const friend = processes.spawnPassive()
    processes.link(friend, supervisor.process)
    friend.end()
    expect(supervisor.process.over).toBeNull()
    parent.end(exitError(crash))
    expect((await supervisor.process.exited).reason).toEqual(exitError(crash))
    expect(current('a').over?.reason.is).toBe('normal')
  })

  it('is overtaken by a kill: no child outlives its supervisor, not even one that traps', () => {
    const supervisor = supervise({ children: [child('a'), stubborn('b')] })
    supervisor.stop()
    expect(current('b').over).toBeNull()
    supervisor.process.exit(exitKilled())
    expect([current('a').over?.reason.is, current('b').over?.reason.is]).toEqual(['killed', 'killed'])
    expect(processes.size).toBe(0)
  })
})

describe('children that come and go', () => {
  it('are started, listed in order and stopped by their ids', async () => {
    const supervisor = supervise({})
    expect(supervisor.start(child('a'))).toBe(current('a'))
    supervisor.start(child('b', { restart: 'temporary' }))
    expect(supervisor.children()).toMatchObject([
      { id: 'a', restart: 'permanent' },
      { id: 'b', restart: 'temporary' },
    ])
    expect(codeOf(() => supervisor.start(child('a')))).toBe('INVALID_ARGUMENT')
    const { process } = supervisor.children()[0]
    expect(await supervisor.stopChild('a')).toBe(true)
    expect(await supervisor.stopChild('a')).toBe(false)
    expect(started.get('a')).toHaveLength(1)
    expect(process?.over?.reason.is).toBe('normal')
    expect(supervisor.start(child('a'))).toBe(current('a'))
    expect(supervisor.children().map((one) => one.id)).toEqual(['b', 'a'])
  })

  it('are waited for by each who stops them', async () => {
    const supervisor = supervise({ children: [stubborn('a')] })
    const stops = [supervisor.stopChild('a'), supervisor.stopChild('a')]
    current('a').end()
    expect(await Promise.all(stops)).toEqual([true, true])
    expect(log).toEqual(['a is told: exit-request', 'a normal'])
  })

  it('leave no deadline behind when they end in time', async () => {
    vi.useFakeTimers()
    const supervisor = supervise({ children: [stubborn('a')] })
    const stopped = supervisor.stopChild('a')
    expect(vi.getTimerCount()).toBe(1)
    current('a').end()
    await stopped
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are none if their start fails, and the caller gets the error', () => {
    const supervisor = supervise({})
    const failing: ChildSpec = {
      id: 'a',
      start: () => {
        throw crash
      },
    }
    expect(() => supervisor.start(failing)).toThrow(crash)
    expect(supervisor.children()).toEqual([])
    expect(() => supervise({ children: [child('b'), failing] })).toThrow(crash)
    expect(current('b').over?.reason.is).toBe('error')
    expect(processes.size).toBe(1)
  })

  it('do not outlive a start in which their supervisor is stopped', async () => {
    const supervisor = supervise({})
    const start: ChildSpec['start'] = (parent) => {
      supervisor.stop()
      return child('a').start(parent)
    }
    expect(codeOf(() => supervisor.start({ id: 'a', start }))).toBe('SHUTTING_DOWN')
    await supervisor.process.exited
    expect(processes.size).toBe(0)
  })

  it('are not started again and again if they are stopped while they come back', async () => {
    const supervisor = supervise({ maxRestarts: 10 })
    const { start } = child('a')
    let isBack = false
    supervisor.start({
      id: 'a',
      start: (parent) => {
        if (isBack) supervisor.stopChild('a')
        return start(parent)
      },
    })
    isBack = true
    current('a').end(exitError(crash))
    expect(log).toEqual(['start a', 'a error', 'start a', 'a killed'])
    expect(supervisor.children()).toEqual([])
    expect(supervisor.process.over).toBeNull()
  })

  it('are processes of the same system, each another', () => {
    const supervisor = supervise({ children: [child('a')] })
    const foreign = new ProcessSystem().spawnPassive()
    for (const process of [foreign, current('a'), supervisor.process]) {
      expect(codeOf(() => supervisor.start({ id: 'b', start: () => process }))).toBe('INVALID_ARGUMENT')
    }
    expect(supervisor.children()).toHaveLength(1)
    expect(processes.info(supervisor.process)?.links).toHaveLength(1)
  })

  it('leave nothing behind, 10,000 of them', async () => {
    const supervisor = supervise({})
    for (let index = 0; index < 10_000; index++) {
      supervisor.start({
        id: `job-${index}`,
        restart: 'temporary',
        start: (parent) => processes.spawnPassive({ parent }),
      })
    }
    for (const { process } of supervisor.children()) process?.exit(exitError(crash))
    expect(supervisor.children()).toEqual([])
    expect(processes.list()).toMatchObject([{ pid: supervisor.process.pid, links: [] }])
    expect(supervisor.process.children).toEqual([])
  })
})

describe('options of a supervisor', () => {
  it.each([
    { maxRestarts: -1 },
    { periodMs: 0 },
    { backoff: { baseMs: 0, maxMs: 10 } },
    { backoff: { baseMs: 10, maxMs: 5 } },
    { backoff: { baseMs: 10, maxMs: 2 ** 31 } },
  ])('are refused if they cannot be kept: %j', (options) => {
    expect(codeOf(() => supervise(options))).toBe('INVALID_ARGUMENT')
    expect(processes.size).toBe(0)
  })

  it.each([{ id: '' }, { shutdownMs: -1 }, { shutdownMs: 2 ** 31 }])('of a child as well: %j', (spec) => {
    expect(codeOf(() => supervise({}).start(child('a', spec)))).toBe('INVALID_ARGUMENT')
  })
})
