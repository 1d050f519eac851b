import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../../errors.ts'

/** `node:diagnostics_channel` on which it is said that a subscription took a cursor, as {@link CursorOwned}. */
export const CURSOR_ACQUIRED = 'liminal:cursor:acquired'
/** `node:diagnostics_channel` on which it is said that a newer owner, or an operator, fenced the owner of a cursor, as {@link CursorOwned}: that of the one that is fenced. */
export const CURSOR_FENCED = 'liminal:cursor:fenced'
/** `node:diagnostics_channel` on which each checkpoint is said once it is durable, as {@link CursorCheckpointed}. */
export const CURSOR_CHECKPOINTED = 'liminal:cursor:checkpointed'
/** `node:diagnostics_channel` on which each checkpoint that failed is said, as {@link CursorFailed}. One whose error is retryable is repeated. */
export const CURSOR_CHECKPOINT_FAILED = 'liminal:cursor:checkpoint-failed'
/** `node:diagnostics_channel` on which it is said that messages were handed out again, as {@link CursorRedelivered}. */
export const CURSOR_REDELIVERED = 'liminal:cursor:redelivered'
/** `node:diagnostics_channel` on which it is said that a message went to the dead-letter channel, as {@link CursorDeadLettered}. */
export const CURSOR_DEAD_LETTERED = 'liminal:cursor:dead-lettered'
/** `node:diagnostics_channel` on which it is said that a message could not go to the dead-letter channel, as {@link CursorFailed}. It is tried again. */
export const CURSOR_DEAD_LETTER_FAILED = 'liminal:cursor:dead-letter-failed'
/** `node:diagnostics_channel` on which it is said that a cursor passed over messages that the log does not have any more, as {@link CursorSkipped}. */
export const CURSOR_SKIPPED = 'liminal:cursor:skipped'
/** `node:diagnostics_channel` on which it is said that a read of the log failed, as {@link CursorFailed}. One whose error is retryable is repeated. */
export const CURSOR_READ_FAILED = 'liminal:cursor:read-failed'
/** `node:diagnostics_channel` on which it is said that the owner of a cursor threw where it must not, as {@link CursorFailed}. */
export const CURSOR_OWNER_FAILED = 'liminal:cursor:owner-failed'

/** Which cursor. */
export interface CursorNamed {
  readonly channel: string
  readonly cursor: string
}

export interface CursorOwned extends CursorNamed {
  /** Counts the acquisitions of the cursor. */
  readonly epoch: bigint
  /** The first position that was not accepted. */
  readonly position: bigint
}

export interface CursorCheckpointed extends CursorNamed {
  /** The first position that was not accepted, as it is written down now. */
  readonly position: bigint
}

export interface CursorRedelivered extends CursorNamed {
  /** Of the first message; the others follow. */
  readonly position: bigint
  readonly count: number
  /** At least 2. */
  readonly attempt: number
}

export interface CursorDeadLettered extends CursorNamed {
  readonly position: bigint
  readonly attempts: number
  readonly reason: string
}

export interface CursorSkipped extends CursorNamed {
  /** Where the cursor goes on. */
  readonly position: bigint
  /** Messages that nobody accepted. */
  readonly count: number
}

export interface CursorFailed extends CursorNamed {
  readonly error: LiminalError
}

const channels = {
  acquired: diagnosticsChannel(CURSOR_ACQUIRED),
  fenced: diagnosticsChannel(CURSOR_FENCED),
  checkpointed: diagnosticsChannel(CURSOR_CHECKPOINTED),
  checkpointFailed: diagnosticsChannel(CURSOR_CHECKPOINT_FAILED),
  redelivered: diagnosticsChannel(CURSOR_REDELIVERED),
  deadLettered: diagnosticsChannel(CURSOR_DEAD_LETTERED),
  deadLetterFailed: diagnosticsChannel(CURSOR_DEAD_LETTER_FAILED),
  skipped: diagnosticsChannel(CURSOR_SKIPPED),
  readFailed: diagnosticsChannel(CURSOR_READ_FAILED),
  ownerFailed: diagnosticsChannel(CURSOR_OWNER_FAILED),
}

/** Says what happens to one cursor. Costs nothing where nobody listens. */
export class CursorVoice {
  readonly #named: CursorNamed

  constructor(channel: string, cursor: string) {
    this.#named = { channel, cursor }
  }

  acquired(epoch: number, position: number): void {
    if (!channels.acquired.hasSubscribers) return
    const said: CursorOwned = { ...this.#named, epoch: BigInt(epoch), position: BigInt(position) }
    channels.acquired.publish(said)
  }

  fenced(epoch: number, position: number): void {
    if (!channels.fenced.hasSubscribers) return
    const said: CursorOwned = { ...this.#named, epoch: BigInt(epoch), position: BigInt(position) }
    channels.fenced.publish(said)
  }

  checkpointed(position: number): void {
    if (!channels.checkpointed.hasSubscribers) return
    const said: CursorCheckpointed = { ...this.#named, position: BigInt(position) }
    channels.checkpointed.publish(said)
  }

  redelivered(position: number, count: number, attempt: number): void {
    if (!channels.redelivered.hasSubscribers) return
    const said: CursorRedelivered = { ...this.#named, position: BigInt(position), count, attempt }
    channels.redelivered.publish(said)
  }

  deadLettered(position: number, attempts: number, reason: string): void {
    if (!channels.deadLettered.hasSubscribers) return
    const said: CursorDeadLettered = { ...this.#named, position: BigInt(position), attempts, reason }
    channels.deadLettered.publish(said)
  }

  skipped(position: number, count: number): void {
    if (!channels.skipped.hasSubscribers) return
    const said: CursorSkipped = { ...this.#named, position: BigInt(position), count }
    channels.skipped.publish(said)
  }

  failed(what: 'checkpointFailed' | 'deadLetterFailed' | 'readFailed' | 'ownerFailed', error: LiminalError): void {
    if (!channels[what].hasSubscribers) return
    const said: CursorFailed = { ...this.#named, error }
    channels[what].publish(said)
  }
}
