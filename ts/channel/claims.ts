import { type ClaimIndex, ClaimRows, ClaimStatus } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { Column } from '../protocol/index.ts'
import { rowOffset } from './one-message-run.ts'
import type { MessageRun } from './run.ts'

/** Where the idempotency keys of one channel are claimed. */
export interface ClaimSource {
  readonly index: ClaimIndex
  /** Tells the keys of this channel from those of others. */
  readonly scope: Uint8Array
  /** A token that nobody else has. */
  nextOwner(): number
}

/** What claiming the keys of a run came to, in the order of its rows. */
export interface ClaimsHeard {
  /** These rows are published for the first time; theirs are the claims from `from` on. They are published before more is heard. */
  fresh(run: MessageRun, claims: ClaimRows, from: number): void
  /** The row with this index repeats a key; its claim is the one at `at`. */
  duplicate(index: number, claims: ClaimRows, at: number): void
  refused(error: LiminalError): void
}

/** Whether the rows of a run have idempotency keys: all do or none does. */
export function isKeyed({ columns, first }: MessageRun): boolean {
  return columns[rowOffset(first) + Column.KEY_LENGTH] >= 0
}

/** The time that claims are made by, in milliseconds since the epoch: it never steps, whatever is done to the clock. */
export function claimTime(): number {
  return performance.timeOrigin + performance.now()
}

/** Rows of a claim, used by one call after the other. */
let scratch = new ClaimRows(64)

/** Claims the keys of a run in one call of the index. */
export function claimRun({ index, scope }: ClaimSource, run: MessageRun, owner: number, heard: ClaimsHeard): void {
  const { bytes, columns, first, count } = run
  if (scratch.capacity < count) scratch = new ClaimRows(count * 2)
  const claims = scratch
  index.claim(scope, bytes, columns, first, count, owner, claimTime(), claims)
  let fresh = 0
  const publish = (until: number): void => {
    if (until > fresh) heard.fresh({ bytes, columns, first: first + fresh, count: until - fresh }, claims, fresh)
    fresh = until + 1
  }
  for (let at = 0; at < count; at++) {
    const status = claims.status(at)
    if (status === ClaimStatus.FRESH) continue
    publish(at)
    if (status === ClaimStatus.FULL) heard.refused(tooManyClaims())
    else heard.duplicate(first + at, claims, at)
  }
  publish(count)
}

function tooManyClaims(): LiminalError {
  const message =
    'The idempotency key cannot be remembered: as many publishes with a key are underway as the bus remembers keys. Publish again later, or raise idempotency.maxKeys.'
  return new LiminalError('LIMIT_EXCEEDED', message)
}
