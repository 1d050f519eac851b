import { LiminalError } from '../errors.ts'
import { nameOf } from '../thrown.ts'

/** How a consumer ended. The shape is that of a process's exit reason. */
export interface ConsumerExit {
  /** `normal`: it was done and is no crash. `error`: its code failed. `killed`: it was ended from outside. `noconnection`: the connection to it is lost. */
  readonly is: 'normal' | 'error' | 'killed' | 'noconnection'
  /** What led to it; `undefined` if nobody said. */
  readonly cause: unknown
}

/**
 * Hears how a consumer ended.
 * @param observedAt when that was observed, on the clock of `performance.now()`. Default: now.
 */
export type ExitListener = (exit: ConsumerExit, observedAt?: number) => void

/** What a consumer is told beside the message. */
export interface DeliveryContext {
  /** Name of the group. */
  readonly group: string
  /** From 1; raised each time the message goes to another consumer. */
  readonly attempt: number
  /** The key of the dispatch, `null` without one. */
  readonly key: string | null
  /** Aborted once nobody wants the answer any more: the dispatch timed out or was aborted, or the group closes. */
  readonly signal: AbortSignal
  /** Told instead of the signal, for who does not need one; at once if that is so already. One listener. */
  onAbandoned(listener: (reason: unknown) => void): void
  /** When the dispatch times out, as milliseconds since the epoch; `null` without a timeout. */
  readonly deadline: number | null
}

/**
 * Whatever does the work: a process, a worker thread, a connection.
 *
 * Its exit is told through `onExit` only. What it completed before it ended counts as completed, also if the promise of `deliver` is heard after the exit in the same turn.
 */
export interface Consumer<Message = unknown, Result = unknown> {
  /** Unique in its group while it is joined: 1 to 255 UTF-8 bytes without control characters. */
  readonly id: string
  /** Most messages in flight to it, at least 1. Default: 1. */
  readonly capacity?: number | undefined
  /** What routing functions may choose by, at most {@link MAX_TAGS}. Default: none. */
  readonly tags?: readonly string[] | undefined
  /**
   * Takes a message. The promise is the completion: its value is the result. A rejection fails the dispatch with `RESPONDER_FAILED`; a rejection with
   * {@link HandedBackError} gives the message to another consumer, one with {@link ConsumerCrashError} delivers it anew.
   */
  deliver(message: Message, context: DeliveryContext): Promise<Result>
  /**
   * Calls the listener exactly once when the consumer has ended, also if it ended before; at once or later. Returns what withdraws the listener.
   */
  onExit(listener: ExitListener): () => void
}

/** Most tags of one consumer. */
export const MAX_TAGS = 64

/** What a consumer rejects a delivery with that it gives back undone: another one gets the message. Its code is `PARTICIPANT_GONE`. */
export class HandedBackError extends LiminalError {
  /** @param message why, as a sentence. */
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super('PARTICIPANT_GONE', message, options)
  }

  override get name(): string {
    return 'HandedBackError'
  }
}

/** Whether a consumer gives a message back with this: also one from another copy of the package, or from a thread. */
export function isHandedBack(thrown: unknown): thrown is Error {
  return nameOf(thrown) === 'HandedBackError'
}

/**
 * What a consumer rejects a delivery with when whatever was at it died, while the consumer itself goes on: a thread of several. The message is delivered anew, with the attempt
 * raised, to this consumer too. Its code is `PARTICIPANT_GONE`.
 */
export class ConsumerCrashError extends LiminalError {
  readonly reason: 'error' | 'killed' | 'noconnection'
  /** When that was observed, on the clock of `performance.now()`. */
  readonly observedAt: number

  /** @param cause what happened, as an error. @param observedAt Default: now. */
  constructor(
    reason: 'error' | 'killed' | 'noconnection',
    cause: LiminalError,
    observedAt: number = performance.now(),
  ) {
    super('PARTICIPANT_GONE', cause.message, { cause })
    this.reason = reason
    this.observedAt = observedAt
  }

  override get name(): string {
    return 'ConsumerCrashError'
  }
}

/**
 * What a consumer rejects a delivery with when whatever was at it ended in good order without an answer, while the consumer itself may go on: it may have done the work, so
 * nobody else is to do it again. Its code is `PARTICIPANT_GONE`, and so is that of the dispatch.
 */
export class ConsumerEndedError extends LiminalError {
  /** @param cause what happened, as an error. */
  constructor(cause: LiminalError) {
    super('PARTICIPANT_GONE', cause.message, { cause })
  }

  override get name(): string {
    return 'ConsumerEndedError'
  }
}

/** The live state of a consumer in a group, as routing functions and operators see it. It changes with every dispatch; do not keep it. */
export interface ConsumerView {
  readonly id: string
  /** Messages delivered to it and not done. */
  readonly inFlight: number
  /** Most messages in flight to it. */
  readonly capacity: number
  /** Messages that it has room for: 0 if it is full or leaving. */
  readonly available: number
  /** Milliseconds from a delivery to its completion, a moving average in which the latest counts a fifth; `null` before the first. */
  readonly latencyMs: number | null
  /** Messages it completed. */
  readonly completed: number
  /** Messages it failed at. */
  readonly failed: number
  readonly tags: readonly string[]
}
