import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  exitError,
  exitKilled,
  exitNoConnection,
  exitNormal,
  type PassiveProcess,
  PROCESS_RESTART,
  type Supervisor,
} from '../../ts/process/index.ts'
import { nursery } from './nursery.ts'
import { codeOf, restOfTurn, said, watch } from './support.ts'

const crash = new Error('crash')

let { processes, started, log, child, current, supervise } = nursery()

beforeEach(() => {
  ;({ processes, started, log, child, current, supervise } = nursery())
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

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
