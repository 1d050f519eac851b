import { checkLease, type WorkContext } from '../bus/index.ts'
import { type CausalContext, NO_CAUSE } from '../protocol/index.ts'
import type { InboundPush } from './inbound-push.ts'

/** What a worker knows about its work: what the server said, and where it said nothing, what can be said without it. */
export class PushedWorkContext implements WorkContext {
  readonly #push: InboundPush
  readonly #taskQueue: string

  constructor(push: InboundPush, taskQueue: string) {
    this.#push = push
    this.#taskQueue = taskQueue
  }

  get subject(): string {
    return this.#push.work?.subject ?? this.#taskQueue
  }

  get conversationId(): bigint {
    return BigInt(this.#push.work?.conversation ?? 0)
  }

  get attempt(): number {
    return this.#push.work?.attempt ?? 1
  }

  get key(): string | null {
    return this.#push.work?.key ?? null
  }

  get deadline(): number | null {
    return this.#push.work?.deadline ?? null
  }

  get causal(): CausalContext {
    const { work } = this.#push
    if (work === null) return NO_CAUSE
    const { parentId, vectorClockEntry } = work
    return { parentId, vectorClockEntry: vectorClockEntry === null ? null : BigInt(vectorClockEntry) }
  }

  get signal(): AbortSignal {
    return this.#push.signal
  }

  get leaseExpiresAt(): number | null {
    return this.#push.leaseExpiresAt
  }

  extend(milliseconds?: number): void {
    if (milliseconds !== undefined) checkLease(milliseconds)
    this.#push.extend(milliseconds ?? null)
  }
}
