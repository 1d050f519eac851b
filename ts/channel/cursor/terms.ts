import { checkInteger, invalidArgument } from '../../arguments.ts'
import type { LiminalError } from '../../errors.ts'
import { MAX_TIMEOUT_MS } from '../../waiting.ts'
import type { Logged, MessageRun, Sink } from '../run.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'

/** A message that was delivered as often as it may be, on its way to the dead-letter channel. */
export interface DeadLetter {
  readonly channel: string
  readonly cursor: string
  readonly position: bigint
  readonly attempts: number
  /** Why the last attempt failed, for people. */
  readonly reason: string
  /** The message: a run of one row. Its memory is never written again. */
  readonly run: MessageRun
  readonly schemaId: Uint8Array
}

/** Where a cursor delivers to: a Sink whose runs always come from a log. It never waits for {@link Sink.hold} in vain: what is behind is asked again when its promise settles. */
export type CursorTarget = Omit<Sink, 'deliver'> & {
  /** See Sink. Attempt and position are those of the first row, and all rows have the same attempt. */
  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged): boolean
}

/** Who takes a cursor, and how it wants to be served. */
export interface CursorTerms {
  readonly target: CursorTarget
  /** Called at once, and once, when a newer owner or an operator takes the cursor away: `CURSOR_FENCED`. The target is not ended beside it. */
  readonly fenced: (error: LiminalError) => void
  /** Messages handed out and not accepted, at most; at least 1. More than {@link MOST_IN_FLIGHT} is taken for that. */
  readonly maxInFlight: number
  /** Default `'message'`. */
  readonly checkpoint?: CheckpointPolicy | undefined
  /** Milliseconds that a delivery may stay unaccepted. Default {@link LEASE_MS}. */
  readonly leaseMs?: number | undefined
  /**
   * When it begins: when the target takes the delivery, or when CursorSession.seen says that the owner has it. What the owner did not see has no attempt when the session ends. Default
   * `'delivered'`.
   */
  readonly leaseBegins?: 'delivered' | 'seen' | undefined
  /** Default: no limit. */
  readonly maxAttempts?: number | undefined
  /**
   * Puts a message into the dead-letter channel; it counts as accepted when the promise resolves, and is tried again when it rejects. May come twice for one message, after a crash between the
   * two. Needed with `maxAttempts`.
   */
  readonly deadLetter?: ((message: DeadLetter) => Promise<void>) | undefined
}

/** What the owner of a cursor set for its deliveries. */
export interface TrackerTerms {
  readonly leaseMs: number
  /** `null`: no limit. */
  readonly maxAttempts: number | null
  /** Acceptances are not to be written down before {@link DeliveryTracker.commit}. */
  readonly commitsExplicitly: boolean
  /** See {@link CursorTerms.leaseBegins}. */
  readonly leaseBegins: 'delivered' | 'seen'
}

/** The lease of deliveries where nobody says another one, in milliseconds. */
export const LEASE_MS = 30_000

/** So that what is known of messages in flight fits into one value of a store. */
export const MOST_IN_FLIGHT = 16_384

/** @throws LiminalError `INVALID_ARGUMENT` for terms that cannot be kept. */
export function checkTerms({ maxInFlight, checkpoint, leaseMs, maxAttempts, deadLetter }: CursorTerms): void {
  checkInteger('maxInFlight', maxInFlight, 1)
  if (leaseMs !== undefined && !(leaseMs >= 1 && leaseMs <= MAX_TIMEOUT_MS)) {
    throw invalidArgument('leaseMs', `a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`, leaseMs)
  }
  if (maxAttempts !== undefined) {
    checkInteger('maxAttempts', maxAttempts, 1)
    if (deadLetter === undefined)
      throw invalidArgument('deadLetter', 'a function where there are maxAttempts', deadLetter)
  }
  if (typeof checkpoint === 'object') {
    checkInteger('checkpoint.every', checkpoint.every, 1)
    const { withinMs } = checkpoint
    if (withinMs !== undefined && !(withinMs >= 1 && withinMs <= MAX_TIMEOUT_MS)) {
      throw invalidArgument('checkpoint.withinMs', `a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`, withinMs)
    }
  } else if (checkpoint !== undefined && checkpoint !== 'message' && checkpoint !== 'explicit') {
    throw invalidArgument('checkpoint', "'message', 'explicit' or { every, withinMs }", checkpoint)
  }
}
