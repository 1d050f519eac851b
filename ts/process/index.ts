export type { ChildInfo, ChildSpec, ChildStatus, RestartPolicy } from './child.ts'
export {
  type ChildRestarted,
  PROCESS_CRASH,
  PROCESS_EXIT,
  PROCESS_RESTART,
  PROCESS_STRAY_ERROR,
  type ProcessExited,
  type StrayError,
} from './diagnostics.ts'
export {
  type ErrorExit,
  type Exit,
  type ExitReason,
  exitError,
  exitKilled,
  exitNoConnection,
  exitNormal,
  isExit,
  type KilledExit,
  type NoConnectionExit,
  type NormalExit,
  type Pid,
} from './exit.ts'
export type { Population } from './population.ts'
export type * from './process.ts'
export type { Down, ExitRequest, LinkExit, Message, Monitor, Received, TrappedExit } from './received.ts'
export type { RestartBackoff } from './restart-backoff.ts'
export { Supervisor, type SupervisorOptions } from './supervisor.ts'
export { ProcessSystem, type ProcessSystemOptions } from './system.ts'
export { Thread, type ThreadOptions } from './thread.ts'
export {
  type ThreadCall,
  type ThreadCallObserver,
  type ThreadRequest,
  type ThreadStep,
  type ThreadStepAnswer,
  type ThrownInThread,
  thrownInThread,
} from './thread-call.ts'
