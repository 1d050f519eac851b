export { ChannelCore, type ChannelStorage, type CursorDemand } from './channel-core.ts'
export { ChannelLog, type ChannelLogOptions } from './channel-log.ts'
export {
  type ChannelDeclaration,
  ChannelRegistry,
  type ChannelRegistryOptions,
  type DurableOptions,
  type RetentionOptions,
} from './channel-registry.ts'
export { ClaimDesk, type IdempotencyLimits } from './claim-desk.ts'
export * from './cursor/index.ts'
export { CursorSubscription } from './cursor-subscription.ts'
export {
  APPEND_FAILED,
  type AppendFailed,
  LOG_READ_FAILED,
  type LogReadFailed,
  PUBLISH_REFUSED,
  type PublishRefused,
  REMOVAL_FAILED,
  RETENTION_FAILED,
  type RemovalFailed,
  type RetentionFailed,
  SINK_FAILED,
  type SinkFailed,
} from './diagnostics.ts'
export { DurableChannels } from './durable-channels.ts'
export type { ChannelSubscription } from './fan-out.ts'
export type { LoggedRun, LogLimits } from './log-reading.ts'
export { type LogStart, positionOf } from './log-subscription.ts'
export { type LoggedMessage, loggedMessage } from './logged-message.ts'
export { MessageIds } from './message-ids.ts'
export { oneMessageRun, rowOffset } from './one-message-run.ts'
export type { Logged, MessageRun, PublishObserver, Sink } from './run.ts'
