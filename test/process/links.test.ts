import { beforeEach, describe, expect, it } from 'vitest'
import {
  type ExitReason,
  exitError,
  exitKilled,
  exitNoConnection,
  exitNormal,
  ProcessSystem,
} from '../../ts/process/index.ts'
import { codeOf, restOfTurn, trapper, watch } from './support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

const crash = new Error('crash')
const CRASHES: readonly ExitReason[] = [exitError(crash), exitKilled('no use'), exitNoConnection(crash)]

describe('a linked process', () => {
  it.each(CRASHES)('goes along with a crash in the same turn, with its reason: $is', (reason) => {
    const one = processes.spawnPassive()
    const other = processes.spawnPassive()
    one.link(other)
    one.end(reason)
    expect(other.over?.reason).toBe(reason)
    expect(other.over).toMatchObject({ pid: other.pid, through: one.pid, at: one.over?.at })
    expect(one.over?.through).toBeNull()
    expect(processes.size).toBe(0)
  })

  it('goes along whichever of the two made the link', () => {
    const one = processes.spawnPassive()
    const other = processes.spawnPassive()
    one.link(other)
    other.end(exitError(crash))
    expect(one.over?.reason).toEqual({ is: 'error', cause: crash })
  })

  it('lives on when the other is done: a normal exit is not a crash', () => {
    const participant = processes.spawnPassive()
    const conversation = processes.spawnPassive()
    conversation.link(participant)
    participant.end()
    expect(conversation.over).toBeNull()
    expect(processes.info(conversation)?.links).toEqual([])
  })

  it('lives on after unlink, which may be said twice and by either', () => {
    const one = processes.spawnPassive()
    const other = processes.spawnPassive()
    one.link(other)
    other.unlink(one)
    one.unlink(other.pid)
    one.end(exitError(crash))
    expect(other.over).toBeNull()
  })

  it('has one link however often it was linked, and none with itself', () => {
    const { process, told } = trapper(processes)
    const other = processes.spawnPassive()
    process.link(other)
    other.link(process)
    processes.link(process, other)
    process.link(process)
    expect(processes.info(process)?.links).toEqual([other.pid])
    other.end(exitError(crash))
    expect(told).toHaveLength(1)
    process.end(exitError(crash))
    expect(process.over?.through).toBeNull()
  })
})

describe('a process that traps exits', () => {
  it.each([exitNormal('done'), ...CRASHES])('is told of a linked exit, once, and lives: $is', (reason) => {
    const { process, told } = trapper(processes)
    const other = processes.spawnPassive()
    process.link(other)
    other.end(reason)
    other.end(exitError('again'))
    expect(told).toEqual([{ is: 'link-exit', exit: other.over }])
    expect(other.over?.reason).toBe(reason)
    expect(process.over).toBeNull()
  })

  it('decides itself what to do with a request to end, and cannot trap a kill', () => {
    const { process, told } = trapper(processes)
    const asking = processes.spawnPassive()
    process.exit()
    asking.requestExit(process, exitError(crash))
    expect(told).toEqual([
      { is: 'exit-request', reason: { is: 'normal', cause: undefined }, from: null },
      { is: 'exit-request', reason: { is: 'error', cause: crash }, from: asking.pid },
    ])
    expect(process.over).toBeNull()
    processes.exit(process, exitKilled())
    expect(process.over?.reason.is).toBe('killed')
    expect(told).toHaveLength(2)
  })

  it('survives a linked process that was killed: only the one that is killed cannot trap it', () => {
    const { process, told } = trapper(processes)
    const other = processes.spawnPassive()
    process.link(other)
    other.exit(exitKilled())
    expect(process.over).toBeNull()
    expect(told).toHaveLength(1)
  })

  it('stops a crash from going further', () => {
    const first = processes.spawnPassive()
    const { process: trapping } = trapper(processes)
    const last = processes.spawnPassive()
    trapping.link(first)
    trapping.link(last)
    first.end(exitError(crash))
    expect(last.over).toBeNull()
  })

  it('is told nothing more once it is over, also if that happens while others are told', () => {
    const other = processes.spawnPassive()
    const first = processes.spawnPassive({ onTrapped: () => second.process.end() })
    const second = trapper(processes)
    first.link(other)
    second.process.link(other)
    other.end()
    expect(second.told).toEqual([])
  })

  it('ends by what its own handler throws or rejects with, and nobody else does', async () => {
    const other = processes.spawnPassive()
    const throwing = processes.spawnPassive({
      onTrapped: () => {
        throw crash
      },
    })
    const rejecting = processes.spawnPassive({ onTrapped: () => Promise.reject(crash) })
    throwing.link(other)
    rejecting.link(other)
    other.end()
    expect(throwing.over?.reason).toEqual({ is: 'error', cause: crash })
    await restOfTurn()
    expect(rejecting.over?.reason).toEqual({ is: 'error', cause: crash })
  })
})

describe('a request to end', () => {
  it.each([exitNormal(), ...CRASHES])('ends at once whoever does not trap it: $is', (reason) => {
    const process = processes.spawnPassive()
    const exits = watch(processes, process)
    processes.exit(process.pid, reason)
    expect(exits).toEqual([process.over])
    expect(process.over?.reason).toBe(reason)
    process.exit(exitError('too late'))
    expect(exits).toHaveLength(1)
  })

  it('names a process of this system and a reason that exists', () => {
    const foreign = new ProcessSystem().spawnPassive()
    const process = processes.spawnPassive()
    expect(codeOf(() => processes.exit(foreign))).toBe('INVALID_ARGUMENT')
    expect(codeOf(() => processes.link(process, foreign))).toBe('INVALID_ARGUMENT')
    expect(codeOf(() => processes.exit(0))).toBe('INVALID_ARGUMENT')
    expect(codeOf(() => processes.exit(process, JSON.parse('{"is":"tired"}')))).toBe('INVALID_ARGUMENT')
    expect(process.over).toBeNull()
    expect(codeOf(() => processes.exit(4_711))).toBe('nothing thrown')
  })
})

describe('an exit through many links', () => {
  it('reaches the end of a chain of 100,000, in one call and without recursion', () => {
    const first = processes.spawnPassive()
    let last = first
    for (let index = 1; index < 100_000; index++) {
      const next = processes.spawnPassive()
      next.link(last)
      last = next
    }
    const exits = watch(processes, last)
    first.end(exitError(crash))
    expect(exits).toEqual([last.over])
    expect(last.over?.reason).toBe(first.over?.reason)
    expect(processes.size).toBe(0)
  })

  it('ends a circle, each of it once', () => {
    const circle = [1, 2, 3, 4].map(() => processes.spawnPassive())
    for (const [index, process] of circle.entries()) process.link(circle[(index + 1) % circle.length])
    const exits = circle.map((process) => watch(processes, process))
    circle[2].end(exitError(crash))
    expect(exits.map((seen) => seen.length)).toEqual([1, 1, 1, 1])
    expect(circle.map((process) => process.over?.reason.cause)).toEqual([crash, crash, crash, crash])
    expect(processes.size).toBe(0)
  })

  it('carries a chain of observers that end each other without recursion', () => {
    let first = processes.spawnPassive()
    const chain = [first]
    for (let index = 1; index < 20_000; index++) {
      const next = processes.spawnPassive()
      next.monitor(first, () => next.end())
      first = next
      chain.push(next)
    }
    chain[0].end()
    expect(processes.size).toBe(0)
  })

  it('has taken along whoever goes along before any code of the user runs', () => {
    const seen: (string | undefined)[] = []
    const last = processes.spawnPassive()
    const middle = processes.spawnPassive()
    const first = processes.spawnPassive({ onExit: () => seen.push(middle.over?.reason.is, last.over?.reason.is) })
    first.link(middle)
    middle.link(last)
    first.end(exitError(crash))
    expect(seen).toEqual(['error', 'error'])
  })

  it('is told nearest first: each lets go of what it holds, then its links hear, then who watches it', () => {
    const order: string[] = []
    const first = processes.spawnPassive({ onExit: () => order.push('first lets go') })
    const second = processes.spawnPassive({ onExit: () => order.push('second lets go') })
    const trapping = processes.spawnPassive({
      onTrapped: (trapped) => order.push(trapped.is === 'link-exit' ? `link hears ${trapped.exit.pid}` : 'asked'),
    })
    processes.monitor(first, () => order.push('watcher hears first'))
    processes.monitor(second, () => order.push('watcher hears second'))
    first.link(second)
    trapping.link(second)
    trapping.link(first)
    first.end(exitError(crash))
    expect(order).toEqual([
      'first lets go',
      `link hears ${first.pid}`,
      'watcher hears first',
      'second lets go',
      `link hears ${second.pid}`,
      'watcher hears second',
    ])
  })
})
