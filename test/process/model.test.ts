import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Exit,
  type ExitReason,
  exitError,
  exitKilled,
  exitNoConnection,
  exitNormal,
  type Monitor,
  type PassiveProcess,
  ProcessSystem,
} from '../../ts/process/index.ts'
import { codeOf, restOfTurn } from './support.ts'

type Kind = ExitReason['is']
const REASONS: Record<Kind, ExitReason> = {
  normal: exitNormal(),
  error: exitError('crash'),
  killed: exitKilled(),
  noconnection: exitNoConnection('lost'),
}

type Step =
  | { readonly do: 'spawn'; readonly traps: boolean }
  | { readonly do: 'link' | 'unlink'; readonly one: number; readonly other: number; readonly byPid: boolean }
  | { readonly do: 'monitor'; readonly owner: number | null; readonly other: number; readonly byPid: boolean }
  | { readonly do: 'cancel'; readonly which: number }
  | { readonly do: 'end' | 'ask'; readonly one: number; readonly reason: Kind }

const index = fc.nat(30)
const kind = fc.constantFrom<Kind>('normal', 'error', 'killed', 'noconnection')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('spawn' as const), traps: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('link' as const, 'link' as const, 'unlink' as const),
      one: index,
      other: index,
      byPid: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('monitor' as const),
      owner: fc.option(index),
      other: index,
      byPid: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: index }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'ask' as const), one: index, reason: kind }),
  },
)

/** What is to happen, written as plainly as can be: sets, one queue, no turns. */
class Model {
  readonly traps: boolean[] = []
  readonly over: (Kind | null)[] = []
  readonly links: number[][] = []
  readonly watches: { owner: number | null; target: number; live: boolean }[] = []
  /** What each process, and each watch, is to see, in order. */
  readonly told: string[][] = []
  readonly seen: string[][] = []

  spawn(traps: boolean): void {
    this.traps.push(traps)
    this.over.push(null)
    this.links.push([])
    this.told.push([])
  }

  link(one: number, other: number): void {
    if (one === other) return
    const [left, right] = [this.over[one], this.over[other]]
    if (left === null && right === null) {
      if (this.links[one].includes(other)) return
      this.links[one].push(other)
      this.links[other].push(one)
    } else if (left === null && right !== null) {
      this.late(one, other, right)
    } else if (left !== null && right === null) {
      this.late(other, one, left)
    }
  }

  late(one: number, dead: number, reason: Kind): void {
    if (this.traps[one]) this.told[one].push(`${dead} ${reason}`)
    else if (reason !== 'normal') this.end(one, reason)
  }

  unlink(one: number, other: number): void {
    this.links[one] = this.links[one].filter((link) => link !== other)
    this.links[other] = this.links[other].filter((link) => link !== one)
  }

  monitor(owner: number | null, target: number): void {
    const reason = this.over[target]
    this.watches.push({ owner, target, live: reason === null })
    this.seen.push(reason === null ? [] : [`${target} ${reason}`])
  }

  ask(one: number, reason: Kind): void {
    if (this.over[one] !== null) return
    if (this.traps[one] && reason !== 'killed') this.told[one].push(`asked ${reason}`)
    else this.end(one, reason)
  }

  end(one: number, reason: Kind): void {
    if (this.over[one] !== null) return
    this.over[one] = reason
    const fired: { readonly which: number; readonly owner: number | null; readonly dead: number }[] = []
    for (const queue = [one]; queue.length > 0; ) {
      const dead = queue[0]
      queue.shift()
      const links = this.links[dead]
      for (const watch of this.watches) if (watch.owner === dead) watch.live = false
      for (const link of links) {
        this.unlink(link, dead)
        if (this.over[link] !== null) continue
        if (this.traps[link]) {
          this.told[link].push(`${dead} ${reason}`)
        } else if (reason !== 'normal') {
          this.over[link] = reason
          queue.push(link)
        }
      }
      for (const [which, watch] of this.watches.entries()) {
        if (!watch.live || watch.target !== dead) continue
        watch.live = false
        fired.push({ which, owner: watch.owner, dead })
      }
    }
    for (const { which, owner, dead } of fired) {
      // Whoever is taken along by the same exit, however far from it, sees nothing any more.
      if (owner === null || this.over[owner] === null) this.seen[which].push(`${dead} ${reason}`)
    }
  }
}

/** The system, driven by the same steps. */
class Real {
  readonly processes = new ProcessSystem()
  readonly all: PassiveProcess[] = []
  readonly monitors: Monitor[] = []
  readonly told: string[][] = []
  readonly seen: string[][] = []

  spawn(traps: boolean): void {
    const told: string[] = []
    this.told.push(told)
    const onTrapped: NonNullable<Parameters<ProcessSystem['spawnPassive']>[0]>['onTrapped'] = (trapped) => {
      told.push(trapped.is === 'exit-request' ? `asked ${trapped.reason.is}` : this.say(trapped.exit))
    }
    this.all.push(this.processes.spawnPassive(traps ? { onTrapped } : {}))
  }

  monitor(owner: number | null, target: number, byPid: boolean): void {
    const seen: string[] = []
    this.seen.push(seen)
    const observer = (exit: Exit): unknown => seen.push(this.say(exit))
    const ref = byPid ? this.all[target].pid : this.all[target]
    this.monitors.push((owner === null ? this.processes : this.all[owner]).monitor(ref, observer))
  }

  say(exit: Exit): string {
    return `${exit.pid - 1} ${exit.reason.is}`
  }
}

function apply(model: Model, real: Real, taken: Step): void {
  if (taken.do === 'spawn') {
    model.spawn(taken.traps)
    real.spawn(taken.traps)
    return
  }
  const count = real.all.length
  if (taken.do === 'cancel') {
    const which = taken.which % Math.max(1, real.monitors.length)
    if (real.monitors[which] === undefined) return
    real.monitors[which].cancel()
    model.watches[which].live = false
    return
  }
  if ('reason' in taken) {
    const one = taken.one % count
    model[taken.do](one, taken.reason)
    if (taken.do === 'end') real.all[one].end(REASONS[taken.reason])
    else real.all[one].exit(REASONS[taken.reason])
    return
  }
  const other = taken.other % count
  if ('owner' in taken) {
    // Who is over watches nobody: its own test.
    const owner = taken.owner === null || model.over[taken.owner % count] !== null ? null : taken.owner % count
    model.monitor(owner, other)
    real.monitor(owner, other, taken.byPid)
    return
  }
  const one = taken.one % count
  model[taken.do](one, other)
  real.processes[taken.do](real.all[one], taken.byPid ? real.all[other].pid : real.all[other])
}

describe('links, monitors and exits', () => {
  it('do what a simple model of them does, whatever is done in whichever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const model = new Model()
        const real = new Real()
        for (const traps of [false, true, false]) apply(model, real, { do: 'spawn', traps })
        for (const taken of steps) {
          apply(model, real, taken)
          // An exit is all done when its call returns; only what came late is told in the rest of the turn.
          expect(real.all.map((process) => process.over?.reason.is ?? null)).toEqual(model.over)
          expect(real.processes.size).toBe(model.over.filter((over) => over === null).length)
          await restOfTurn()
          expect(real.told).toEqual(model.told)
          expect(real.seen).toEqual(model.seen)
        }
        for (const info of real.processes.list()) {
          expect(info.links.map((pid) => pid - 1)).toEqual(model.links[info.pid - 1])
          const watched = model.watches.filter((watch) => watch.live && watch.target === info.pid - 1)
          expect(info.monitoredBy).toBe(watched.length)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('messages and the exit of who sent them', () => {
  type Act = { readonly writer: number; readonly does: 'send' | 'return' | 'throw' | 'kill' }
  const act: fc.Arbitrary<Act> = fc.record({
    writer: fc.nat(3),
    does: fc.oneof(
      { weight: 8, arbitrary: fc.constant('send' as const) },
      { weight: 1, arbitrary: fc.constantFrom('return' as const, 'throw' as const, 'kill' as const) },
    ),
  })

  const throwing = (): never => {
    throw new Error('crash')
  }

  it('arrive in order, the exit last and once, however many write and however they end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 80 }), fc.boolean(), async (acts, late) => {
        const processes = new ProcessSystem()
        const received: string[][] = [[], [], [], []]
        const expected: string[][] = [[], [], [], []]
        const reader = processes.spawn<readonly [number, number]>(
          async (self) => {
            for (const writer of writers) self.link(writer)
            // Late: everything has been written and is over before the first receive.
            if (late) await new Promise((resolve) => setImmediate(resolve))
            for await (const one of self) {
              if (one.is === 'message') received[one.message[0]].push(`message ${one.message[1]}`)
              else if (one.is === 'link-exit') received[one.exit.pid - reader.pid - 1].push(one.exit.reason.is)
            }
          },
          { trapExits: true },
        )
        const writers = received.map(() => processes.spawnPassive())
        await restOfTurn()
        for (const [at, { writer, does }] of acts.entries()) {
          const process = writers[writer]
          // Whether the reader gets a word in between must not matter.
          if (at % 3 === 0) await null
          if (process.over !== null) {
            expect(codeOf(() => process.run(() => {}))).toBe('PROCESS_GONE')
            continue
          }
          if (does === 'send') {
            expected[writer].push(`message ${at}`)
            process.run(() => processes.send(reader, [writer, at] as const))
            continue
          }
          expected[writer].push({ return: 'normal', throw: 'error', kill: 'killed' }[does])
          if (does === 'return') process.end()
          else if (does === 'kill') process.exit(exitKilled())
          else process.run(throwing)
        }
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        expect(received).toEqual(expected)
        processes.close()
      }),
      { numRuns: 100 },
    )
  })
})
