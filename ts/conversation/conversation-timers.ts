import { LiminalError } from '../errors.ts'
import { timeoutError } from '../waiting.ts'
import type { ConversationTerms } from './conversation-terms.ts'

/** The timers of a conversation that was opened at a time, `null` if its terms set no time. @param expired told of the first that is reached. */
export function timersOf(
  subject: string,
  terms: ConversationTerms,
  openedAt: number,
  expired: (error: LiminalError) => void,
): ConversationTimers | null {
  const { deadlineMs, idleTimeoutMs } = terms
  if (deadlineMs === undefined && idleTimeoutMs === undefined) return null
  return new ConversationTimers(`The conversation with '${subject}'`, deadlineMs, idleTimeoutMs, openedAt, expired)
}

/** Ends a conversation that takes too long, or in which nothing happens for too long. */
export class ConversationTimers {
  #deadline: NodeJS.Timeout | null = null
  #idle: NodeJS.Timeout | null = null

  constructor(
    what: string,
    deadlineMs: number | undefined,
    idleTimeoutMs: number | undefined,
    openedAt: number,
    expired: (error: LiminalError) => void,
  ) {
    if (deadlineMs !== undefined) {
      const leftMs = Math.max(0, openedAt + deadlineMs - performance.now())
      this.#deadline = setTimeout(() => expired(timeoutError(deadlineMs, what)), leftMs)
    }
    if (idleTimeoutMs !== undefined) {
      const idle = (): void => expired(new LiminalError('TIMEOUT', `${what} was idle for ${idleTimeoutMs} ms.`))
      this.#idle = setTimeout(idle, idleTimeoutMs)
    }
  }

  /** Something happened. Without effect once they are stopped. */
  active(): void {
    this.#idle?.refresh()
  }

  stop(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline)
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#deadline = null
    this.#idle = null
  }
}
