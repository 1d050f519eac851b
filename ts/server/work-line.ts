import type { LiminalError } from '../errors.ts'
import type { Output } from './output.ts'

/** A message for a worker that found no room on its connection. */
export interface UnsentWork {
  /** There may be room. Returns whether it need not wait any more. */
  retry(): boolean
  /** It is not sent any more: another worker may have it. */
  giveBack(error: LiminalError): void
}

/**
 * Messages of one worker that wait for room on its connection, in order: a burst within its capacity is late, not lost to a worker that reads. There are never more of them
 * than the worker takes at once.
 */
export class WorkLine {
  readonly #output: Output
  readonly #unsent = new Set<UnsentWork>()
  #isWatching = false

  constructor(output: Output) {
    this.#output = output
  }

  get isWaiting(): boolean {
    return this.#unsent.size > 0
  }

  wait(work: UnsentWork): void {
    this.#unsent.add(work)
    this.#watch()
  }

  /** Nobody waits for it any more. */
  leave(work: UnsentWork): void {
    this.#unsent.delete(work)
  }

  giveBack(error: LiminalError): void {
    const unsent = [...this.#unsent]
    this.#unsent.clear()
    for (const work of unsent) work.giveBack(error)
  }

  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    this.#output.whenDrained(() => {
      this.#isWatching = false
      for (const work of this.#unsent) {
        if (!work.retry()) {
          this.#watch()
          return
        }
        this.#unsent.delete(work)
      }
    })
  }
}
