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
  /** `waiting`, `exhausted`: the owner handed them back itself. */
  handedBack: boolean
  /** `exhausted`, `burying`: why the last attempt failed. */
  reason: string
}

/** Spans in order and without gaps: each begins where the one before it ends. */
export class SpanList {
  #spans: Span[] = []

  get length(): number {
    return this.#spans.length
  }

  at(index: number): Span {
    return this.#spans[index]
  }

  get last(): Span | undefined {
    return this.#spans[this.#spans.length - 1]
  }

  push(span: Span): void {
    this.#spans.push(span)
  }

  pop(): void {
    this.#spans.pop()
  }

  clear(): void {
    this.#spans = []
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

  /** Drops the spans before `index`. */
  dropBefore(index: number): void {
    if (index === 1) this.#spans.shift()
    else if (index > 0) this.#spans.splice(0, index)
  }
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
    left.handedBack === right.handedBack &&
    left.reason === right.reason
  )
}
