import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import { itemsOf, withItem, withoutItem } from '../few.ts'
import { exitsAreHeard, sayExit, sayStrayError } from './diagnostics.ts'
import { type Exit, type ExitReason, exitError, type Pid, RecordedExit } from './exit.ts'
import { MonitorRecord } from './monitor.ts'
import type { Population } from './population.ts'
import type { ExitObserver } from './process.ts'
import { ProcessRecord } from './record.ts'
import { RecordedExits } from './recorded-exits.ts'
import { Turn } from './turn.ts'

/** Code of the user that an exit has to run. */
export interface Notice {
  /** Never throws. */
  tell(): void
}

class ExitSaid implements Notice {
  readonly #exit: Exit

  constructor(exit: Exit) {
    this.#exit = exit
  }

  tell(): void {
    sayExit(this.#exit)
  }
}

/**
 * The living processes and what an exit does to them, in two steps. First the exit goes through all links and mailboxes, without running any code of the user and
 * without recursion: when `end` returns, whoever the exit takes along is over. Then whoever has code for it is told, one after the other, the first to exit first.
 * What that code ends is carried through the links at once, and told when those before it have been told.
 */
export class Kernel {
  readonly turn = new Turn()
  readonly living = new Map<Pid, ProcessRecord>()
  readonly recorded: RecordedExits
  readonly populations: Population[] = []
  /** Taken along by the exit that is under way, and still to be carried on. */
  #along: ProcessRecord[] = []
  readonly #notices = new Deque<Notice>()
  #isTelling = false
  #lastPid = 0

  constructor(recordedExits: number) {
    this.recorded = new RecordedExits(recordedExits)
  }

  /** A process, or its exit if it is over. */
  find(ref: ProcessRecord | Pid): ProcessRecord | Exit {
    if (ref instanceof ProcessRecord) return ref.over ?? ref
    return this.living.get(ref) ?? this.recorded.get(ref) ?? this.#named(ref) ?? forgotten(ref)
  }

  nextPid(): Pid {
    this.#lastPid++
    return this.#lastPid
  }

  add(record: ProcessRecord): void {
    this.living.set(record.pid, record)
    const { parent } = record
    if (parent !== null) parent.offspring = withItem(parent.offspring, record)
  }

  /** Ends a process. Without effect if it is over. */
  end(record: ProcessRecord, reason: ExitReason): void {
    if (record.over !== null) return
    this.#carry(record, reason, performance.now(), null)
    this.#tell()
  }

  /** Ends a process with what its code threw. */
  fail(record: ProcessRecord, error: unknown): void {
    if (record.over === null) this.end(record, exitError(error))
    else sayStrayError(record.pid, record.name, error)
  }

  /** Asks a process to end. Without effect if it is over. @param from who asks, `null` if no process does. */
  request(ref: ProcessRecord | Pid, reason: ExitReason, from: ProcessRecord | null): void {
    const record = this.find(ref)
    if (!(record instanceof ProcessRecord)) return
    if (reason.is === 'killed' || record === from || !record.traps) {
      this.end(record, reason)
    } else {
      record.takeTrapped({ is: 'exit-request', reason, from: from === null ? null : from.pid })
      this.#tell()
    }
  }

  link(one: ProcessRecord | Pid, other: ProcessRecord | Pid): void {
    const left = this.find(one)
    const right = this.find(other)
    if (left === right) return
    if (left instanceof ProcessRecord && right instanceof ProcessRecord) {
      left.links = withItem(left.links, right)
      right.links = withItem(right.links, left)
    } else if (left instanceof ProcessRecord) {
      this.#linkLate(left, right as Exit)
    } else if (right instanceof ProcessRecord) {
      this.#linkLate(right, left)
    }
  }

  unlink(one: ProcessRecord | Pid, other: ProcessRecord | Pid): void {
    const left = this.find(one)
    const right = this.find(other)
    if (!(left instanceof ProcessRecord && right instanceof ProcessRecord)) return
    left.links = withoutItem(left.links, right)
    right.links = withoutItem(right.links, left)
  }

  monitor(ref: ProcessRecord | Pid, owner: ProcessRecord | null, observer: ExitObserver | null): MonitorRecord {
    const target = this.find(ref)
    const monitor = new MonitorRecord(this, target.pid, owner, observer)
    if (target instanceof ProcessRecord) {
      monitor.watch(target)
    } else {
      monitor.fire(target)
      this.#tellSoon()
    }
    return monitor
  }

  /** Has code of the user run once the exits that are under way have gone through. */
  post(notice: Notice): void {
    this.#notices.push(notice)
  }

  /** A process that nobody has named before. */
  #named(pid: Pid): ProcessRecord | null {
    for (const population of this.populations) {
      if (population.name(pid) !== null) return this.living.get(pid) ?? null
    }
    return null
  }

  #linkLate(record: ProcessRecord, exit: Exit): void {
    if (record.traps) {
      record.takeTrapped({ is: 'link-exit', exit })
      this.#tellSoon()
    } else if (exit.reason.is !== 'normal') {
      this.#carry(record, exit.reason, performance.now(), exit.pid)
      this.#tell()
    }
  }

  /** Ends a process and whoever its links take along, nearest first. */
  #carry(record: ProcessRecord, reason: ExitReason, at: number, through: Pid | null): void {
    this.#spread(record, this.#record(record, reason, at, through))
    const along = this.#along
    if (along.length === 0) return
    for (let index = 0; index < along.length; index++) {
      const { over } = along[index]
      if (over !== null) this.#spread(along[index], over)
    }
    this.#along = []
  }

  #record(record: ProcessRecord, reason: ExitReason, at: number, through: Pid | null): Exit {
    const exit = new RecordedExit(record.pid, record.name, reason, at, through)
    record.over = exit
    this.living.delete(record.pid)
    this.recorded.add(exit)
    return exit
  }

  #spread(record: ProcessRecord, exit: Exit): void {
    if (record.parent !== null || record.offspring !== null) this.#leaveFamily(record)
    record.settle(exit)
    if (exitsAreHeard()) this.post(new ExitSaid(exit))
    if (record.hasHook) this.post(record)
    if (record.watching !== null) this.#stopWatching(record)
    if (record.links !== null) this.#spreadToLinks(record, exit)
    if (record.monitors !== null) this.#spreadToMonitors(record, exit)
  }

  #leaveFamily(record: ProcessRecord): void {
    const { parent, offspring } = record
    if (parent !== null) {
      parent.offspring = withoutItem(parent.offspring, record)
      record.parent = null
    }
    if (offspring === null) return
    record.offspring = null
    for (const child of itemsOf(offspring)) child.parent = null
  }

  #stopWatching(record: ProcessRecord): void {
    const { watching } = record
    record.watching = null
    for (const monitor of itemsOf(watching)) monitor.cancel()
  }

  #spreadToLinks(record: ProcessRecord, exit: Exit): void {
    const { links } = record
    record.links = null
    for (const other of itemsOf(links)) {
      other.links = withoutItem(other.links, record)
      if (other.over !== null) continue
      if (other.traps) other.takeTrapped({ is: 'link-exit', exit })
      else if (exit.reason.is !== 'normal') {
        this.#record(other, exit.reason, exit.at, record.pid)
        this.#along.push(other)
      }
    }
  }

  #spreadToMonitors(record: ProcessRecord, exit: Exit): void {
    const { monitors } = record
    record.monitors = null
    for (const monitor of itemsOf(monitors)) monitor.fire(exit)
  }

  #tellSoon(): void {
    // An observer is never called before the call that made it has returned.
    if (this.#notices.size > 0) queueMicrotask(() => this.#tell())
  }

  #tell(): void {
    if (this.#isTelling || this.#notices.size === 0) return
    this.#isTelling = true
    for (let notice = this.#notices.shift(); notice !== undefined; notice = this.#notices.shift()) notice.tell()
    this.#isTelling = false
  }
}

function forgotten(pid: Pid): Exit {
  const message = `Process ${pid} is over, or never was, and its exit is not remembered. Keep its handle, or raise recordedExits.`
  return new RecordedExit(pid, null, exitError(new LiminalError('PROCESS_GONE', message)), performance.now(), null)
}
