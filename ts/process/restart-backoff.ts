import { checkInteger, checkKnownOptions, checkOneOf, checkOptions, invalidArgument } from '../arguments.ts'
import { drawDelay, longestDelay } from '../backoff.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'

/** How long a supervisor waits before it starts a child anew. */
export interface RestartBackoff {
  /** Milliseconds before the first restart, at least 1; each further one in a row waits twice as long. */
  readonly baseMs: number
  /** Milliseconds that no wait exceeds. */
  readonly maxMs: number
  /** `'full'`: a wait is drawn from 0 to its length, so that many children that failed together do not return in step. `'none'`: it has its length. Default: `'full'`. */
  readonly jitter?: 'full' | 'none'
}

/** @throws LiminalError `INVALID_ARGUMENT` for a back-off that cannot be kept (`undefined` can). */
export function checkBackoff(backoff: RestartBackoff | undefined): void {
  if (backoff === undefined) return
  checkOptions('backoff', backoff)
  checkKnownOptions('backoff', backoff, ['baseMs', 'maxMs', 'jitter'])
  checkInteger('backoff.baseMs', backoff.baseMs ?? 0, 1)
  checkInteger('backoff.maxMs', backoff.maxMs ?? 0, backoff.baseMs)
  if (backoff.maxMs > MAX_TIMEOUT_MS) {
    throw invalidArgument('backoff.maxMs', `a number of milliseconds up to ${MAX_TIMEOUT_MS}`, backoff.maxMs)
  }
  checkOneOf('backoff.jitter', backoff.jitter, ['full', 'none'])
}

/** Milliseconds to wait before restart `attempt` in a row, counted from 1. */
export function restartDelay(backoff: RestartBackoff, attempt: number): number {
  return backoff.jitter === 'none' ? longestDelay(backoff, attempt) : drawDelay(backoff, attempt)
}
