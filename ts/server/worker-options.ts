import { checkFunction, checkInteger, checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import type { Pid } from '../process/index.ts'
import type { Activity } from '../protocol/index.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'

/** A worker behind a connection, at the moment of asking. */
export interface WorkerInfo {
  /** The connection that registered it, see `SessionInfo.id`. */
  readonly sessionId: number
  /** Pid of the process of that connection. */
  readonly sessionPid: Pid
  readonly identity: string
  /** The subject whose messages it takes. */
  readonly taskQueue: string
  readonly namespaces: readonly string[]
  readonly activityTypes: readonly string[]
  /** Where it runs, `null` if it did not say. */
  readonly node: string | null
  /** What it can do, with schemas; `null` if it did not say. */
  readonly activities: readonly Activity[] | null
  /** Messages that it takes at once. */
  readonly capacity: number
  /** Messages that it is at. */
  readonly inFlight: number
}

/** What a server does about workers. */
export interface WorkerPolicy {
  /**
   * Decides about a registration. What it throws, or its promise rejects with, refuses it; the worker is told the message. Default: everybody is accepted.
   * @param signal aborted when the connection is gone, or when it takes too long.
   */
  onRegister?(worker: WorkerInfo, signal: AbortSignal): unknown
  /** Called exactly once for each registration that {@link onRegister} has accepted, when it is over, however that came about. */
  onUnregister?(worker: WorkerInfo): unknown
  /** Milliseconds that a worker has for a message before it goes to another one, unless it asks for more. Default 30,000. */
  readonly leaseMs?: number
  /** Messages that a worker takes at once that cannot say so, because it lacks the extension `WORK`. Default 32. */
  readonly capacity?: number
  /** Milliseconds that {@link onRegister} has. Default 10,000. */
  readonly registerTimeoutMs?: number
}

/** {@link WorkerPolicy} with its defaults filled in. */
export interface ResolvedWorkerPolicy {
  readonly onRegister: ((worker: WorkerInfo, signal: AbortSignal) => unknown) | null
  readonly onUnregister: ((worker: WorkerInfo) => unknown) | null
  readonly leaseMs: number
  readonly capacity: number
  readonly registerTimeoutMs: number
}

const KNOWN = Object.keys({
  onRegister: true,
  onUnregister: true,
  leaseMs: true,
  capacity: true,
  registerTimeoutMs: true,
} satisfies Record<keyof WorkerPolicy, true>)

/** @throws LiminalError `INVALID_ARGUMENT` that names the option. */
export function resolveWorkerPolicy(policy: WorkerPolicy = {}): ResolvedWorkerPolicy {
  checkOptions('workers', policy)
  checkKnownOptions('workers', policy, KNOWN)
  const { onRegister, onUnregister, leaseMs = 30_000, capacity = 32, registerTimeoutMs = 10_000 } = policy
  if (onRegister !== undefined) checkFunction('workers.onRegister', onRegister)
  if (onUnregister !== undefined) checkFunction('workers.onUnregister', onUnregister)
  checkMilliseconds('workers.leaseMs', leaseMs)
  checkInteger('workers.capacity', capacity, 1)
  checkMilliseconds('workers.registerTimeoutMs', registerTimeoutMs)
  return {
    onRegister: onRegister === undefined ? null : (worker, signal) => onRegister.call(policy, worker, signal),
    onUnregister: onUnregister === undefined ? null : (worker) => onUnregister.call(policy, worker),
    leaseMs,
    capacity,
    registerTimeoutMs,
  }
}

function checkMilliseconds(argument: string, value: unknown): void {
  if (typeof value === 'number' && value > 0 && value <= MAX_TIMEOUT_MS) return
  throw invalidArgument(argument, `a number of milliseconds above 0, up to ${MAX_TIMEOUT_MS}`, value)
}
