/**
 * Numbers what is handed out to one owner: hand-outs that follow each other by position are one stretch, and anything else begins another. "Handed out before" is not "below" once something was
 * handed out again.
 */
export class HandOutOrder {
  #stretch = 0
  /** Where the last hand-out ended; -1: what comes next begins a stretch. */
  #end = -1
  /** The end of the highest hand-out to this owner, and whether a lower one came after it. */
  #reached = 0
  #disordered = false

  /** Whether something was handed out after what lies behind it. */
  get disordered(): boolean {
    return this.#disordered
  }

  /** The stretch of what is handed out now. */
  next(start: number, end: number): number {
    if (start !== this.#end) this.#stretch++
    this.#end = end
    if (start < this.#reached) this.#disordered = true
    else this.#reached = end
    return this.#stretch
  }

  /** Another owner. */
  reset(): void {
    this.#end = -1
    this.#reached = 0
    this.#disordered = false
  }
}
