/**
 * What became of positions that were handed out. `out`: the owner has them, and has not answered. `waiting`: they are to be handed out again. `exhausted`: they were handed out as often as they
 * may be, and are to go to the dead-letter channel. `burying`: the one that is on its way there. `done`: accepted, but not to be written down before the owner says so. `accepted`: accepted.
 */
export type SpanState = 'out' | 'waiting' | 'exhausted' | 'burying' | 'done' | 'accepted'

/** Consecutive positions that have the same fate. */
export interface Span {
  start: number
  /** Behind the last one. */
  end: number
  state: SpanState
  /** How often they were handed out; 0 once they are accepted. */
  attempts: number
  /** On the clock of `performance.now()`. `out`: when the lease ends. `waiting`: when they may be handed out again. */
  at: number
  /** `out`: when the first of them was handed out. */
  since: number
  /** The stretch in which they were last handed out to this owner, and the first one; 0: not to this owner. See DeliveryTracker. */
  order: number
  firstOrder: number
  /** Since which stretch the owner has them, or had them until a lease ended, and did not hand them back; 0: it does not. */
  keptSince: number
  /** `waiting`, `exhausted`: the owner handed them back itself. */
  handedBack: boolean
  /** `out`, `waiting`: the owner had them when it died, or the bus did. One of them may be why. */
  suspect: boolean
  /** `exhausted`, `burying`: why the last attempt failed. */
  reason: string
}

/** When the lease ends of what was handed out and has not reached the target yet. */
export const NOT_DELIVERED = Number.POSITIVE_INFINITY
/** When it ends of what waits at the target, and was not seen by the owner yet, or never will be. */
export const NOT_SEEN = Number.MAX_VALUE

/** Spans in order and without gaps: each begins where the one before it ends. */
export class SpanList {
  #spans: Span[] = []
  /** Messages in each state. */
  readonly #counts: Record<SpanState, number> = { out: 0, waiting: 0, exhausted: 0, burying: 0, done: 0, accepted: 0 }

  get length(): number {
    return this.#spans.length
  }

  at(index: number): Span {
    return this.#spans[index]
  }

  get last(): Span | undefined {
    return this.#spans[this.#spans.length - 1]
  }

  /** How many messages are in a state. */
  count(state: SpanState): number {
    return this.#counts[state]
  }

  /** Adds a span behind the last one. */
  append(start: number, count: number, state: SpanState, attempts: number): Span {
    const end = start + count
    const span: Span = { start, end, state, attempts, ...UNTOUCHED }
    this.#spans.push(span)
    this.#counts[state] += count
    return span
  }

  /** Makes the last span longer. */
  lengthen(span: Span, count: number): void {
    span.end += count
    this.#counts[span.state] += count
  }

  /** Takes the messages before a position from the first span, or all of it. */
  shorten(span: Span, end: number): void {
    this.#counts[span.state] -= end - span.start
    span.start = end
    if (span.start === span.end) this.#spans.shift()
  }

  /** Takes the last span away. */
  drop(span: Span): void {
    this.#counts[span.state] -= span.end - span.start
    this.#spans.pop()
  }

  /** @returns how many messages changed their state. */
  set(span: Span, state: SpanState): number {
    const count = span.end - span.start
    this.#counts[span.state] -= count
    this.#counts[state] += count
    span.state = state
    return count
  }

  /** Does something with each span of a state, and joins what is alike afterwards. */
  forEach(state: SpanState, change: (span: Span) => void): void {
    if (this.#counts[state] === 0) return
    for (const span of this.#spans) if (span.state === state) change(span)
    this.tidy()
  }

  [Symbol.iterator](): IterableIterator<Span> {
    return this.#spans[Symbol.iterator]()
  }

  /** The index of the span that has a position; -1 if none has. */
  find(position: number): number {
    const spans = this.#spans
    if (spans.length === 0 || position < spans[0].start || position >= spans[spans.length - 1].end) return -1
    let low = 0
    let high = spans.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (spans[middle].start <= position) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Makes positions `start` to `end` (not included), which lie in the span at `index`, a span of their own, and returns its index. */
  isolate(index: number, start: number, end: number): number {
    const span = this.#spans[index]
    if (end < span.end) {
      this.#spans.splice(index + 1, 0, { ...span, start: end })
      span.end = end
    }
    if (start === span.start) return index
    this.#spans.splice(index + 1, 0, { ...span, start })
    span.end = start
    return index + 1
  }

  /** Makes positions `start` to `end` (not included), which lie in one span, a span of their own. */
  cut(start: number, end: number): Span {
    return this.#spans[this.isolate(this.find(start), start, end)]
  }

  /** Joins the spans at `from` to `to` (included) with their neighbours where they have the same fate, and forgets what is accepted at the front. */
  tidy(from = 0, to = this.#spans.length - 1): void {
    this.join(from, to)
    this.trim()
  }

  /** Forgets what is accepted at the front. */
  trim(): void {
    const first = this.#spans[0]
    if (first === undefined || first.state !== 'accepted') return
    this.#counts.accepted -= first.end - first.start
    this.#spans.shift()
  }

  /** Joins the spans at `from` to `to` (included) with their neighbours where they have the same fate. */
  join(from: number, to: number): void {
    const spans = this.#spans
    const first = Math.max(0, from - 1)
    const last = Math.min(spans.length - 1, to + 1)
    let kept = first
    for (let index = first + 1; index <= last; index++) {
      const span = spans[index]
      if (alike(spans[kept], span)) spans[kept].end = span.end
      else spans[++kept] = span
    }
    if (kept < last) spans.splice(kept + 1, last - kept)
  }
}

/** What a span is that nobody has touched. */
const UNTOUCHED = {
  at: Number.NEGATIVE_INFINITY,
  since: 0,
  order: 0,
  firstOrder: 0,
  keptSince: 0,
  handedBack: false,
  suspect: false,
  reason: '',
}

function alike(left: Span, right: Span): boolean {
  if (left.state !== right.state) return false
  if (left.state === 'accepted') return true
  if (left.attempts !== right.attempts) return false
  if (left.state === 'done') return true
  return (
    left.at === right.at &&
    left.order === right.order &&
    left.firstOrder === right.firstOrder &&
    left.keptSince === right.keptSince &&
    left.handedBack === right.handedBack &&
    left.suspect === right.suspect &&
    left.reason === right.reason
  )
}

/** Whether the owner accepted it, written down or not. */
export function isAccepted({ state }: Span): boolean {
  return state === 'accepted' || state === 'done'
}

/** Whether it was handed out and has not reached the target yet. */
export function isDeferred({ state, at }: Span): boolean {
  return state === 'out' && at === NOT_DELIVERED
}

/** Whether it was handed out and the owner has not seen it yet: it has no lease. */
export function isUnseen({ state, at }: Span): boolean {
  return state === 'out' && at >= NOT_SEEN
}

/** Whether a cumulative acceptance means it too: the owner has it, or had it until its lease ended. */
export function isAnswerable({ state, handedBack }: Span): boolean {
  return state === 'out' || (!handedBack && (state === 'waiting' || state === 'exhausted' || state === 'burying'))
}

/** Whether the owner had it until its lease ended, and it is not on its way anywhere yet. */
export function isLapsed({ state, handedBack, order }: Span): boolean {
  return (state === 'waiting' || state === 'exhausted') && !handedBack && order > 0
}

/** Whether the owner has seen it and not answered: it may be at work on it, also where the lease has ended. */
export function isInHand(span: Span): boolean {
  return span.state === 'out' ? !isUnseen(span) : isLapsed(span)
}

/** Whether something is to be handed out, or is out, that may have been the end of an owner. */
export function hasSuspects(spans: SpanList): boolean {
  for (const { suspect, state } of spans) if (suspect && (state === 'out' || state === 'waiting')) return true
  return false
}

/** Nothing is suspect any more. */
export function acquit(spans: SpanList): void {
  for (const span of spans) span.suspect = false
  spans.tidy()
}

/** The first position that is not accepted, written down or not; `null` if all are. */
export function firstUnaccepted(spans: SpanList): number | null {
  for (const span of spans) if (!isAccepted(span)) return span.start
  return null
}
