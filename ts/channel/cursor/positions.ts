/** Consecutive positions. */
export interface PositionRange {
  readonly start: number
  /** Behind the last one. */
  readonly end: number
}

/** Consecutive positions that were handed out equally often. */
export interface DueRange extends PositionRange {
  readonly attempts: number
}

/** A message that was handed out as often as it may be. */
export interface ExhaustedMessage {
  readonly position: number
  readonly attempts: number
  /** Why its last attempt failed. */
  readonly reason: string
}
