import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'
import type { WorkerRegistration } from '../protocol/index.ts'
import type { WorkerInfo } from './worker-options.ts'

/** `node:diagnostics_channel` on which each accepted connection is said, as {@link SessionOpened}. */
export const SESSION_OPENED = 'liminal:session:opened'
/** `node:diagnostics_channel` on which it is said that a connection is gone and everything that it held, as {@link SessionClosed}. */
export const SESSION_CLOSED = 'liminal:session:closed'
/** `node:diagnostics_channel` on which it is said that a connection was ended because of what its peer did, as {@link SessionFailed}. */
export const SESSION_FAILED = 'liminal:session:failed'
/** `node:diagnostics_channel` on which it is said that a peer fell too far behind and lost a subscription, as {@link SessionShed}. */
export const SESSION_SHED = 'liminal:session:shed'
/** `node:diagnostics_channel` on which it is said that a connection was not taken, as {@link ConnectionRefused}. */
export const CONNECTION_REFUSED = 'liminal:connection:refused'
/** `node:diagnostics_channel` on which it is said that the system could not accept a connection, as {@link AcceptFailed}. The listener goes on. */
export const ACCEPT_FAILED = 'liminal:connection:accept-failed'

/** `node:diagnostics_channel` on which each state is said that a server enters after it listens, as {@link ServerStateChanged}. */
export const SERVER_STATE = 'liminal:server:state'
/** `node:diagnostics_channel` on which it is said that a worker was accepted, as `WorkerInfo`. */
export const WORKER_REGISTERED = 'liminal:worker:registered'
/** `node:diagnostics_channel` on which it is said that the registration of a worker is over, as `WorkerInfo`. */
export const WORKER_UNREGISTERED = 'liminal:worker:unregistered'
/** `node:diagnostics_channel` on which it is said that a registration was refused, as {@link WorkerRefused}. */
export const WORKER_REFUSED = 'liminal:worker:refused'
/** `node:diagnostics_channel` on which it is said that a worker did not answer in time and its message goes to another one, as {@link LeaseExpired}. */
export const LEASE_EXPIRED = 'liminal:worker:lease-expired'
/** `node:diagnostics_channel` on which it is said that `onUnregister` failed, as {@link WorkerHookFailed}. */
export const WORKER_HOOK_FAILED = 'liminal:worker:hook-failed'

export interface ServerStateChanged {
  readonly url: string
  readonly state: 'draining' | 'aborting' | 'closed' | 'listening'
}

export interface WorkerRefused {
  readonly sessionId: number
  readonly registration: WorkerRegistration
  readonly reason: string
}

export interface LeaseExpired {
  readonly identity: string
  readonly taskQueue: string
  readonly correlationId: bigint
}

export interface WorkerHookFailed {
  readonly worker: WorkerInfo
  readonly error: unknown
}

export interface SessionOpened {
  readonly sessionId: number
  readonly remoteAddress: string
}

export interface SessionClosed {
  readonly sessionId: number
  readonly remoteAddress: string
  /** What ended it; `null` after a regular end. */
  readonly error: Error | null
}

export interface SessionFailed {
  readonly sessionId: number
  readonly remoteAddress: string
  readonly error: LiminalError
}

export interface SessionShed {
  readonly sessionId: number
  readonly channel: string
  readonly streamId: number
  /** Bytes that waited for this peer's connection. */
  readonly outboxBytes: number
  /** Bytes that waited for this subscription's credit. */
  readonly queueBytes: number
}

export interface ConnectionRefused {
  readonly remoteAddress: string
  readonly error: LiminalError
}

export interface AcceptFailed {
  readonly error: Error
}

const opened = diagnosticsChannel(SESSION_OPENED)
const closed = diagnosticsChannel(SESSION_CLOSED)
const failed = diagnosticsChannel(SESSION_FAILED)
const shed = diagnosticsChannel(SESSION_SHED)
const refused = diagnosticsChannel(CONNECTION_REFUSED)
const acceptFailed = diagnosticsChannel(ACCEPT_FAILED)

/** Each costs nothing when nobody listens. */
export function saySessionOpened(event: SessionOpened): void {
  if (opened.hasSubscribers) opened.publish(event)
}

export function saySessionClosed(event: SessionClosed): void {
  if (closed.hasSubscribers) closed.publish(event)
}

export function saySessionFailed(event: SessionFailed): void {
  if (failed.hasSubscribers) failed.publish(event)
}

export function saySessionShed(event: SessionShed): void {
  if (shed.hasSubscribers) shed.publish(event)
}

export function sayConnectionRefused(event: ConnectionRefused): void {
  if (refused.hasSubscribers) refused.publish(event)
}

export function sayAcceptFailed(event: AcceptFailed): void {
  if (acceptFailed.hasSubscribers) acceptFailed.publish(event)
}

const workerRegistered = diagnosticsChannel(WORKER_REGISTERED)
const workerUnregistered = diagnosticsChannel(WORKER_UNREGISTERED)
const workerRefused = diagnosticsChannel(WORKER_REFUSED)
const leaseExpired = diagnosticsChannel(LEASE_EXPIRED)
const workerHookFailed = diagnosticsChannel(WORKER_HOOK_FAILED)

export function sayWorkerRegistered(worker: WorkerInfo): void {
  if (workerRegistered.hasSubscribers) workerRegistered.publish(worker)
}

export function sayWorkerUnregistered(worker: WorkerInfo): void {
  if (workerUnregistered.hasSubscribers) workerUnregistered.publish(worker)
}

export function sayWorkerRefused(event: WorkerRefused): void {
  if (workerRefused.hasSubscribers) workerRefused.publish(event)
}

export function sayLeaseExpired(event: LeaseExpired): void {
  if (leaseExpired.hasSubscribers) leaseExpired.publish(event)
}

export function sayWorkerHookFailed(event: WorkerHookFailed): void {
  if (workerHookFailed.hasSubscribers) workerHookFailed.publish(event)
}

const serverState = diagnosticsChannel(SERVER_STATE)

export function sayServerState(event: ServerStateChanged): void {
  if (serverState.hasSubscribers) serverState.publish(event)
}
