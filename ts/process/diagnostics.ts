import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { Exit, Pid } from './exit.ts'

/** `node:diagnostics_channel` on which each exit is said, as {@link ProcessExited}. */
export const PROCESS_EXIT = 'liminal:process:exit'
/** `node:diagnostics_channel` on which it is said that the code of a process failed, as {@link ProcessExited}: its exit is an `error` and its own. */
export const PROCESS_CRASH = 'liminal:process:crash'
/** `node:diagnostics_channel` on which an error is said that can be nobody's exit, as {@link StrayError}. */
export const PROCESS_STRAY_ERROR = 'liminal:process:stray-error'
/** `node:diagnostics_channel` on which each restart by a supervisor is said, as {@link ChildRestarted}. */
export const PROCESS_RESTART = 'liminal:process:restart'

/** A process is over. */
export interface ProcessExited {
  readonly exit: Exit
}

/** Thrown by a process that was over already, by its `onExit`, or by an observer that belongs to no process. */
export interface StrayError {
  readonly pid: Pid
  readonly name: string | null
  readonly error: unknown
}

/** A supervisor started a child anew. */
export interface ChildRestarted {
  /** Pid of the supervisor. */
  readonly supervisor: Pid
  /** Id of the child. */
  readonly child: string
  /** Pid of its new process. */
  readonly pid: Pid
  /** The exit of its old process; `null` if the start before this one failed. */
  readonly exit: Exit | null
}

const processExit = diagnosticsChannel(PROCESS_EXIT)
const processCrash = diagnosticsChannel(PROCESS_CRASH)
const strayError = diagnosticsChannel(PROCESS_STRAY_ERROR)
const processRestart = diagnosticsChannel(PROCESS_RESTART)

/** Whether anybody listens to exits. */
export function exitsAreHeard(): boolean {
  return processExit.hasSubscribers || processCrash.hasSubscribers
}

/** Says that a process is over. */
export function sayExit(exit: Exit): void {
  if (processExit.hasSubscribers) processExit.publish({ exit } satisfies ProcessExited)
  const isCrash = exit.reason.is === 'error' && exit.through === null
  if (isCrash && processCrash.hasSubscribers) processCrash.publish({ exit } satisfies ProcessExited)
}

/** Says that an error found no exit to be the reason of. */
export function sayStrayError(pid: Pid, name: string | null, error: unknown): void {
  if (strayError.hasSubscribers) strayError.publish({ pid, name, error } satisfies StrayError)
}

/** Says that a child was started anew. */
export function sayRestart(restarted: ChildRestarted): void {
  if (processRestart.hasSubscribers) processRestart.publish(restarted)
}
