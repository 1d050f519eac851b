import { beforeEach, describe, expect, it } from 'vitest'
import {
  type Exit,
  exitError,
  exitNormal,
  PROCESS_STRAY_ERROR,
  ProcessSystem,
  type Received,
} from '../../ts/process/index.ts'
import { codeOf, restOfTurn, said, trapper, watch } from './support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

const crash = new Error('crash')

describe('a monitor', () => {
  it('tells the exit within the call that causes it, once, and harms nobody', () => {
    const watching = processes.spawnPassive()
    const process = processes.spawnPassive()
    const exits: Exit[] = []
    const monitor = watching.monitor(process, (exit) => exits.push(exit))
    expect(monitor.pid).toBe(process.pid)
    process.end(exitError(crash))
    process.end()
    expect(exits).toEqual([process.over])
    expect(watching.over).toBeNull()
  })

  it('tells a normal exit as one', () => {
    const process = processes.spawnPassive()
    const exits = watch(processes, process)
    process.end(exitNormal('served'))
    expect(exits.map((exit) => exit.reason)).toEqual([{ is: 'normal', cause: 'served' }])
  })

  it('is one of several, each of which tells, in the order in which they came', () => {
    const process = processes.spawnPassive()
    const order: number[] = []
    for (const index of [1, 2, 3]) processes.monitor(process, () => order.push(index))
    process.end()
    expect(order).toEqual([1, 2, 3])
  })

  it('tells nothing once it is cancelled', () => {
    const process = processes.spawnPassive()
    const exits: Exit[] = []
    const monitor = processes.monitor(process, (exit) => exits.push(exit))
    monitor.cancel()
    monitor.cancel()
    expect(processes.info(process)?.monitoredBy).toBe(0)
    process.end(exitError(crash))
    expect(exits).toEqual([])
  })

  it('tells nothing once the one that watches is over, and is gone from the other', () => {
    const watching = processes.spawnPassive()
    const process = processes.spawnPassive()
    const exits: Exit[] = []
    watching.monitor(process, (exit) => exits.push(exit))
    watching.end()
    expect(processes.info(process)?.monitoredBy).toBe(0)
    process.end()
    expect(exits).toEqual([])
    expect(codeOf(() => watching.monitor(process, () => {}))).toBe('PROCESS_GONE')
  })

  it('is cancelled by an observer that is told before it', () => {
    const process = processes.spawnPassive()
    const exits: Exit[] = []
    processes.monitor(process, () => second.cancel())
    const second = processes.monitor(process, (exit) => exits.push(exit))
    process.end()
    expect(exits).toEqual([])
  })

  it('ends its process by what its observer throws; without a process it is a stray error', async () => {
    const watching = processes.spawnPassive()
    const process = processes.spawnPassive()
    const throwing = (): never => {
      throw crash
    }
    watching.monitor(process, throwing)
    processes.monitor(process, throwing)
    const after = watch(processes, process)
    const strays = await said(PROCESS_STRAY_ERROR, () => process.end())
    expect(watching.over?.reason).toEqual({ is: 'error', cause: crash })
    expect(strays).toEqual([{ pid: process.pid, name: null, error: crash }])
    expect(after).toHaveLength(1)
  })

  it('may end, spawn and watch from within: everything is told before the outermost call returns', () => {
    const order: string[] = []
    const second = processes.spawnPassive()
    const first = processes.spawnPassive()
    processes.monitor(first, () => {
      second.end(exitError(crash))
      expect(second.over).not.toBeNull()
      order.push('first')
    })
    processes.monitor(second, () => order.push('second'))
    processes.monitor(first, () => order.push('first again'))
    first.end()
    expect(order).toEqual(['first', 'first again', 'second'])
  })

  it('comes into the mailbox of a body, after every message that the process sent before', async () => {
    const seen: Received<number>[] = []
    const reader = processes.spawn<number>(async (self) => {
      self.monitor(writer)
      for await (const received of self) if (seen.push(received) === 3) return
    })
    const writer = processes.spawn((self) => {
      self.send(reader, 1)
      self.send(reader, 2)
      throw crash
    })
    await reader.exited
    expect(seen.map((received) => received.is)).toEqual(['message', 'message', 'down'])
    expect(seen[2]).toMatchObject({ exit: { pid: writer.pid, reason: { is: 'error', cause: crash } } })
  })

  it('takes back what it put into a mailbox when it is cancelled before that is received', async () => {
    const process = processes.spawnPassive()
    const reader = processes.spawn<string>(async (self) => {
      const monitor = self.monitor(process)
      process.end()
      self.send(reader, 'after')
      monitor.cancel()
      self.end(exitNormal(await self.next()))
    })
    expect((await reader.exited).reason.cause).toEqual({ is: 'message', message: 'after' })
  })
})

describe('an observer that comes late', () => {
  it('gets the recorded exit, the very instant of it, by handle and by pid', async () => {
    const before = performance.now()
    const process = processes.spawnPassive({ name: 'participant' })
    process.end(exitError(crash))
    const exits = [...watch(processes, process), ...watch(processes, process.pid)]
    expect(exits).toEqual([])
    const late = [watch(processes, process), watch(processes, process.pid)]
    await restOfTurn()
    expect(late).toEqual([[process.over], [process.over]])
    expect(process.over?.at).toBeGreaterThanOrEqual(before)
    expect(process.over?.name).toBe('participant')
    expect(processes.exitOf(process.pid)).toBe(process.over)
  })

  it('is never called before its call returns, nor after it is cancelled', async () => {
    const process = processes.spawnPassive()
    process.end()
    const exits: Exit[] = []
    const monitor = processes.monitor(process, (exit) => {
      exits.push(exit)
    })
    expect(exits).toEqual([])
    monitor.cancel()
    const owner = processes.spawnPassive()
    owner.monitor(process, (exit) => exits.push(exit))
    owner.end()
    await restOfTurn()
    expect(exits).toEqual([])
  })

  it('takes a link as what is left of it: it crashes, lives on, or is told', async () => {
    const crashed = processes.spawnPassive()
    const done = processes.spawnPassive()
    crashed.end(exitError(crash))
    done.end()
    const { process, told } = trapper(processes)
    process.link(crashed)
    process.link(done.pid)
    expect(told).toEqual([])
    await restOfTurn()
    expect(told).toEqual([
      { is: 'link-exit', exit: crashed.over },
      { is: 'link-exit', exit: done.over },
    ])
    const plain = processes.spawnPassive()
    plain.link(done)
    expect(plain.over).toBeNull()
    processes.link(crashed.pid, plain)
    expect(plain.over).toMatchObject({ reason: { is: 'error', cause: crash }, through: crashed.pid })
  })

  it('gets a missing process as an error, whether it is forgotten or never was', async () => {
    const exits = watch(processes, 4_711)
    const { process, told } = trapper(processes)
    process.link(4_711)
    const plain = processes.spawnPassive()
    plain.link(4_711)
    expect(plain.over?.reason).toMatchObject({ is: 'error', cause: { code: 'PROCESS_GONE' } })
    await restOfTurn()
    expect(exits).toMatchObject([{ pid: 4_711, name: null, reason: { is: 'error', cause: { code: 'PROCESS_GONE' } } }])
    expect(told).toMatchObject([{ exit: { reason: { cause: { code: 'PROCESS_GONE' } } } }])
  })

  it('finds at least the exits that are to be recorded, and never more than twice as many', () => {
    const few = new ProcessSystem({ recordedExits: 10 })
    const pids: number[] = []
    for (let index = 0; index < 1_000; index++) {
      const process = few.spawnPassive()
      pids.push(process.pid)
      process.end()
      const remembered = pids.filter((pid) => few.exitOf(pid) !== null)
      expect(remembered.length).toBeLessThanOrEqual(20)
      expect(remembered.slice(-10)).toEqual(pids.slice(-10))
    }
  })

  it('knows a handle for ever, and records nothing if that is wanted', async () => {
    const none = new ProcessSystem({ recordedExits: 0 })
    const process = none.spawnPassive()
    process.end(exitNormal('done'))
    expect(none.exitOf(process.pid)).toBeNull()
    const exits = watch(none, process)
    await restOfTurn()
    expect(exits.map((exit) => exit.reason.cause)).toEqual(['done'])
    expect(await process.exited).toBe(process.over)
  })
})
