import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ChildSpec,
  exitError,
  exitKilled,
  exitNoConnection,
  exitNormal,
  type PassiveProcess,
  PROCESS_RESTART,
  ProcessSystem,
  Supervisor,
  type SupervisorOptions,
} from '../../ts/process/index.ts'
import { codeOf, restOfTurn, said, watch } from './support.ts'

const crash = new Error('crash')

let processes: ProcessSystem
/** The processes of each child, the youngest last. */
let started: Map<string, PassiveProcess[]>
/** What children did, in order. */
let log: string[]

beforeEach(() => {
  processes = new ProcessSystem()
  started = new Map()
  log = []
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

function child(id: string, spec: Partial<ChildSpec> = {}): ChildSpec {
  const start: ChildSpec['start'] = (parent) => {
    log.push(`start ${id}`)
    const process = processes.spawnPassive({ name: id, parent, onExit: (exit) => log.push(`${id} ${exit.reason.is}`) })
    started.set(id, [...(started.get(id) ?? []), process])
    return process
  }
  return { id, start, ...spec }
}

/** A child that traps exits and only ends when the test says so. */
function stubborn(id: string, spec: Partial<ChildSpec> = {}): ChildSpec {
  const start: ChildSpec['start'] = (parent) => {
    const process = processes.spawnPassive({
      name: id,
      parent,
      onTrapped: (trapped) => log.push(`${id} is told: ${trapped.is}`),
      onExit: (exit) => log.push(`${id} ${exit.reason.is}`),
    })
    started.set(id, [...(started.get(id) ?? []), process])
    return process
  }
  return { id, start, ...spec }
}

function current(id: string): PassiveProcess {
  const all = started.get(id) ?? []
  return all[all.length - 1]
}

function supervise(options: SupervisorOptions): Supervisor {
  return new Supervisor(processes, options)
}

describe('a child that crashes', () => {
  it('is back in the same turn, as a new process; the others keep theirs', () => {
    const supervisor = supervise({ children: [child('a'), child('b')] })
    const [a, b] = [current('a'), current('b')]
    a.end(exitError(crash))
    expect(current('a').pid).toBeGreaterThan(b.pid)
    expect(current('a').over).toBeNull()
    expect(current('b')).toBe(b)
    expect(b.over).toBeNull()
    expect(supervisor.children()).toMatchObject([
      { id: 'a', status: 'running', process: { pid: current('a').pid }, restarts: 1, lastExit: a.over },
      { id: 'b', status: 'running', process: { pid: b.pid }, restarts: 0, lastExit: null },
    ])
    expect(processes.info(supervisor.process)?.links).toEqual([b.pid, current('a').pid])
  })

  it.each([exitKilled(), exitNoConnection(crash)])('is back whatever took it: $is', (reason) => {
    supervise({ children: [child('a')] })
    current('a').end(reason)
    expect(current('a').over).toBeNull()
  })

  it('is back if it was gone before its supervisor could link with it', async () => {
    const dead = processes.spawnPassive()
    dead.end(exitError(crash))
    const supervisor = supervise({})
    let start = (): PassiveProcess => dead
    supervisor.start({ id: 'a', start: () => start() })
    start = () => processes.spawnPassive()
    await restOfTurn()
    expect(supervisor.children()).toMatchObject([{ status: 'running', restarts: 1, lastExit: dead.over }])
    expect(supervisor.children()[0].process?.over).toBeNull()
  })

  it('comes back with an empty mailbox: nothing stale is run, and the old address refuses', async () => {
    const heard: string[] = []
    const supervisor = supervise({
      children: [
        {
          id: 'a',
          start: () =>
            processes.spawn<string>(async (self) => {
              for await (const received of self) {
                if (received.is !== 'message') continue
                if (received.message === 'crash') throw crash
                heard.push(received.message)
              }
            }),
        },
      ],
    })
    const old = supervisor.children()[0].process
    await restOfTurn()
    if (old === null) throw new Error('The child has no process.')
    for (const message of ['first', 'crash', 'stale']) processes.send(old.pid, message)
    await old.exited
    const anew = supervisor.children()[0].process
    if (anew === null) throw new Error('The child was not started anew.')
    expect(codeOf(() => processes.send(old.pid, 'late'))).toBe('PROCESS_GONE')
    processes.send(anew.pid, 'second')
    await restOfTurn()
    expect(heard).toEqual(['first', 'second'])
    processes.close()
  })

  it('is said to come back', async () => {
    const supervisor = supervise({ children: [child('a')] })
    const old = current('a')
    const messages = await said(PROCESS_RESTART, () => old.end(exitError(crash)))
    expect(messages).toEqual([
      { supervisor: supervisor.process.pid, child: 'a', pid: current('a').pid, exit: old.over },
    ])
  })

  it('is said to come back after a start that failed, which no exit stands for', async () => {
    const { start } = child('a')
    const flaky = vi.fn(start)
    supervise({ children: [{ id: 'a', start: flaky }] })
    flaky.mockImplementationOnce(() => {
      throw crash
    })
    const messages = await said(PROCESS_RESTART, () => current('a').end(exitError(crash)))
    expect(messages).toMatchObject([{ child: 'a', pid: current('a').pid, exit: null }])
  })
})

describe('the restart policy of a child', () => {
  it.each([
    ['permanent', exitNormal(), true],
    ['permanent', exitError(crash), true],
    ['transient', exitNormal(), false],
    ['transient', exitError(crash), true],
    ['transient', exitKilled(), true],
    ['temporary', exitNormal(), false],
    ['temporary', exitError(crash), false],
  ] as const)('%s after %s', (restart, reason, returns) => {
    const supervisor = supervise({ children: [child('a', { restart })] })
    current('a').end(reason)
    expect(started.get('a')).toHaveLength(returns ? 2 : 1)
    expect(supervisor.children().map((one) => one.id)).toEqual(returns ? ['a'] : [])
    expect(supervisor.process.over).toBeNull()
  })

  it('is permanent unless said otherwise', () => {
    supervise({ children: [child('a')] })
    current('a').end()
    expect(started.get('a')).toHaveLength(2)
  })
})

describe('a supervisor whose children crash too often', () => {
  it('gives up: ends the others in reverse order, then exits with a typed error and its cause', async () => {
    const supervisor = supervise({ name: 'pool', maxRestarts: 2, children: [child('a'), child('b'), child('c')] })
    const exits = watch(processes, supervisor.process)
    for (const reason of [1, 2]) current('b').end(exitError(reason))
    expect(exits).toEqual([])
    log.length = 0
    const last = current('b')
    last.end(exitError(crash))
    await restOfTurn()
    expect(log).toEqual(['b error', 'c normal', 'a normal'])
    expect(exits).toMatchObject([{ reason: { is: 'error', cause: { code: 'RESTARTS_EXCEEDED', cause: last.over } } }])
    expect(exits[0].reason.cause).toMatchObject({ message: expect.stringContaining("('pool') gave up: restarting") })
    expect(processes.size).toBe(0)
    expect(supervisor.children()).toEqual([])
  })

  it('counts over a window that slides', () => {
    vi.useFakeTimers()
    const supervisor = supervise({ maxRestarts: 2, periodMs: 1_000, children: [child('a')] })
    for (let round = 0; round < 10; round++) {
      current('a').end(exitError(crash))
      vi.advanceTimersByTime(500)
    }
    expect(supervisor.process.over).toBeNull()
    expect(supervisor.children()).toMatchObject([{ restarts: 10 }])
    current('a').end(exitError(crash))
    vi.advanceTimersByTime(499)
    current('a').end(exitError(crash))
    expect(started.get('a')).toHaveLength(12)
  })

  it('counts all its children together, and none that is not to come back', async () => {
    const supervisor = supervise({
      maxRestarts: 1,
      children: [child('a'), child('b'), child('t', { restart: 'temporary' })],
    })
    current('t').end(exitError(crash))
    current('a').end(exitError(crash))
    current('b').end(exitError(crash))
    expect((await supervisor.process.exited).reason.cause).toMatchObject({ code: 'RESTARTS_EXCEEDED' })
  })

  it('gives up at the first with no restarts allowed', async () => {
    const supervisor = supervise({ maxRestarts: 0, children: [child('a')] })
    current('a').end(exitError(crash))
    expect((await supervisor.process.exited).reason.is).toBe('error')
    expect(started.get('a')).toHaveLength(1)
  })

  it('does not start for ever what fails to start', async () => {
    let starts = 0
    const supervisor = supervise({
      maxRestarts: 100_000,
      children: [
        {
          id: 'a',
          start: () => {
            if (++starts > 1) throw crash
            return processes.spawnPassive()
          },
        },
      ],
    })
    supervisor.children()[0].process?.exit(exitError('first'))
    const { reason } = await supervisor.process.exited
    expect(reason.cause).toMatchObject({ code: 'RESTARTS_EXCEEDED', cause: crash })
    expect(starts).toBe(100_001)
  })

  it('is a crash to its own supervisor, which starts all of it anew', async () => {
    const inner: Supervisor[] = []
    const outer = supervise({
      children: [
        {
          id: 'inner',
          shutdownMs: null,
          start: (parent) => {
            const one = supervise({ parent, maxRestarts: 0, children: [child('a')] })
            inner.push(one)
            return one.process
          },
        },
      ],
    })
    current('a').end(exitError(crash))
    await inner[0].process.exited
    expect(inner).toHaveLength(2)
    expect(current('a').over).toBeNull()
    expect(outer.children()).toMatchObject([{ id: 'inner', status: 'running', restarts: 1 }])
    const { pid } = current('a')
    await outer.stop()
    expect(processes.exitOf(pid)?.reason.is).toBe('normal')
    expect(processes.size).toBe(0)
  })
})

describe('back-off', () => {
  it('doubles with each restart in a row up to its cap, and starts over once a child has lasted', () => {
    vi.useFakeTimers()
    const supervisor = supervise({
      maxRestarts: 100,
      periodMs: 10_000,
      backoff: { baseMs: 100, maxMs: 500, jitter: 'none' },
      children: [child('a')],
    })
    const crashAndWait = (delay: number): void => {
      const before = current('a')
      before.end(exitError(crash))
      expect(supervisor.children()).toMatchObject([{ status: 'waiting', process: null, lastExit: before.over }])
      vi.advanceTimersByTime(delay - 1)
      expect(current('a')).toBe(before)
      vi.advanceTimersByTime(1)
      expect(current('a')).not.toBe(before)
    }
    for (const delay of [100, 200, 400, 500, 500]) crashAndWait(delay)
    vi.advanceTimersByTime(10_000)
    crashAndWait(100)
  })

  it('draws its waits from nothing to their length', () => {
    vi.useFakeTimers()
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    supervise({ backoff: { baseMs: 100, maxMs: 500 }, children: [child('a')] })
    current('a').end(exitError(crash))
    vi.advanceTimersByTime(49)
    expect(started.get('a')).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(started.get('a')).toHaveLength(2)
    random.mockReturnValue(0)
    current('a').end(exitError(crash))
    expect(started.get('a')).toHaveLength(3)
  })

  it('applies to a start that fails as well', async () => {
    vi.useFakeTimers()
    const start = vi.fn(child('a').start)
    const supervisor = supervise({
      maxRestarts: 2,
      backoff: { baseMs: 100, maxMs: 500, jitter: 'none' },
      children: [{ id: 'a', start }],
    })
    start.mockImplementation(() => {
      throw crash
    })
    current('a').end(exitError(crash))
    vi.advanceTimersByTime(100)
    expect(start).toHaveBeenCalledTimes(2)
    vi.advanceTimersByTime(200)
    expect(start).toHaveBeenCalledTimes(3)
    expect((await supervisor.process.exited).reason.cause).toMatchObject({ code: 'RESTARTS_EXCEEDED', cause: crash })
  })

  it('does not keep the program alive', () => {
    const timers = vi.spyOn(globalThis, 'setTimeout')
    supervise({ backoff: { baseMs: 1_000, maxMs: 1_000, jitter: 'none' }, children: [child('a')] })
    current('a').end(exitError(crash))
    expect(timers.mock.results.map((result) => result.value.hasRef())).toEqual([false])
    processes.close()
  })

  it('leaves no timer behind when the child is stopped or the supervisor is killed while it waits', async () => {
    vi.useFakeTimers()
    const backoff = { baseMs: 100, maxMs: 500, jitter: 'none' } as const
    const supervisor = supervise({ backoff, children: [child('a'), child('b')] })
    current('a').end(exitError(crash))
    current('b').end(exitError(crash))
    expect(vi.getTimerCount()).toBe(2)
    expect(await supervisor.stopChild('a')).toBe(true)
    expect(vi.getTimerCount()).toBe(1)
    supervisor.process.exit(exitKilled())
    expect(vi.getTimerCount()).toBe(0)
    expect(started.get('a')).toHaveLength(1)
  })
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
