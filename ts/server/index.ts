export {
  ACCEPT_FAILED,
  type AcceptFailed,
  CONNECTION_REFUSED,
  type ConnectionRefused,
  SESSION_CLOSED,
  SESSION_FAILED,
  SESSION_OPENED,
  SESSION_SHED,
  type SessionClosed,
  type SessionFailed,
  type SessionOpened,
  type SessionShed,
} from './diagnostics.ts'
export { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
export type { ServerOptions } from './options.ts'
export { type BusServer, type CloseOptions, createServer, type Server, type ServerAddress, serve } from './server.ts'
export type { SessionInfo, SessionPhase } from './session-info.ts'
