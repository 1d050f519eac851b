import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { countOf, type Few, itemsOf } from '../few.ts'
import type { Exit, ExitReason, Pid } from './exit.ts'
import { checkReason, exitNormal } from './exit.ts'
import type { Kernel, Notice } from './kernel.ts'
import type { MonitorRecord } from './monitor.ts'
import type { About, Process, ProcessInfo, ProcessStatus } from './process.ts'
import type { Down, TrappedExit } from './received.ts'

/** A process as the kernel sees it. What is rare is `null` until it is needed: 100,000 sessions and conversations are 100,000 of these. */
export abstract class ProcessRecord implements Process, Notice {
  readonly kernel: Kernel
  readonly pid: Pid
  readonly name: string | null
  /** Milliseconds of `performance.now()`. */
  readonly startedAt: number
  parent: ProcessRecord | null
  /** What it stands for. */
  about: About | null = null
  over: Exit | null = null
  links: Few<ProcessRecord> = null
  /** Who watches it. */
  monitors: Few<MonitorRecord> = null
  /** What it watches. */
  watching: Few<MonitorRecord> = null
  offspring: Few<ProcessRecord> = null
  #exited: Deferred<Exit> | null = null

  constructor(kernel: Kernel, name: string | null, parent: ProcessRecord | null, pid: Pid, startedAt: number) {
    this.kernel = kernel
    this.pid = pid
    this.name = name
    this.startedAt = startedAt
    this.parent = parent
  }

  abstract readonly traps: boolean
  /** Whether its exit runs code of the user. */
  abstract readonly hasHook: boolean
  protected abstract readonly status: ProcessStatus

  /** It traps exits, and this is one. */
  abstract takeTrapped(trapped: TrappedExit): void
  /** A process that it watches without an observer is over. */
  abstract takeDown(down: Down, monitor: MonitorRecord): void
  /** It is over: lets go of what it holds. Runs no code of the user. */
  protected abstract release(): void
  /** It is over: runs the code that the user has for that. */
  abstract tell(): void

  get exited(): Promise<Exit> {
    if (this.#exited === null) {
      this.#exited = new Deferred()
      if (this.over !== null) this.#exited.resolve(this.over)
    }
    return this.#exited.promise
  }

  get children(): readonly Process[] {
    return [...itemsOf(this.offspring)]
  }

  exit(reason: ExitReason = exitNormal()): void {
    checkReason(reason)
    this.kernel.request(this, reason, null)
  }

  /** Its exit is recorded. */
  settle(exit: Exit): void {
    this.release()
    this.#exited?.resolve(exit)
  }

  /** @throws LiminalError `PROCESS_GONE` if it is over. */
  checkAlive(): void {
    if (this.over !== null) throw goneError(this.over, 'it can do nothing more')
  }

  get info(): ProcessInfo {
    return {
      pid: this.pid,
      name: this.name,
      about: textOfAbout(this.about),
      status: this.status,
      parent: this.parent === null ? null : this.parent.pid,
      mailboxSize: this.mailboxSize,
      mailboxCapacity: this.mailboxCapacity,
      links: Array.from(itemsOf(this.links), (other) => other.pid),
      monitoredBy: countOf(this.monitors),
      trapsExits: this.traps,
      startedAt: performance.timeOrigin + this.startedAt,
    }
  }

  protected get mailboxSize(): number {
    return 0
  }

  protected get mailboxCapacity(): number {
    return 0
  }
}

/** It may be code of the user, and a listing is for everybody. */
function textOfAbout(about: About | null): string | null {
  try {
    const text: unknown = typeof about === 'function' ? about() : about
    return typeof text === 'string' ? text : null
  } catch {
    return null
  }
}

/** How errors call a process. */
export function titleOf(process: { readonly pid: Pid; readonly name: string | null }): string {
  return process.name === null ? `Process ${process.pid}` : `Process ${process.pid} ('${process.name}')`
}

/** The error of whoever needs a process that is over. @param consequence completes "is over: ". */
export function goneError(exit: Exit, consequence: string): LiminalError {
  return new LiminalError('PROCESS_GONE', `${titleOf(exit)} is over (${exit.reason.is}): ${consequence}.`, {
    cause: exit,
  })
}
