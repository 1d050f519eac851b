import type { PublishOptions, Receipt } from '../bus/index.ts'
import { LiminalError } from '../errors.ts'
import { type Encoded, keep } from '../payload-text.ts'
import type { CausalContext } from '../protocol/index.ts'
import { timeoutError } from '../waiting.ts'
import { Call } from './backlog.ts'
import type { Connection } from './connection.ts'
import { lostError } from './peer-error.ts'
import type { PublishLane } from './publish-lane.ts'

/** Publishes written and not yet answered on one connection, at most; further ones wait. */
const MAX_UNACKNOWLEDGED = 65_536
/** How long a server remembers idempotency keys (2 minutes), less a margin for the way there. */
const RETRY_WINDOW_MS = 110_000

let keyedWrites = 0

/** One acknowledged publish, from the call to its receipt: the only object that a publish costs beside its promise. */
export class PublishRequest extends Call {
  readonly bytes: number
  readonly key: string | null
  readonly causal: CausalContext | null
  /** Place among all publishes with a key, by their first writing. */
  order = 0
  readonly #lane: PublishLane
  readonly #resolve: (receipt: Receipt) => void
  readonly #reject: (error: LiminalError) => void
  readonly #deadline: number
  /** Let go once it is not needed for another writing. */
  #payload: Encoded | null
  #settled = false
  #firstWrittenAt = 0

  /** @param deadline a tick of the coarse clock, `Infinity` where the caller watches the time. */
  constructor(
    lane: PublishLane,
    payload: Encoded,
    options: PublishOptions | undefined,
    deadline: number,
    resolve: (receipt: Receipt) => void,
    reject: (error: LiminalError) => void,
  ) {
    super()
    this.#lane = lane
    this.#payload = payload
    this.key = options?.idempotencyKey ?? null
    this.causal = options?.causal ?? null
    this.#deadline = deadline
    this.#resolve = resolve
    this.#reject = reject
    this.bytes = lane.checkedBytes(payload, this.key, this.causal)
  }

  get what(): string {
    return this.#lane.what
  }

  /** Whether the caller has its answer; what arrives then is for nobody. */
  get settled(): boolean {
    return this.#settled
  }

  override admitted(connection: Connection): boolean {
    if (connection.unacknowledged >= MAX_UNACKNOWLEDGED || !connection.window.fits(this.bytes)) return false
    return this.key === null || connection.retainedBytes + this.bytes <= this.#lane.maxRetainedBytes
  }

  override park(): void {
    if (this.#payload !== null) this.#payload = keep(this.#payload)
  }

  override expire(tick: number): boolean {
    if (this.#settled) return false
    if (this.#deadline > tick) return true
    this.abandon(timeoutError(this.#lane.timeoutMs, this.what))
    return false
  }

  write(connection: Connection): void {
    const payload = this.#payload
    if (payload === null) return
    this.#lane.write(connection, this, payload)
    connection.unacknowledged++
    if (this.key === null) this.#payload = null
    else this.#retain(connection, payload)
  }

  /** The server answered. */
  accept(receipt: Receipt): void {
    if (this.#settled) return
    this.#settle()
    this.#resolve(receipt)
  }

  /** Gives up: the caller hears the error; a payload not yet written never will be. */
  abandon(error: LiminalError): void {
    if (this.#settled) return
    this.#settle()
    this.unpark()
    this.#reject(error)
  }

  /** With a key it may have been written before, to a connection that is gone. */
  end(error: LiminalError): void {
    if (this.#firstWrittenAt === 0) this.abandon(error)
    else if (error.code === 'CLOSED') this.abandon(lostError(this.what, error))
    else {
      const cause = error.cause instanceof LiminalError ? error.cause : error
      const message = `${this.what} was written to a connection that was lost; whether it had an effect is unknown. ${cause.message}`
      this.abandon(new LiminalError(error.code, message, { cause }))
    }
  }

  /** Its connection died before the answer. With a key it is safe to say it again, and so it is. */
  lost(error: LiminalError, retry: (request: PublishRequest) => void): void {
    if (this.#settled) return
    const repeatable = this.key !== null && error.code !== 'CLOSED'
    if (repeatable && performance.now() - this.#firstWrittenAt < RETRY_WINDOW_MS) retry(this)
    else this.abandon(lostError(this.what, error))
  }

  #retain(connection: Connection, payload: Encoded): void {
    connection.retainedBytes += this.bytes
    if (this.#firstWrittenAt > 0) return
    this.#firstWrittenAt = performance.now()
    this.order = ++keyedWrites
    this.#payload = keep(payload)
  }

  #settle(): void {
    this.#settled = true
    this.#payload = null
  }
}
