/** Consecutive deliveries that were sent one behind the other, with the same flags. */
export interface Span {
  /** The number of the first. */
  readonly sequence: number
  readonly count: number
  readonly flags: number
}

interface Sent {
  sequence: number
  count: number
  readonly flags: number
  /** It was handed back: it takes no room, and is here to be found by what is accepted up to it. */
  readonly answered: boolean
  /** The peer said that its subscriber has it. */
  readonly taken: boolean
}

/** Handed back deliveries that are remembered, in spans: behind one that nobody answers there may be any number. */
const MOST_ANSWERED = 4_096

/**
 * Deliveries of a log that were sent and not answered, in the order in which they were sent. Their numbers are positions: they may jump, and step back when something is sent again, which its flags
 * tell apart. Few spans in a plain run of things, so they are searched from the oldest on.
 */
export class SentSpans {
  #spans: Sent[] = []
  #outstanding = 0
  #answered = 0

  /** Deliveries without an answer. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** `count` deliveries were sent, numbered from `sequence` on. */
  sent(sequence: number, count: number, flags: number): void {
    this.#outstanding += count
    const last = this.#spans.at(-1)
    const goesOn = last !== undefined && !last.answered && !last.taken && last.flags === flags
    if (goesOn && last.sequence + last.count === sequence) last.count += count
    else this.#spans.push({ sequence, count, flags, answered: false, taken: false })
  }

  /** The peer's subscriber has a delivery, and all that were sent before it; nothing if it is not there. Returns those that it was not known to have, and did not answer. */
  taken(sequence: number, flags: number): readonly Span[] {
    const index = this.#find(sequence, flags, false)
    if (index < 0 || this.#spans[index].taken) return []
    let first = index
    // All before one that was taken are: they are taken in order.
    while (first > 0 && !this.#spans[first - 1].taken) first--
    const last = this.#spans[index]
    const count = sequence - last.sequence + 1
    const newly = [...this.#spans.slice(first, index), { ...last, count }].map((span) => ({ ...span, taken: true }))
    const rest = count < last.count ? [{ ...last, sequence: sequence + 1, count: last.count - count }] : []
    const before = this.#spans[first - 1]
    const [next, ...others] = newly
    const joins = before !== undefined && !before.answered && !next.answered && before.flags === next.flags
    // One by one is how many are taken, and they are not to be a span each.
    if (joins && before.sequence + before.count === next.sequence) {
      before.count += next.count
      this.#spans.splice(first, index - first + 1, ...others, ...rest)
    } else {
      this.#spans.splice(first, index - first + 1, ...newly.map((span) => ({ ...span })), ...rest)
    }
    return newly.filter(({ answered }) => !answered)
  }

  /** Takes out a delivery and all that were sent before it; nothing if it is not there. Returns those without an answer. */
  takeThrough(sequence: number, flags: number): readonly Span[] {
    const unansweredAt = this.#find(sequence, flags, false)
    const index = unansweredAt < 0 ? this.#find(sequence, flags, true) : unansweredAt
    if (index < 0) return []
    const taken = this.#spans.slice(0, index)
    const last = this.#spans[index]
    const count = sequence - last.sequence + 1
    taken.push({ ...last, count })
    if (count === last.count) this.#spans.splice(0, index + 1)
    else {
      this.#spans.splice(0, index)
      last.sequence += count
      last.count -= count
    }
    this.#answered -= taken.filter(({ answered }) => answered).length
    const unanswered = taken.filter(({ answered }) => !answered)
    for (const span of unanswered) this.#outstanding -= span.count
    this.#trim()
    return unanswered
  }

  /**
   * Takes out one delivery. Returns whether it was there without an answer.
   * @param keep whether it is remembered for what is accepted up to it.
   */
  takeOne(sequence: number, flags: number, keep: boolean): boolean {
    const index = this.#find(sequence, flags, false)
    if (index < 0) return false
    const span = this.#spans[index]
    const parts: Sent[] = []
    const before = sequence - span.sequence
    const after = span.count - before - 1
    if (before > 0) parts.push({ ...span, count: before })
    if (keep) parts.push({ ...span, sequence, count: 1, answered: true })
    if (after > 0) parts.push({ ...span, sequence: sequence + 1, count: after })
    this.#spans.splice(index, 1, ...parts)
    this.#outstanding--
    if (keep) this.#answered++
    this.#trim()
    return true
  }

  /** Whether a delivery was sent and has no answer. */
  has(sequence: number, flags: number): boolean {
    return this.#find(sequence, flags, false) >= 0
  }

  clear(): void {
    this.#spans = []
    this.#outstanding = 0
    this.#answered = 0
  }

  /** Flags end at 255: a number may be here several times with those. */
  #find(sequence: number, flags: number, answered: boolean): number {
    return this.#spans.findIndex(
      (span) =>
        span.flags === flags &&
        span.answered === answered &&
        sequence >= span.sequence &&
        sequence < span.sequence + span.count,
    )
  }

  /** Forgets what was handed back where nothing is before it that could be accepted up to it, and where it is too much. */
  #trim(): void {
    let leading = 0
    while (this.#spans[leading]?.answered === true) leading++
    if (leading > 0) this.#spans.splice(0, leading)
    this.#answered -= leading
    if (this.#answered <= MOST_ANSWERED) return
    this.#spans = this.#spans.filter(({ answered }) => !answered)
    this.#answered = 0
  }
}
