import { type ErrorCode, LiminalError } from '../errors.ts'

/** One time that a message went on to another consumer. Times are milliseconds on the clock of `performance.now()`. */
export interface Reroute {
  /** The consumer that it was taken from. */
  readonly consumer: string
  /** The attempt that ended there, from 1. */
  readonly attempt: number
  /** `error`, `killed`, `noconnection`: how the consumer ended. `handed-back`: it gave the message back undone. */
  readonly reason: 'error' | 'killed' | 'noconnection' | 'handed-back'
  /** What led to it; `undefined` over a connection. */
  readonly cause: unknown
  /** When its exit was observed, or the message was handed back; `null` where that was on another machine's clock. */
  readonly observedAt: number | null
  /** When the search for another consumer began; `null` likewise. */
  readonly startedAt: number | null
  /** From the one to the other, never negative. */
  readonly microseconds: number
}

/** What became of a message, so far. */
export interface DispatchHistory {
  /** How many consumers it was delivered to. */
  readonly attempts: number
  /** Where it was taken away again, in order. */
  readonly reroutedFrom: readonly Reroute[]
}

/** A message that was done. */
export interface DispatchOutcome<Result = unknown> extends DispatchHistory {
  /** What the consumer completed it with. */
  readonly value: Result
  /** The consumer that completed it. */
  readonly deliveredTo: string
  /** Milliseconds from the dispatch to its first delivery: routing, and waiting for a consumer. */
  readonly queuedMs: number
  /** Milliseconds from the dispatch to its completion. */
  readonly durationMs: number
}

/**
 * A message that was not done. `NO_RESPONDER`: nobody to give it to. `TIMEOUT`, `ABORTED`. `LIMIT_EXCEEDED`: too many wait. `PARTICIPANT_GONE`: its consumers ended.
 * `RESPONDER_FAILED`: the consumer rejected it, with its reason as the cause. `SHUTTING_DOWN`: the group was closed.
 */
export class DispatchError extends LiminalError {
  /** How many consumers it was delivered to; `null` over a connection, which only tells why it failed. */
  readonly attempts: number | null
  /** Where it was taken away again, in order; empty over a connection. */
  readonly reroutedFrom: readonly Reroute[]

  /** @param history `null` if it is not known. */
  constructor(code: ErrorCode, message: string, history: DispatchHistory | null, cause?: unknown) {
    super(code, message, { cause })
    this.attempts = history?.attempts ?? null
    this.reroutedFrom = history?.reroutedFrom ?? []
  }

  override get name(): string {
    return 'DispatchError'
  }
}
