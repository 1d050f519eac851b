/** Marks in a window: what is forgotten is forgotten at most so much of the window too late. */
const MARKS = 64

interface Mark {
  readonly before: bigint
  /** Times of the first and the last of its events. */
  readonly from: number
  readonly to: number
}

/** How far a stream is out of date, told by the time that its events were written by, which no clock can turn back. */
export class TimeMarks {
  readonly #windowMs: number
  #marks: Mark[] = []

  /** @param windowMs How long events count. */
  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** The events before this sequence, as far as no earlier mark has them, are of this time. */
  add(before: bigint, at: number): void {
    const last = this.#marks.at(-1)
    // Close ones are one, of the later time.
    if (last !== undefined && at - last.from < this.#windowMs / MARKS) {
      this.#marks[this.#marks.length - 1] = { before, from: last.from, to: Math.max(at, last.to) }
    } else {
      this.#marks.push({ before, from: at, to: at })
    }
  }

  /** The sequence before which nothing counts any more; `null` if everything does. */
  passed(now: number): bigint | null {
    let before: bigint | null = null
    for (const mark of this.#marks) {
      if (mark.to + this.#windowMs > now) break
      before = mark.before
    }
    return before
  }

  /** What is before this sequence is gone. */
  forget(before: bigint): void {
    this.#marks = this.#marks.filter((mark) => mark.before > before)
  }
}
