import { HandOutOrder } from './hand-out-order.ts'
import {
  beginLease,
  beginUnseen,
  LEASE_ENDED,
  leaveUnseen,
  nextTimeOf,
  OWNER_LEFT,
  sharesLease,
  takeUnseenBack,
} from './leases.ts'
import type { DueRange, ExhaustedMessage, PositionRange } from './positions.ts'
import type { CursorRecord } from './record.ts'
import { dueRanges, recordedSpans } from './span-reading.ts'
import {
  acquit,
  firstUnaccepted,
  hasSuspects,
  isAccepted,
  isAnswerable,
  isDeferred,
  isInHand,
  isLapsed,
  NOT_DELIVERED,
  NOT_SEEN,
  type Span,
  SpanList,
  type SpanState,
} from './spans.ts'
import { LEASE_MS, type TrackerTerms } from './terms.ts'

/** Spans from which on nothing new is handed out, so that the record of a cursor stays small: the fate of some messages has to become clear first. */
export const MOST_SPANS = 8_192

/** Due, whatever the time is. */
const AT_ONCE = Number.NEGATIVE_INFINITY

/**
 * What became of each position from the watermark on, as spans: in the plain case (handed out once, in order, accepted in order) one for each 64th of a lease, however many messages those are.
 *
 * A cumulative acceptance means "this one and all that were handed out before it", which is not "and all below it" once something was handed out again. So hand-outs are numbered.
 */
export class DeliveryTracker {
  readonly #spans = new SpanList()
  #terms: TrackerTerms = { leaseMs: LEASE_MS, maxAttempts: null, commitsExplicitly: false, leaseBegins: 'delivered' }
  #top: number
  readonly #order = new HandOutOrder()
  /** See {@link isolates}. `false` is certain, `true` is looked at again. */
  #isolates = false

  /** @param record One that is owned had an owner when its bus ended without notice: what was handed out is suspect. */
  constructor(record: Pick<CursorRecord, 'watermark' | 'spans' | 'owned'>) {
    this.#top = record.watermark
    for (const { count, attempts } of record.spans) {
      const span = this.#append(count, attempts === 0 ? 'accepted' : 'waiting', attempts)
      span.suspect = record.owned && attempts > 0
    }
    this.#spans.tidy()
  }

  /** The first position that is not accepted, or whose acceptance is not to be written down yet. */
  get watermark(): number {
    return this.#spans.length === 0 ? this.#top : this.#spans.at(0).start
  }

  /** The first position that is not accepted, written down or not. */
  get firstUnaccepted(): number {
    return firstUnaccepted(this.#spans) ?? this.#top
  }

  /** The first position that was never handed out: there hand-outs of new messages go on. */
  get top(): number {
    return this.#top
  }

  /** Messages that the owner has and did not answer. */
  get out(): number {
    return this.#spans.count('out')
  }

  /** Messages that were handed out, to this owner or an earlier one, and are not accepted. */
  get unaccepted(): number {
    const spans = this.#spans
    return spans.count('out') + spans.count('waiting') + spans.count('exhausted') + spans.count('burying')
  }

  /** Whether the record has room for the fate of more messages. */
  get hasRoom(): boolean {
    return this.#spans.length < MOST_SPANS
  }

  /**
   * Whether messages are handed out one at a time: attempts are limited, and some messages were in the hands of an owner that died. The one that killed it is found so, before it costs those beside it
   * all of their attempts.
   */
  get isolates(): boolean {
    if (this.#isolates) this.#isolates = hasSuspects(this.#spans)
    return this.#isolates
  }

  /** What a store is to keep. */
  get recorded(): Pick<CursorRecord, 'watermark' | 'spans'> {
    return { watermark: this.watermark, spans: recordedSpans(this.#spans) }
  }

  /** A new owner: it gets everything again that is not accepted, except for what was handed out too often already. */
  begin(terms: TrackerTerms): void {
    this.release()
    this.#terms = terms
    this.#spans.forEach('waiting', (span) => this.#fail(span, OWNER_LEFT, AT_ONCE))
    this.#isolates = terms.maxAttempts !== null && hasSuspects(this.#spans)
  }

  /**
   * The owner is gone: what it did not accept waits for the next one, as does what it accepted and did not commit. What it did not see does not count as an attempt. What is being buried
   * stays so.
   *
   * @param died It did not leave in order: what it had seen and not answered is suspect.
   */
  release(died = false): void {
    if (died) for (const span of this.#spans) span.suspect ||= isInHand(span)
    this.#top = takeUnseenBack(this.#spans, this.#top)
    for (const span of this.#spans) {
      span.order = 0
      span.firstOrder = 0
      span.keptSince = 0
      if (span.state === 'accepted' || span.state === 'burying') continue
      this.#spans.set(span, 'waiting')
      span.at = AT_ONCE
      span.handedBack = false
      span.reason = ''
    }
    this.#spans.tidy()
    this.#order.reset()
  }

  /**
   * Hands out the next `count` messages for the first time.
   *
   * @param deferred They reach the owner later; see {@link deferred}.
   */
  handOut(count: number, now: number, deferred = false): void {
    const { leaseMs } = this.#terms
    const order = this.#order.next(this.#top, this.#top + count)
    const { last } = this.#spans
    const begins = !deferred && !(this.#terms.leaseBegins === 'seen')
    if (last !== undefined && begins && sharesLease(last, order, now, leaseMs)) {
      this.#spans.lengthen(last, count)
      last.at = now + leaseMs
      this.#top += count
      return
    }
    const span = this.#append(count, 'out', 1)
    span.order = order
    span.firstOrder = order
    span.keptSince = order
    span.since = now
    span.at = deferred ? NOT_DELIVERED : begins ? now + leaseMs : NOT_SEEN
    this.#spans.join(this.#spans.length - 1, this.#spans.length - 1)
  }

  /** Hands out the first `count` messages of what is due, with an attempt more. They reach the owner later; see {@link deferred}. */
  handOutAgain(due: DueRange, count: number): void {
    const end = due.start + count
    const span = this.#spans.cut(due.start, end)
    this.#spans.set(span, 'out')
    span.attempts++
    span.order = this.#order.next(due.start, end)
    if (span.firstOrder === 0) span.firstOrder = span.order
    if (span.keptSince === 0 || span.handedBack) span.keptSince = span.order
    span.handedBack = false
    span.at = NOT_DELIVERED
  }

  /** The first messages of a range that were handed out and did not reach the target, with the attempt that this is; `null` if there are none. */
  deferred({ start, end }: PositionRange): DueRange | null {
    let index = this.#spans.find(Math.max(start, this.watermark))
    if (index < 0) return null
    for (; index < this.#spans.length; index++) {
      const span = this.#spans.at(index)
      if (span.start >= end) return null
      if (isDeferred(span))
        return { start: Math.max(start, span.start), end: Math.min(end, span.end), attempts: span.attempts }
    }
    return null
  }

  /** Deferred messages are about to reach the target: their lease begins, unless the owner has to see them first. */
  delivered(range: PositionRange, now: number): void {
    const index = this.#spans.find(range.start)
    if (!(this.#terms.leaseBegins === 'seen')) {
      beginLease(this.#spans, index, range, now, this.#terms.leaseMs)
      return
    }
    leaveUnseen(this.#spans, index, range)
  }

  /** The owner has seen messages that waited at the target: their lease begins. */
  seen({ start, end }: PositionRange, now: number): void {
    beginUnseen(this.#spans, { start: Math.max(start, this.watermark), end }, now, this.#terms.leaseMs)
  }

  /** Messages that were handed out did not reach the target, and never will: it is gone. */
  refused({ start, end }: PositionRange): void {
    const index = this.#spans.find(start)
    if (index < 0 || this.#spans.at(index).state !== 'out') return
    const own = this.#spans.isolate(index, start, Math.min(end, this.#spans.at(index).end))
    this.#spans.at(own).at = NOT_DELIVERED
  }

  /**
   * A message, and all that were handed out to this owner before it, are accepted, except for what was handed back. A lease that ended meanwhile changes nothing: they were processed.
   *
   * @param attempt Which delivery of the message is meant, where it was delivered more than once; `null` takes the first one, so that nothing is accepted that the owner may not have seen yet.
   * @returns how many were not accepted before.
   */
  accept(position: number, attempt: number | null): number {
    const index = this.#spans.find(position)
    if (index < 0) return 0
    const span = this.#spans.at(index)
    if (isAccepted(span)) return 0
    const order = attempt === span.attempts ? span.order : span.firstOrder
    if (order === 0) return this.acceptOne(position)
    const inOrder = order === span.order && isAnswerable(span)
    if (index === 0 && inOrder && !this.#order.disordered && !this.#terms.commitsExplicitly) {
      return this.#acceptFirst(span, position + 1)
    }
    const own = this.#spans.isolate(index, inOrder ? span.start : position, position + 1)
    let accepted = this.#accept(this.#spans.at(own))
    // Positions behind this one were handed out before it only if it was handed out out of order.
    const through = this.#order.disordered ? this.#spans.length - 1 : own
    for (let other = 0; other <= through; other++) {
      const before = this.#spans.at(other)
      if (before.order === 0 || !isAnswerable(before)) continue
      const { keptSince, end } = before
      if (keptSince < order || (keptSince === order && end <= position)) accepted += this.#accept(before)
    }
    this.#spans.tidy(0, through)
    return accepted
  }

  /** One message is accepted, whoever had it. @returns how many were not accepted before: 1 or 0. */
  acceptOne(position: number): number {
    const index = this.#spans.find(position)
    if (index < 0) return 0
    const span = this.#spans.at(index)
    if (isAccepted(span)) return 0
    if (index === 0 && position === span.start && !this.#terms.commitsExplicitly)
      return this.#acceptFirst(span, position + 1)
    const own = this.#spans.isolate(index, position, position + 1)
    this.#accept(this.#spans.at(own))
    this.#spans.tidy(own, own)
    return 1
  }

  /** What was accepted so far is to be written down. Nothing to do unless that is explicit. */
  commit(): void {
    this.#spans.forEach('done', (span) => this.#settle(span))
  }

  /**
   * A message is handed back: it is handed out again at `at`, or exhausted. One that was handed out again since, or answered, is not; but it is not accepted with what was handed out behind the
   * delivery that was handed back.
   *
   * @returns whether it had an effect.
   */
  reject(position: number, attempt: number | null, reason: string, at: number): boolean {
    const index = this.#spans.find(position)
    if (index < 0) return false
    const span = this.#spans.at(index)
    if (span.state !== 'out' && !(span.state === 'waiting' && isLapsed(span))) return false
    const own = this.#spans.isolate(index, position, position + 1)
    if (attempt !== null && attempt !== span.attempts) {
      this.#spans.at(own).keptSince = this.#spans.at(own).order
      this.#spans.join(own, own)
      return false
    }
    this.#answer(this.#spans.at(own), reason, at)
    this.#spans.at(own).handedBack = true
    this.#spans.tidy(own, own)
    return true
  }

  /** Begins the lease of a message anew, unless it has ended. @returns whether it had an effect. */
  extend(position: number, attempt: number | null, now: number): boolean {
    const index = this.#spans.find(position)
    if (index < 0) return false
    const { state, attempts, at } = this.#spans.at(index)
    if (state !== 'out' || at >= NOT_SEEN || (attempt !== null && attempt !== attempts)) return false
    const own = this.#spans.isolate(index, position, position + 1)
    this.#spans.at(own).since = now
    this.#spans.at(own).at = now + this.#terms.leaseMs
    this.#spans.tidy(own, own)
    return true
  }

  /** Ends the leases whose time has come. @returns how many messages had one. */
  expire(now: number): number {
    let expired = 0
    let isAlive = false
    this.#spans.forEach('out', (span) => {
      if (span.at > now) return
      expired += span.end - span.start
      isAlive ||= span.suspect
      this.#answer(span, LEASE_ENDED, now)
    })
    // It may wait for more before it answers: one by one its messages would use up their attempts, although nobody died of any.
    if (isAlive) acquit(this.#spans)
    return expired
  }

  /** When the next lease or delay ends; `null` if none does. */
  nextTime(now: number): number | null {
    return nextTimeOf(this.#spans, now)
  }

  /** The lowest messages that are to be handed out again by now, and those that begin within so many positions behind the first of them. */
  due(now: number, within: number): readonly DueRange[] {
    return dueRanges(this.#spans, now, within)
  }

  /** Takes the lowest exhausted message to be buried; `null` if there is none. Its burial ends with {@link buried} or {@link unburied}. */
  bury(): ExhaustedMessage | null {
    if (this.#spans.count('exhausted') === 0) return null
    for (const { state, start } of this.#spans) {
      if (state !== 'exhausted') continue
      const span = this.#spans.cut(start, start + 1)
      this.#spans.set(span, 'burying')
      return { position: start, attempts: span.attempts, reason: span.reason }
    }
    return null
  }

  /** A message is in the dead-letter channel: it counts as accepted. */
  buried(position: number): void {
    this.#spans.forEach('burying', (span) => {
      if (span.start === position) this.#settle(span)
    })
  }

  /** A message could not be buried: it is exhausted as before, unless the owner that there is now takes more attempts. */
  unburied(position: number): void {
    this.#spans.forEach('burying', (span) => {
      if (span.start === position) this.#fail(span, span.reason, AT_ONCE)
    })
  }

  /**
   * Messages below a position are not in the log any more: those that nobody has count as accepted. Those that the owner has it can still accept.
   *
   * @returns how many were lost by it.
   */
  skipTo(position: number): number {
    let skipped = 0
    for (let index = 0; index < this.#spans.length && this.#spans.at(index).start < position; index++) {
      const { state, start, end } = this.#spans.at(index)
      if (state !== 'waiting' && state !== 'exhausted') continue
      const own = this.#spans.isolate(index, start, Math.min(end, position))
      skipped += this.#settle(this.#spans.at(own))
    }
    if (this.#top < position) {
      skipped += position - this.#top
      this.#append(position - this.#top, 'accepted', 0)
    }
    this.#spans.tidy()
    return skipped
  }

  #append(count: number, state: SpanState, attempts: number): Span {
    const span = this.#spans.append(this.#top, count, state, attempts)
    this.#top += count
    return span
  }

  /** Accepted by the owner. @returns how many messages. */
  #accept(span: Span): number {
    span.suspect = false
    return this.#terms.commitsExplicitly ? this.#spans.set(span, 'done') : this.#settle(span)
  }

  #settle(span: Span): number {
    span.attempts = 0
    span.suspect = false
    return this.#spans.set(span, 'accepted')
  }

  /** The messages of the first span up to a position are accepted: the plain case, without a new span. */
  #acceptFirst(span: Span, end: number): number {
    const count = end - span.start
    this.#spans.shorten(span, end)
    this.#spans.trim()
    return count
  }

  #fail(span: Span, reason: string, at: number): void {
    const { maxAttempts } = this.#terms
    const exhausted = maxAttempts !== null && span.attempts >= maxAttempts
    this.#spans.set(span, exhausted ? 'exhausted' : 'waiting')
    span.at = at
    span.reason = exhausted ? reason : ''
  }

  /** An attempt failed, and its owner lives. */
  #answer(span: Span, reason: string, at: number): void {
    span.suspect = false
    this.#fail(span, reason, at)
  }
}
