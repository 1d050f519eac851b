export {
  ACCEPT_FAILED,
  type AcceptFailed,
  CONNECTION_REFUSED,
  type ConnectionRefused,
  LEASE_EXPIRED,
  type LeaseExpired,
  SERVER_STATE,
  SESSION_CLOSED,
  SESSION_FAILED,
  SESSION_OPENED,
  SESSION_SHED,
  type ServerStateChanged,
  type SessionClosed,
  type SessionFailed,
  type SessionOpened,
  type SessionShed,
  WORKER_HOOK_FAILED,
  WORKER_REFUSED,
  WORKER_REGISTERED,
  WORKER_UNREGISTERED,
  type WorkerHookFailed,
  type WorkerRefused,
} from './diagnostics.ts'
export { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
export type { ServerOptions } from './options.ts'
export type { PushAwaiter } from './push-awaiter.ts'
export {
  type BusServer,
  type CloseOptions,
  createServer,
  type Server,
  type ServerAddress,
  type ServerState,
  serve,
} from './server.ts'
export type { SessionInfo, SessionPhase } from './session-info.ts'
export type { WorkerInfo, WorkerPolicy } from './worker-options.ts'
