export type { CheckpointPolicy } from './checkpoint-policy.ts'
export { Cursor, type CursorStatus } from './cursor.ts'
export {
  CURSOR_ACQUIRED,
  CURSOR_CHECKPOINT_FAILED,
  CURSOR_CHECKPOINTED,
  CURSOR_DEAD_LETTER_FAILED,
  CURSOR_DEAD_LETTERED,
  CURSOR_FENCED,
  CURSOR_OWNER_FAILED,
  CURSOR_READ_FAILED,
  CURSOR_REDELIVERED,
  CURSOR_SKIPPED,
  type CursorCheckpointed,
  type CursorDeadLettered,
  type CursorFailed,
  type CursorNamed,
  type CursorOwned,
  type CursorRedelivered,
  type CursorSkipped,
} from './diagnostics.ts'
export type { CursorLog } from './feed.ts'
export { CursorRegistry, type CursorRegistryOptions } from './registry.ts'
export type { CursorSession, RejectOptions } from './session.ts'
export { type CursorTarget, type CursorTerms, type DeadLetter, MOST_IN_FLIGHT } from './terms.ts'
