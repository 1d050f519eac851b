import { onAbort } from '../abort-watch.ts'
import type { ErrorCode } from '../errors.ts'
import { asSentence } from '../thrown.ts'
import type { DeliveryContext } from './consumer.ts'
import { DispatchError, type DispatchOutcome, type Reroute } from './dispatch-outcome.ts'
import { Link } from './linked-list.ts'
import type { Member } from './member.ts'

/** How one message is dispatched. */
export interface DispatchOptions {
  /** What affinity goes by. Default: none. */
  readonly key?: string | undefined
  /** Milliseconds for the whole dispatch until `TIMEOUT`. What its consumer answers later is refused. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** Ends the dispatch with `ABORTED`, its cause the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** What happens if no consumer can take it now: wait in the group's queue, or fail with `NO_RESPONDER`. Default: `wait`. */
  readonly whenUnavailable?: 'wait' | 'fail' | undefined
  /** Milliseconds that it may wait for a consumer at a stretch, until `TIMEOUT`. Default: 30,000. */
  readonly waitMs?: number | undefined
  /** Consumers that may be tried, the first included; 1 never re-routes. Default: 3, so that a message that kills its consumers does not kill them all. */
  readonly maxAttempts?: number | undefined
}

/** The options of a dispatch with their defaults filled in. */
export interface DispatchTerms {
  readonly key: string | null
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal | undefined
  readonly whenUnavailable: 'wait' | 'fail'
  readonly waitMs: number
  readonly maxAttempts: number
}

/**
 * A delivery to one consumer. `open`: its answer is wanted. `abandoned`: it is not wanted any more, but the consumer is at it and keeps its place. `over`: it was answered, or
 * its consumer has ended.
 */
export type AttemptState = 'open' | 'abandoned' | 'over'

/** One delivery of a message to one consumer, and what that consumer is told. */
export class Attempt implements DeliveryContext {
  readonly dispatch: Dispatch
  readonly member: Member
  readonly group: string
  readonly attempt: number
  readonly deliveredAt: number
  /** Its place among those of the member. */
  readonly link: Link<Attempt> = new Link<Attempt>(this)
  state: AttemptState = 'open'
  #controller: AbortController | null = null
  #listener: ((reason: unknown) => void) | null = null
  #reason: unknown

  constructor(dispatch: Dispatch, member: Member, deliveredAt: number) {
    this.dispatch = dispatch
    this.member = member
    this.group = dispatch.group
    this.attempt = dispatch.attempts
    this.deliveredAt = deliveredAt
  }

  get key(): string | null {
    return this.dispatch.terms.key
  }

  get deadline(): number | null {
    const { timeoutMs } = this.dispatch.terms
    return timeoutMs === undefined ? null : performance.timeOrigin + this.dispatch.startedAt + timeoutMs
  }

  /** Made when asked for: most consumers never look. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.state === 'abandoned') this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  onAbandoned(listener: (reason: unknown) => void): void {
    this.#listener = listener
    if (this.state === 'abandoned') listener(this.#reason)
  }

  /** The answer is not wanted any more. */
  abandon(reason: unknown): void {
    if (this.state !== 'open') return
    this.state = 'abandoned'
    this.#reason = reason
    this.#controller?.abort(reason)
    this.#listener?.(reason)
  }
}

/** One message on its way: what its group knows of it until it is settled, once. */
export class Dispatch {
  readonly group: string
  readonly message: unknown
  readonly terms: DispatchTerms
  readonly startedAt = performance.now()
  /** Its place among those that are not settled. */
  readonly openLink: Link<Dispatch> = new Link<Dispatch>(this)
  /** Its place among those that wait. */
  readonly link: Link<Dispatch> = new Link<Dispatch>(this)
  /** The group's count of openings when a consumer was last sought. */
  askedAt = -1
  /** The clock of the group's roster, then. */
  askedClock = -1
  /** Whether the routing function is at it. */
  isAsking = false
  attempts = 0
  attempt: Attempt | null = null
  /** Consumers that are not to get it again. */
  excluded: Set<Member> | null = null
  readonly #reroutedFrom: Reroute[] = []
  readonly #resolve: (outcome: DispatchOutcome) => void
  readonly #reject: (error: unknown) => void
  readonly #settled: (dispatch: Dispatch) => void
  #isSettled = false
  #queuedMs = 0
  #stopWatching: (() => void) | undefined
  #timeout: NodeJS.Timeout | undefined
  #waitTimeout: NodeJS.Timeout | undefined

  /** @param settled is called once, before the promise is settled. */
  constructor(
    group: string,
    message: unknown,
    terms: DispatchTerms,
    resolve: (outcome: DispatchOutcome) => void,
    reject: (error: unknown) => void,
    settled: (dispatch: Dispatch) => void,
  ) {
    this.group = group
    this.message = message
    this.terms = terms
    this.#resolve = resolve
    this.#reject = reject
    this.#settled = settled
    const { timeoutMs, signal } = terms
    if (timeoutMs !== undefined) {
      this.#timeout = setTimeout(() => {
        this.fail('TIMEOUT', `was not done within ${timeoutMs} ms`)
      }, timeoutMs)
    }
    if (signal !== undefined) this.#stopWatching = onAbort(signal, this.#abort)
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Begins a stretch of waiting for a consumer, if it does not wait already. */
  startWaiting(): void {
    const { waitMs } = this.terms
    this.#waitTimeout ??= setTimeout(() => {
      this.fail('TIMEOUT', `found no consumer with room within ${waitMs} ms`)
    }, waitMs)
  }

  /** A consumer was found: begins the delivery to it. */
  begin(member: Member): Attempt {
    clearTimeout(this.#waitTimeout)
    this.#waitTimeout = undefined
    const now = performance.now()
    if (this.attempts === 0) this.#queuedMs = now - this.startedAt
    this.attempts++
    this.attempt = new Attempt(this, member, now)
    return this.attempt
  }

  /** It goes on to another consumer. */
  reroute(from: Attempt, reason: Reroute['reason'], cause: unknown, observedAt: number, excludes: boolean): Reroute {
    this.attempt = null
    if (excludes) {
      this.excluded ??= new Set()
      this.excluded.add(from.member)
    }
    const startedAt = performance.now()
    const reroute = {
      consumer: from.member.id,
      attempt: from.attempt,
      reason,
      cause,
      observedAt,
      startedAt,
      microseconds: Math.max(0, (startedAt - observedAt) * 1_000),
    }
    this.#reroutedFrom.push(reroute)
    return reroute
  }

  /** It is done. Without effect if settled. */
  complete(attempt: Attempt, value: unknown, now: number): void {
    if (!this.#settle()) return
    this.#resolve({
      value,
      deliveredTo: attempt.member.id,
      attempts: this.attempts,
      reroutedFrom: this.#reroutedFrom,
      queuedMs: this.#queuedMs,
      durationMs: now - this.startedAt,
    })
  }

  /** It is not going to be done. Without effect if settled. @param what happened to it, behind "The message to group 'x'". */
  fail(code: ErrorCode, what: string, cause?: unknown): void {
    if (this.#isSettled) return
    const history = { attempts: this.attempts, reroutedFrom: this.#reroutedFrom }
    this.failWith(new DispatchError(code, asSentence(`The message to group '${this.group}' ${what}`), history, cause))
  }

  /** The same with an error that is there already. */
  failWith(error: unknown): void {
    if (!this.#settle()) return
    this.attempt?.abandon(error)
    this.#reject(error)
  }

  readonly #abort = (): void => {
    this.fail('ABORTED', 'was aborted by its signal', this.terms.signal?.reason)
  }

  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    clearTimeout(this.#timeout)
    clearTimeout(this.#waitTimeout)
    this.#stopWatching?.()
    this.#settled(this)
    return true
  }
}
