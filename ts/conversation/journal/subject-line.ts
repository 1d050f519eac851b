import type { DurableRequest } from './durable-request.ts'

/** Requests that had to wait, underway at once: 10,000 that come back after a restart do not fall upon one responder together. */
const MOST_UNDERWAY = 512

/** The requests that wait for somebody to answer their subject, in the order in which they came. */
export class SubjectLine {
  readonly #isAnswered: () => boolean
  readonly #waiting = new Set<DurableRequest>()
  readonly #underway = new Set<DurableRequest>()
  #isAdvancing = false

  constructor(isAnswered: () => boolean) {
    this.#isAnswered = isAnswered
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0 && this.#underway.size === 0
  }

  add(request: DurableRequest): void {
    this.#underway.delete(request)
    this.#waiting.add(request)
  }

  /** It waits no more, and is not underway any more. */
  remove(request: DurableRequest): void {
    this.#waiting.delete(request)
    if (this.#underway.delete(request)) this.advance()
  }

  /** Lets as many go as may, if there is somebody who answers. */
  advance(): void {
    // Whoever goes may come back at once.
    if (this.#isAdvancing) return
    this.#isAdvancing = true
    try {
      for (const request of this.#waiting) {
        if (this.#underway.size >= MOST_UNDERWAY || !this.#isAnswered()) return
        this.#waiting.delete(request)
        this.#underway.add(request)
        request.go()
      }
    } finally {
      this.#isAdvancing = false
    }
  }
}
