import { types } from 'node:util'
import { invalidArgument } from '../arguments.ts'

/** How processes end (spec runtime-and-store B1, B3): four kinds of reason, each with what led to it, and the record that is kept of each exit. */

/** Identifies a process within its {@link ProcessSystem}: 1 and up in spawn order, never used twice. */
export type Pid = number

/** The process did what it was there for. Not a crash: links live on. */
export interface NormalExit {
  readonly is: 'normal'
  /** Whatever the one who ended it wanted to say, `undefined` if nothing. */
  readonly cause: unknown
}

/** Its code threw or rejected, or somebody says that it failed. */
export interface ErrorExit {
  readonly is: 'error'
  /** What was thrown. */
  readonly cause: unknown
}

/** It was ended from outside and was not asked. */
export interface KilledExit {
  readonly is: 'killed'
  /** Why, `undefined` if nobody said. */
  readonly cause: unknown
}

/** What the process stood for is somewhere else, and the connection to it is lost. */
export interface NoConnectionExit {
  readonly is: 'noconnection'
  /** How the connection was lost. */
  readonly cause: unknown
}

/** Why a process ended. Branch on `is`. */
export type ExitReason = NormalExit | ErrorExit | KilledExit | NoConnectionExit

const NORMAL: NormalExit = Object.freeze({ is: 'normal', cause: undefined })
const KILLED: KilledExit = Object.freeze({ is: 'killed', cause: undefined })

/** The reason of a process that is done. */
export function exitNormal(cause?: unknown): NormalExit {
  return cause === undefined ? NORMAL : { is: 'normal', cause }
}

/** The reason of a process that failed. */
export function exitError(cause: unknown): ErrorExit {
  return { is: 'error', cause }
}

/** The reason of a process that is ended without being asked: it cannot trap it. */
export function exitKilled(cause?: unknown): KilledExit {
  return cause === undefined ? KILLED : { is: 'killed', cause }
}

/** The reason of a process whose connection is lost. */
export function exitNoConnection(cause: unknown): NoConnectionExit {
  return { is: 'noconnection', cause }
}

const REASONS: ReadonlySet<unknown> = new Set<ExitReason['is']>(['normal', 'error', 'killed', 'noconnection'])

/** @throws LiminalError `INVALID_ARGUMENT` unless it is an exit reason. */
export function checkReason(reason: ExitReason): void {
  if (typeof reason !== 'object' || reason === null || !REASONS.has(reason.is)) {
    throw invalidArgument(
      'reason',
      'an exit reason, made with exitNormal, exitError, exitKilled or exitNoConnection',
      reason,
    )
  }
}

/** That a process is over. Everybody who learns of an exit gets the same object. */
export interface Exit {
  readonly pid: Pid
  /** What the process was called, `null` if it had no name or is not remembered. */
  readonly name: string | null
  readonly reason: ExitReason
  /** When, in milliseconds of `performance.now()`. Processes that one exit took along have its instant. */
  readonly at: number
  /** The linked process whose exit took this one along, `null` if it was its own. */
  readonly through: Pid | null
}

/** A class, so that all exits have one shape and cost one allocation. */
export class RecordedExit implements Exit {
  readonly pid: Pid
  readonly name: string | null
  readonly reason: ExitReason
  readonly at: number
  readonly through: Pid | null

  constructor(pid: Pid, name: string | null, reason: ExitReason, at: number, through: Pid | null) {
    this.pid = pid
    this.name = name
    this.reason = reason
    this.at = at
    this.through = through
  }
}

/** Whether it is the record of an exit. */
export function isExit(value: unknown): value is Exit {
  return typeof value === 'object' && value !== null && !types.isProxy(value) && value instanceof RecordedExit
}
