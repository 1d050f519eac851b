import { Deque } from '../deque.ts'

/** Consecutive deliveries that were sent one behind the other, with the same flags. */
export interface Span {
  /** The number of the first. */
  readonly sequence: number
  readonly count: number
  readonly flags: number
}

interface Sent extends Span {
  sequence: number
  count: number
  /** How many deliveries were sent before the first of them; the others follow it. */
  order: number
  /** It was handed back: it takes no room, and is here to be found by what is accepted up to it. */
  readonly answered: boolean
}

/** Handed back deliveries that are remembered, in spans: behind one that nobody answers there may be any number. */
const MOST_ANSWERED = 4_096

/**
 * Deliveries of a log that were sent and not answered. Their numbers are positions: they may jump, and step back when something is sent again, which its flags tell apart. What has the same flags is
 * kept by number, so that an answer finds its delivery, or that it is not there, in few steps however scattered the answers are: 1,000 answers to nothing blocked a server for seconds
 * where they looked at all of 65,536 spans.
 */
export class SentSpans {
  readonly #byFlags = new Map<number, Sent[]>()
  /** What the peer's subscriber is not known to have, in the order in which it was sent. */
  readonly #untaken: Deque<Sent> | null
  #order = 0
  #outstanding = 0
  #answered = 0

  /** @param tellsTaken Whether the peer says what its subscriber has: {@link taken} is for nobody else. */
  constructor(tellsTaken = false) {
    this.#untaken = tellsTaken ? new Deque() : null
  }

  /** Deliveries without an answer. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** `count` deliveries were sent, numbered from `sequence` on. */
  sent(sequence: number, count: number, flags: number): void {
    const order = this.#order
    this.#order += count
    this.#outstanding += count
    if (this.#untaken !== null) extendOrPush(this.#untaken, { sequence, count, flags, order, answered: false })
    const spans = this.#byFlags.get(flags)
    if (spans === undefined) {
      this.#byFlags.set(flags, [{ sequence, count, flags, order, answered: false }])
      return
    }
    const last = spans[spans.length - 1]
    if (follows(last, { sequence, flags, order })) last.count += count
    else if (last.sequence + last.count <= sequence) spans.push({ sequence, count, flags, order, answered: false })
    else this.#insert(spans, { sequence, count, flags, order, answered: false })
  }

  /**
   * The peer's subscriber has a delivery, and all that were sent before it: it gets them in this order. Returns those that it was not known to have; nothing if it was known, or the delivery is not
   * there.
   */
  taken(sequence: number, flags: number): readonly Span[] {
    const untaken = this.#untaken
    const found = this.#find(sequence, flags)
    if (found === null || untaken === null) return []
    const through = found.span.order + (sequence - found.span.sequence)
    const newly: Span[] = []
    for (let first = untaken.at(0); first !== undefined && first.order <= through; first = untaken.at(0)) {
      const count = Math.min(first.count, through - first.order + 1)
      newly.push({ sequence: first.sequence, count, flags: first.flags })
      if (count === first.count) untaken.shift()
      else skip(first, count)
    }
    return newly
  }

  /** Takes out a delivery and all that were sent before it; nothing if it is not there. Returns those without an answer, in the order in which they were sent. */
  takeThrough(sequence: number, flags: number): readonly Span[] {
    const found = this.#find(sequence, flags)
    if (found === null) return []
    const through = found.span.order + (sequence - found.span.sequence)
    const taken: Sent[] = []
    for (const [own, spans] of this.#byFlags) {
      const kept: Sent[] = []
      for (const span of spans) {
        const count = Math.min(span.count, through - span.order + 1)
        if (count > 0) taken.push({ ...span, count })
        if (count < span.count) {
          if (count > 0) skip(span, count)
          kept.push(span)
        }
      }
      this.#keep(own, kept)
    }
    taken.sort((left, right) => left.order - right.order)
    const unanswered = taken.filter(({ answered }) => !answered)
    this.#answered -= taken.length - unanswered.length
    for (const span of unanswered) this.#outstanding -= span.count
    return unanswered.map(({ sequence: first, count, flags: its }) => ({ sequence: first, count, flags: its }))
  }

  /**
   * Takes out one delivery. Returns whether it was there without an answer.
   * @param keep whether it is remembered for what is accepted up to it.
   */
  takeOne(sequence: number, flags: number, keep: boolean): boolean {
    const found = this.#find(sequence, flags)
    if (found === null || found.span.answered) return false
    const { spans, index, span } = found
    const before = sequence - span.sequence
    const parts: Sent[] = []
    if (before > 0) parts.push({ ...span, count: before })
    if (keep) parts.push({ sequence, count: 1, flags, order: span.order + before, answered: true })
    if (span.count > before + 1) {
      const rest = { ...span }
      skip(rest, before + 1)
      parts.push(rest)
    }
    spans.splice(index, 1, ...parts)
    if (spans.length === 0) this.#byFlags.delete(flags)
    this.#outstanding--
    if (keep) this.#answered++
    if (this.#outstanding === 0 || this.#answered > MOST_ANSWERED) this.#forgetAnswered()
    return true
  }

  /** Whether a delivery was sent and has no answer. */
  has(sequence: number, flags: number): boolean {
    return this.#find(sequence, flags)?.span.answered === false
  }

  clear(): void {
    this.#byFlags.clear()
    this.#untaken?.clear()
    this.#outstanding = 0
    this.#answered = 0
  }

  #find(
    sequence: number,
    flags: number,
  ): { readonly spans: Sent[]; readonly index: number; readonly span: Sent } | null {
    const spans = this.#byFlags.get(flags)
    if (spans === undefined) return null
    const index = firstEndingBehind(spans, sequence)
    const span = spans[index]
    return span !== undefined && span.sequence <= sequence ? { spans, index, span } : null
  }

  /** Sent again, behind others with the same flags. Flags end at 255: there what is sent again takes the place of what was sent before. */
  #insert(_spans: Sent[], span: Sent): void {
    for (let sequence = span.sequence; sequence < span.sequence + span.count; sequence++) {
      if (this.#find(sequence, span.flags)?.span.answered === false) this.takeOne(sequence, span.flags, false)
    }
    const own = this.#byFlags.get(span.flags) ?? []
    this.#byFlags.set(span.flags, own)
    const index = firstEndingBehind(own, span.sequence)
    const behind = firstEndingBehind(own, span.sequence + span.count - 1)
    const covered = own[behind]?.sequence <= span.sequence + span.count - 1 ? behind + 1 - index : behind - index
    this.#answered -= covered
    own.splice(index, covered, span)
  }

  #forgetAnswered(): void {
    for (const [flags, spans] of this.#byFlags) {
      this.#keep(
        flags,
        spans.filter(({ answered }) => !answered),
      )
    }
    this.#answered = 0
  }

  #keep(flags: number, spans: Sent[]): void {
    if (spans.length === 0) this.#byFlags.delete(flags)
    else this.#byFlags.set(flags, spans)
  }
}

function follows(last: Sent, { sequence, flags, order }: Pick<Sent, 'sequence' | 'flags' | 'order'>): boolean {
  const isNext = last.sequence + last.count === sequence && last.order + last.count === order
  return isNext && last.flags === flags && !last.answered
}

function extendOrPush(spans: Deque<Sent>, span: Sent): void {
  const last = spans.at(spans.size - 1)
  if (last !== undefined && follows(last, span)) last.count += span.count
  else spans.push(span)
}

/** Leaves the first `count` deliveries of a span out. */
function skip(span: Sent, count: number): void {
  span.sequence += count
  span.order += count
  span.count -= count
}

/** The index of the first span that goes beyond a number; their count if none does. */
function firstEndingBehind(spans: readonly Sent[], sequence: number): number {
  let [low, high] = [0, spans.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (spans[middle].sequence + spans[middle].count <= sequence) low = middle + 1
    else high = middle
  }
  return low
}
