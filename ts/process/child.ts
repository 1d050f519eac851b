import {
  checkFunction,
  checkInteger,
  checkKnownOptions,
  checkOneOf,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import type { Exit } from './exit.ts'
import type { Process } from './process.ts'

/**
 * When a child that ended is started anew: `permanent` always, `transient` unless its exit was normal, `temporary` never. A child that is not started anew is no
 * longer a child.
 */
export type RestartPolicy = 'permanent' | 'transient' | 'temporary'

/** What a supervisor needs to know of a child. */
export interface ChildSpec {
  /** Names the child among those of its supervisor: 1 to 255 characters. */
  readonly id: string
  /**
   * Starts its process; called for each start. The supervisor links with the process before its body begins. What it throws is a failed start: at first the caller's,
   * later one more reason to restart. @param supervisor to be the parent of the process.
   */
  readonly start: (supervisor: Process) => Process
  /** Default: `'permanent'`. */
  readonly restart?: RestartPolicy
  /**
   * Milliseconds that it has to end after it was asked to, then it is killed. 0: killed at once. `null`: as long as it takes, for a child that is a supervisor and
   * keeps deadlines of its own. Default: 5,000.
   */
  readonly shutdownMs?: number | null
}

/** What a child is at: `waiting` for its back-off, or `stopping` until its process is over. */
export type ChildStatus = 'starting' | 'running' | 'waiting' | 'stopping'

/** One line of the listing of children. */
export interface ChildInfo {
  readonly id: string
  readonly status: ChildStatus
  /** Its process, `null` if it has none at the moment. */
  readonly process: Process | null
  readonly restart: RestartPolicy
  /** How often it was started anew. */
  readonly restarts: number
  /** How its last process ended, `null` if that is its first or could not be started. */
  readonly lastExit: Exit | null
}

const SHUTDOWN_MS = 5_000

/** A child within its supervisor. */
export class Child {
  readonly id: string
  readonly start: (supervisor: Process) => Process
  readonly restart: RestartPolicy
  readonly shutdownMs: number | null
  status: ChildStatus = 'starting'
  process: Process | null = null
  /** When its process was started, in milliseconds of `performance.now()`. */
  startedAt = 0
  restarts = 0
  /** Restarts in a row, none of which lasted. */
  attempts = 0
  lastExit: Exit | null = null
  /** Runs until its back-off is over. */
  timer: NodeJS.Timeout | undefined
  /** Resolves when a stop is done. */
  stopped: Promise<void> | null = null

  /** @throws LiminalError `INVALID_ARGUMENT` for a spec that cannot be kept. */
  constructor(spec: ChildSpec) {
    checkOptions('The child', spec)
    checkKnownOptions('The child', spec, ['id', 'start', 'restart', 'shutdownMs'])
    const { id, start, restart = 'permanent', shutdownMs = SHUTDOWN_MS } = spec
    if (!(typeof id === 'string' && id.length > 0 && id.length <= 255)) {
      throw invalidArgument('id', 'a string of 1 to 255 characters', id)
    }
    checkFunction('start', start)
    checkOneOf('restart', restart, ['permanent', 'transient', 'temporary'])
    if (shutdownMs !== null) {
      checkInteger('shutdownMs', shutdownMs, 0)
      if (shutdownMs > MAX_TIMEOUT_MS) {
        throw invalidArgument('shutdownMs', `null or a number of milliseconds up to ${MAX_TIMEOUT_MS}`, shutdownMs)
      }
    }
    this.id = id
    this.start = start
    this.restart = restart
    this.shutdownMs = shutdownMs
  }

  /** Whether an exit has it started anew. */
  returnsAfter(exit: Exit): boolean {
    if (this.restart === 'transient') return exit.reason.is !== 'normal'
    return this.restart === 'permanent'
  }

  get info(): ChildInfo {
    const { id, status, process, restart, restarts, lastExit } = this
    return { id, status, process, restart, restarts, lastExit }
  }
}
