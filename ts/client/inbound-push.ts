import { LiminalError } from '../errors.ts'
import type { Encoded } from '../payload-text.ts'
import type { WorkHead } from '../protocol/index.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import type { InboundPushes } from './inbound-pushes.ts'

/** Who takes a push: a worker, or a handler of plain ones. */
export interface PushTaker {
  /** @param payload good for this call. Must not throw. */
  take(push: InboundPush, payload: Uint8Array): void
  /** One that was given to it is settled. */
  settled?(push: InboundPush): void
}

/** One pushed message that is being worked on here: settled once, by its taker or by whoever finds that its answer is of no use any more. */
export class InboundPush {
  /** Its correlation id. */
  readonly key: number | bigint
  /** What the server says of it; `null` if that is nothing. */
  readonly work: WorkHead | null
  readonly taker: PushTaker
  readonly #pushes: InboundPushes
  #controller: AbortController | null = null
  #abandoned: LiminalError | null = null
  #timer: NodeJS.Timeout | null = null
  #leaseExpiresAt: number | null = null

  constructor(pushes: InboundPushes, key: number | bigint, work: WorkHead | null, taker: PushTaker) {
    this.#pushes = pushes
    this.key = key
    this.work = work
    this.taker = taker
    const leaseMs = work?.leaseMs ?? null
    if (leaseMs !== null) this.#lease(leaseMs)
  }

  /** Aborted when the answer is of no use any more. Made when it is first looked at. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#abandoned !== null) this.#controller.abort(this.#abandoned)
    }
    return this.#controller.signal
  }

  /** Milliseconds since the epoch; `null` without a lease. */
  get leaseExpiresAt(): number | null {
    return this.#leaseExpiresAt
  }

  /** Takes the lease anew: `milliseconds` from now, by default what it began with. @throws LiminalError `OUTBOX_FULL`. */
  extend(milliseconds: number | null): void {
    const leaseMs = milliseconds ?? this.work?.leaseMs ?? null
    if (this.#leaseExpiresAt === null || leaseMs === null || !this.#pushes.holds(this)) return
    this.#pushes.extend(this, leaseMs)
    this.#lease(leaseMs)
  }

  reply(payload: Encoded): void {
    this.#pushes.reply(this, payload)
  }

  fail(error: LiminalError): void {
    this.#pushes.fail(this, error)
  }

  /** Gives it to another worker. @param why as a sentence. */
  handBack(why: string): void {
    this.#pushes.handBack(this, why)
  }

  /** Nobody wants the answer any more, and this is why. Settled already. */
  abandon(error: LiminalError): void {
    this.#abandoned = error
    this.#controller?.abort(error)
  }

  /** It is settled. */
  over(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.taker.settled?.(this)
  }

  #lease(milliseconds: number): void {
    this.#leaseExpiresAt = Date.now() + milliseconds
    this.#wait(milliseconds)
  }

  /** In spans that a timer keeps. */
  #wait(milliseconds: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const span = Math.min(milliseconds, MAX_TIMEOUT_MS)
    this.#timer = setTimeout(() => {
      if (milliseconds > span) this.#wait(milliseconds - span)
      else this.#expired()
    }, span)
    // The socket keeps the process alive, not the look at the lease.
    this.#timer.unref()
  }

  #expired(): void {
    const message = 'The lease ran out before the work was answered or extended: the message goes to another worker.'
    this.#pushes.abandon(this, new LiminalError('TIMEOUT', message))
  }
}
