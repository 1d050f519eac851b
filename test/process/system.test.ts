import { beforeEach, describe, expect, it } from 'vitest'
import {
  exitError,
  exitKilled,
  exitNormal,
  type PassiveProcess,
  PROCESS_CRASH,
  PROCESS_EXIT,
  ProcessSystem,
} from '../../ts/process/index.ts'
import { codeOf, restOfTurn, said, trapper, watch } from './support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

const crash = new Error('crash')
const forever = (): Promise<never> => new Promise(() => {})

describe('each connection has a process of its own', () => {
  it('so that killing one leaves the others, and it is gone from the listing', () => {
    const sessions = ['one', 'two', 'three'].map((name) => processes.spawnPassive({ name }))
    sessions[1].exit(exitKilled())
    expect(processes.list().map((info) => info.name)).toEqual(['one', 'three'])
    expect(processes.get(sessions[1].pid)).toBeUndefined()
    expect(processes.get(sessions[0].pid)).toBe(sessions[0])
  })

  it('and is unregistered exactly once, however it ends', () => {
    const endings: ((process: PassiveProcess) => void)[] = [
      (process) => process.end(),
      (process) => process.end(exitError(crash)),
      (process) => process.exit(exitKilled()),
      (process) => {
        using scoped = process
        expect(scoped.over).toBeNull()
      },
      (process) => {
        const peer = processes.spawnPassive()
        peer.link(process)
        peer.end(exitError(crash))
      },
      () => processes.close(),
    ]
    for (const ending of endings) {
      const released: string[] = []
      const process = processes.spawnPassive({ onExit: (exit) => released.push(exit.reason.is) })
      ending(process)
      process.end()
      process.exit(exitKilled())
      expect(released).toEqual([process.over?.reason.is])
    }
  })

  it('whose release may fail without harm to the others', () => {
    const exits = [1, 2].map((index) =>
      processes.spawnPassive({
        onExit: () => {
          if (index === 1) throw crash
        },
      }),
    )
    exits[0].link(exits[1])
    const seen = exits.map((process) => watch(processes, process))
    exits[0].end(exitError('both'))
    expect(seen.map((list) => list.length)).toEqual([1, 1])
  })

  it('and whoever waits for one wakes at its end, normal or crash, and only then', async () => {
    const [one, two] = [processes.spawnPassive(), processes.spawnPassive()]
    const order: string[] = []
    const waits = [one.exited.then(() => order.push('one')), two.exited.then(() => order.push('two'))]
    two.end(exitError(crash))
    await restOfTurn()
    expect(order).toEqual(['two'])
    one.end()
    await Promise.all(waits)
    expect(order).toEqual(['two', 'one'])
    expect(await one.exited).toBe(one.over)
  })
})

describe('killing one conversation of two', () => {
  it('leaves the other alone, and the survivor that traps keeps its pid', () => {
    const first = trapper(processes)
    const second = trapper(processes)
    const participants = [processes.spawnPassive(), processes.spawnPassive()]
    first.process.link(participants[0])
    second.process.link(participants[1])
    participants[0].exit(exitKilled())
    expect(first.told).toHaveLength(1)
    expect(processes.get(first.process.pid)).toBe(first.process)
    expect(second.told).toEqual([])
    first.process.exit(exitKilled())
    expect(second.process.over).toBeNull()
    expect(participants[1].over).toBeNull()
  })
})

describe('the listing', () => {
  it('says of each living process what it is, how it stands and whom it is linked with', async () => {
    const before = Date.now()
    const session = processes.spawnPassive({ name: 'session' })
    const worker = processes.spawn<number>(forever, {
      name: 'worker',
      mailbox: 8,
      trapExits: true,
      parent: session,
      link: true,
    })
    processes.monitor(worker, () => {})
    worker.send(1)
    await restOfTurn()
    const [first, second] = processes.list()
    expect(first).toMatchObject({
      pid: session.pid,
      name: 'session',
      status: 'passive',
      parent: null,
      mailboxSize: 0,
      mailboxCapacity: 0,
      links: [worker.pid],
      monitoredBy: 0,
      trapsExits: false,
    })
    expect(second).toMatchObject({
      pid: worker.pid,
      name: 'worker',
      status: 'running',
      parent: session.pid,
      mailboxSize: 1,
      mailboxCapacity: 8,
      links: [session.pid],
      monitoredBy: 1,
      trapsExits: true,
    })
    expect(first.startedAt).toBeGreaterThan(before - 1_000)
    expect(second.startedAt).toBeLessThan(Date.now() + 1_000)
    session.end(exitKilled())
    expect(processes.info(session)).toBeNull()
  })
})

describe('what is over', () => {
  it('leaves nothing behind: 100,000 processes with links and monitors, and the table is flat', async () => {
    const hub = trapper(processes)
    const monitors: unknown[] = []
    for (let index = 0; index < 100_000; index++) {
      const conversation = processes.spawnPassive({ parent: hub.process, link: true })
      monitors.push(hub.process.monitor(conversation, () => {}))
      if (monitors.length < 100) continue
      monitors.length = 0
      for (const child of hub.process.children) child.exit(index % 2 === 0 ? exitKilled() : exitNormal())
      hub.told.length = 0
    }
    expect(processes.list()).toMatchObject([{ pid: hub.process.pid, links: [], monitoredBy: 0 }])
    expect(hub.process.children).toEqual([])
    expect(processes.spawnPassive().pid).toBe(100_002)
  })

  it('goes as well for bodies that crash', async () => {
    const bodies = Array.from({ length: 10_000 }, () => processes.spawn(() => Promise.reject(crash)))
    await Promise.all(bodies.map((body) => body.exited))
    expect(processes.size).toBe(0)
  })
})

describe('limits', () => {
  it('bound the processes that live at once', () => {
    const two = new ProcessSystem({ maxProcesses: 2 })
    const first = two.spawnPassive()
    two.spawn(forever)
    expect(codeOf(() => two.spawnPassive())).toBe('LIMIT_EXCEEDED')
    expect(codeOf(() => two.spawn(forever))).toBe('LIMIT_EXCEEDED')
    first.end()
    expect(two.spawnPassive().over).toBeNull()
  })

  it.each([
    ['an unknown option', () => processes.spawnPassive(JSON.parse('{"nmae":"x"}'))],
    ['an empty name', () => processes.spawnPassive({ name: '' })],
    ['a mailbox of nothing', () => processes.spawn(forever, { mailbox: 0 })],
    ['a handler that is none', () => processes.spawnPassive(JSON.parse('{"onExit":1}'))],
    ['a body that is none', () => processes.spawn(JSON.parse('1'))],
    ['no room for a process', () => new ProcessSystem({ maxProcesses: 0 })],
    ['an observer that is none', () => processes.monitor(1, JSON.parse('1'))],
  ])('refuse %s', (_, call) => {
    expect(codeOf(call)).toBe('INVALID_ARGUMENT')
    expect(processes.size).toBe(0)
  })
})

describe('closing the system', () => {
  it('kills everybody, the youngest first, trapping or not, and spawns no more', async () => {
    const order: number[] = []
    const { process: trapping } = trapper(processes)
    const plain = [1, 2].map((index) => processes.spawnPassive({ onExit: () => order.push(index) }))
    const body = processes.spawn((self) => self.next())
    processes.close()
    processes[Symbol.dispose]()
    expect(order).toEqual([2, 1])
    for (const process of [trapping, ...plain, body]) {
      expect(process.over?.reason).toMatchObject({ is: 'killed', cause: { code: 'CLOSED' } })
    }
    expect(codeOf(() => processes.spawnPassive())).toBe('CLOSED')
    expect(codeOf(() => processes.spawn(forever))).toBe('CLOSED')
  })

  it('also kills what is spawned while it kills', () => {
    processes.spawnPassive({ onExit: () => expect(codeOf(() => processes.spawnPassive())).toBe('CLOSED') })
    processes.close()
    expect(processes.size).toBe(0)
  })
})

describe('diagnostics', () => {
  it('say every exit, and each crash once: not what it took along, not a kill, not a normal end', async () => {
    const work = (): void => {
      const [crashing, along] = [processes.spawnPassive({ name: 'crashing' }), processes.spawnPassive()]
      crashing.link(along)
      crashing.end(exitError(crash))
      processes.spawnPassive().end()
      processes.spawnPassive().exit(exitKilled())
    }
    const exits = await said(PROCESS_EXIT, work)
    expect(exits).toMatchObject([
      { exit: { name: 'crashing', reason: { is: 'error' }, through: null } },
      { exit: { reason: { is: 'error' }, through: 1 } },
      { exit: { reason: { is: 'normal' } } },
      { exit: { reason: { is: 'killed' } } },
    ])
    const crashes = await said(PROCESS_CRASH, work)
    expect(crashes).toMatchObject([{ exit: { name: 'crashing', reason: { cause: crash } } }])
  })
})

describe('what a process is about', () => {
  it('is said when somebody looks, and not before', () => {
    const processes = new ProcessSystem()
    let asked = 0
    const about = (): string => `asked ${++asked}`
    const lazy = processes.spawnPassive({ name: 'lazy', about })
    const fixed = processes.spawnPassive({ about: 'always the same' })
    const silent = processes.spawnPassive()
    expect(asked).toBe(0)
    expect(processes.list().map((info) => info.about)).toEqual(['asked 1', 'always the same', null])
    expect([lazy, fixed, silent].map((one) => processes.info(one)?.about)).toEqual(['asked 2', 'always the same', null])
  })

  it('is nothing if it cannot be said', () => {
    const processes = new ProcessSystem()
    processes.spawnPassive({
      about: () => {
        throw new Error('no')
      },
    })
    expect(processes.list()[0].about).toBeNull()
    for (const about of [1, null, {}] as unknown[] as string[]) {
      expect(() => processes.spawnPassive({ about })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })
})
