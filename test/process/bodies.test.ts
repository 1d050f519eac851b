import { once } from 'node:events'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type BodyProcess,
  exitError,
  exitKilled,
  exitNormal,
  PROCESS_STRAY_ERROR,
  type Process,
  ProcessSystem,
  type Received,
  type Self,
} from '../../ts/process/index.ts'
import { codeOf, rejection, restOfTurn, said, watch } from './support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

const crash = new Error('crash')

/** A body that never returns on its own. */
const forever = (): Promise<never> => new Promise(() => {})

/** A body that returns a thing which throws when it is awaited. */
function returnsTrap(): object {
  const get = (): never => {
    throw crash
  }
  return Object.defineProperty({}, 'then', { get })
}

/** A process whose `self` the test has in hand; its body stays until the test ends it. */
async function inHand(): Promise<{ self: Self<string>; process: BodyProcess<string> }> {
  const selves: Self<string>[] = []
  const process = processes.spawn<string>((self) => {
    selves.push(self)
    return forever()
  })
  await restOfTurn()
  return { self: selves[0], process }
}

describe('a body', () => {
  it('begins in the turn of its spawn, but not before the spawn returns', async () => {
    const steps: string[] = []
    processes.spawn(() => steps.push('body'), { name: 'worker' })
    steps.push('spawned')
    expect(processes.list()).toMatchObject([{ name: 'worker', status: 'starting' }])
    await restOfTurn()
    expect(steps).toEqual(['spawned', 'body'])
  })

  it('ends normally when it returns, at once or later', async () => {
    const atOnce = processes.spawn(() => {})
    const later = processes.spawn(async () => 'result')
    expect([(await atOnce.exited).reason, (await later.exited).reason]).toEqual([exitNormal(), exitNormal()])
    expect(processes.size).toBe(0)
  })

  it.each([
    [
      'throws',
      () => {
        throw crash
      },
    ],
    ['rejects', () => Promise.reject(crash)],
    ['returns what cannot be awaited', returnsTrap],
  ])('that %s is the exit of its process and of no other', async (_, body) => {
    const other = processes.spawn(forever)
    const process = processes.spawn(body)
    expect((await process.exited).reason.is).toBe('error')
    expect(other.over).toBeNull()
    expect(processes.size).toBe(1)
  })

  it('is not begun at all if its process ends before', async () => {
    const body = vi.fn()
    processes.spawn(body).exit()
    await restOfTurn()
    expect(body).not.toHaveBeenCalled()
  })

  it('runs callbacks as a part of it: what they throw or reject with is its exit', async () => {
    const { self, process } = await inHand()
    self.run(() => {})
    self.run(async () => {})
    expect(process.over).toBeNull()
    self.run(() => {
      throw crash
    })
    expect(process.over?.reason.cause).toBe(crash)
    const passive = processes.spawnPassive()
    passive.run(() => Promise.reject(crash))
    expect((await passive.exited).reason.cause).toBe(crash)
    expect(codeOf(() => passive.run(() => {}))).toBe('PROCESS_GONE')
  })
})

describe('the link of a process that is being born', () => {
  it('is there before its first step: the crash of its parent never misses it', async () => {
    const body = vi.fn()
    const parent = processes.spawnPassive()
    const child = processes.spawn(body, { parent, link: true })
    expect(processes.info(child)?.links).toEqual([parent.pid])
    parent.end(exitError(crash))
    expect(child.over?.reason.cause).toBe(crash)
    await restOfTurn()
    expect(body).not.toHaveBeenCalled()
  })

  it('gets the recorded exit of a parent that is over', () => {
    const parent = processes.spawnPassive()
    parent.end(exitError(crash))
    expect(processes.spawnPassive({ parent, link: true }).over?.reason.cause).toBe(crash)
    expect(processes.spawnPassive({ parent }).over).toBeNull()
    expect(codeOf(() => processes.spawnPassive({ link: true }))).toBe('INVALID_ARGUMENT')
  })

  it('traps from birth: a participant that crashes in its first step is told to the one that spawned it', async () => {
    const seen: Received<never>[] = []
    const conversation = processes.spawn(
      async (self) => {
        self.spawn(
          () => {
            throw crash
          },
          { link: true },
        )
        seen.push(await self.next())
      },
      { trapExits: true },
    )
    expect((await conversation.exited).reason.is).toBe('normal')
    expect(seen).toMatchObject([{ is: 'link-exit', exit: { reason: { cause: crash } } }])
  })
})

describe('a body whose process is over', () => {
  it('has its signal aborted in the same turn, with the exit as the cause', async () => {
    const { self, process } = await inHand()
    const { signal } = self
    expect(signal.aborted).toBe(false)
    process.exit(exitKilled('no use'))
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ code: 'PROCESS_GONE', cause: process.over })
    expect(self.signal).toBe(signal)
  })

  it('finds its signal aborted also if it asks for the first time then', async () => {
    const { self, process } = await inHand()
    process.exit(exitKilled())
    expect(self.signal.aborted).toBe(true)
  })

  it('has it aborted in every process that a crash takes along', async () => {
    const one = await inHand()
    const other = await inHand()
    const signals = [one.self.signal, other.self.signal]
    one.self.link(other.process)
    one.process.exit(exitError(crash))
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true])
  })

  it('reaches nobody any more', async () => {
    const { self, process } = await inHand()
    const reader = processes.spawn<string>(forever)
    process.exit(exitKilled())
    const attempts: (() => unknown)[] = [
      () => self.send(reader, 'late'),
      () => self.spawn(forever),
      () => self.spawnPassive(),
      () => self.link(reader),
      () => self.unlink(reader),
      () => self.monitor(reader),
      () => self.requestExit(reader, exitKilled()),
      () => self.trapExits(),
      () => self.run(() => {}),
      () => self.end(),
    ]
    expect(attempts.map(codeOf)).toEqual(attempts.map(() => 'PROCESS_GONE'))
    expect(await rejection(self.next())).toMatchObject({ code: 'PROCESS_GONE' })
    expect(processes.info(reader)).toMatchObject({ mailboxSize: 0, links: [], monitoredBy: 0 })
    expect(processes.size).toBe(1)
  })

  it('changes its exit no more, whatever it returns', async () => {
    for (const settle of ['return', 'throw']) {
      const process = processes.spawn(async (self) => {
        await once(self.signal, 'abort')
        if (settle === 'throw') throw crash
      })
      await restOfTurn()
      const exits = watch(processes, process)
      process.exit(exitKilled('slow'))
      await restOfTurn()
      expect(exits.map((exit) => exit.reason)).toEqual([exitKilled('slow')])
      expect((await process.exited).reason.is).toBe('killed')
    }
  })

  it('is heard on the channel of stray errors if it fails, unless by being told that it is over', async () => {
    const failing = processes.spawn(async (self) => {
      await once(self.signal, 'abort')
      throw crash
    })
    const told = processes.spawn((self) => self.next())
    await restOfTurn()
    const strays = await said(PROCESS_STRAY_ERROR, async () => {
      failing.exit()
      told.exit()
      await restOfTurn()
    })
    expect(strays).toEqual([{ pid: failing.pid, name: null, error: crash }])
  })

  it('wakes from its receive, instead of waiting for ever', async () => {
    const errors: unknown[] = []
    const process = processes.spawn(async (self) => {
      try {
        for await (const received of self) errors.push(received)
      } catch (error) {
        errors.push(error)
      }
    })
    await restOfTurn()
    process.exit(exitKilled())
    await restOfTurn()
    expect(errors).toMatchObject([{ code: 'PROCESS_GONE', cause: process.over }])
  })
})

describe('a body that is linked with a process and watches it', () => {
  it('goes along with its crash and does not hear of it any more', async () => {
    const other = processes.spawnPassive()
    const heard: unknown[] = []
    processes.spawn(async (self) => {
      self.monitor(other)
      self.link(other)
      heard.push(await self.next().catch((error: unknown) => error))
    })
    await restOfTurn()
    other.end(exitError(crash))
    await restOfTurn()
    expect(heard).toMatchObject([{ code: 'PROCESS_GONE' }])
  })
})

describe('a family', () => {
  it('lists the living children of a process in spawn order', async () => {
    const { self, process } = await inHand()
    const [first, second] = [self.spawn(forever), self.spawnPassive()]
    const outside: Process = processes.spawnPassive({ parent: process })
    expect(process.children).toEqual([first, second, outside])
    expect(processes.info(second)?.parent).toBe(process.pid)
    second.end()
    expect(self.children).toEqual([first, outside])
    process.exit()
    expect(first.over).toBeNull()
    expect(processes.info(first)?.parent).toBeNull()
    expect(process.children).toEqual([])
  })
})
