/** Waits that grow: the base doubled each time, capped. */
export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
}

/** The longest wait before attempt `attempt` (counted from 1), in milliseconds. */
export function longestDelay(backoff: Backoff, attempt: number): number {
  return Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attempt - 1))
}

/** A wait with full jitter: anywhere from 0 to the longest, so that many who failed together do not return in step. */
export function drawDelay(backoff: Backoff, attempt: number, random: () => number = Math.random): number {
  return random() * longestDelay(backoff, attempt)
}
