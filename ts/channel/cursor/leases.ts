import type { PositionRange } from './positions.ts'
import { isDeferred, isUnseen, NOT_SEEN, type Span, type SpanList } from './spans.ts'

/** Why an attempt failed whose owner said nothing. */
export const OWNER_LEFT = 'Its subscription ended before it was accepted.'
export const LEASE_ENDED = 'Its lease ended before it was accepted.'

/** Leases that begin within this part of a lease share its end: it comes later by so much at most, and many small runs make few spans. */
const SHARED_LEASE = 1 / 64

/** Whether what is handed out now for the first time, right behind a span and in the same stretch, may have the same lease. */
export function sharesLease(span: Span, order: number, now: number, leaseMs: number): boolean {
  const { state, attempts, firstOrder } = span
  if (state !== 'out' || attempts !== 1 || span.order !== order || firstOrder !== order) return false
  return isLeased(span) && now - span.since <= leaseMs * SHARED_LEASE
}

/** Begins the lease of a range of the span at `index`. */
export function beginLease(
  spans: SpanList,
  index: number,
  { start, end }: PositionRange,
  now: number,
  leaseMs: number,
): void {
  const own = spans.isolate(index, start, end)
  const span = spans.at(own)
  span.since = now
  span.at = now + leaseMs
  if (own === 0) return
  const before = spans.at(own - 1)
  if (!isLeased(before) || now - before.since > leaseMs * SHARED_LEASE) return
  before.at = span.at
  spans.join(own, own)
}

/** A range of the span at `index` is at the target, and the owner has not seen it. */
export function leaveUnseen(spans: SpanList, index: number, { start, end }: PositionRange): void {
  const own = spans.isolate(index, start, end)
  spans.set(spans.at(own), 'out')
  spans.at(own).at = NOT_SEEN
  spans.join(own, own)
}

/** Begins the leases of what a range has that reached the target and has none. */
export function beginUnseen(spans: SpanList, { start, end }: PositionRange, now: number, leaseMs: number): void {
  for (let next = start; next < end; ) {
    const index = spans.find(next)
    if (index < 0) return
    const span = spans.at(index)
    const until = Math.min(end, span.end)
    if (isUnseen(span) && !isDeferred(span)) beginLease(spans, index, { start: next, end: until }, now, leaseMs)
    next = until
  }
}

/** What the owner did not see was not handed out. @returns the first position that was never handed out, which is `top` if nothing changes that. */
export function takeUnseenBack(spans: SpanList, top: number): number {
  let first = top
  for (let { last } = spans; last !== undefined && isUnseen(last) && last.attempts === 1; last = spans.last) {
    first = last.start
    spans.drop(last)
  }
  for (const span of spans) if (isUnseen(span) && span.attempts > 1) span.attempts--
  return first
}

/** When the next lease or delay ends; `null` if none does. */
export function nextTimeOf(spans: SpanList, now: number): number | null {
  let next = NOT_SEEN
  for (const { state, at } of spans) {
    if ((state === 'out' || (state === 'waiting' && at > now)) && at < next) next = at
  }
  return next === NOT_SEEN ? null : next
}

function isLeased(span: Span): boolean {
  return span.state === 'out' && !isUnseen(span)
}
