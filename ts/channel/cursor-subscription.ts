import type { LiminalError } from '../errors.ts'
import type { CursorSession, RejectOptions } from './cursor/index.ts'
import type { ChannelSubscription } from './fan-out.ts'

/** A subscription that owns a cursor. What it says of deliveries it was never given, or has answered, changes nothing. */
export class CursorSubscription implements ChannelSubscription {
  readonly id: bigint
  readonly #session: CursorSession
  readonly #left: (subscription: CursorSubscription) => void

  /** @param left It is over. */
  constructor(id: bigint, session: CursorSession, left: (subscription: CursorSubscription) => void) {
    this.id = id
    this.#session = session
    this.#left = left
  }

  /** Resolves once it owns the cursor durably. @throws LiminalError what prevents that. */
  get ready(): Promise<void> {
    return this.#session.ready
  }

  /** See CursorSession.inFlight. */
  get inFlight(): number {
    return this.#session.inFlight
  }

  /** A message, and all handed out before it, are accepted; not what was handed back. */
  accept(position: bigint, attempt?: number): void {
    this.#session.accept(position, attempt)
  }

  /** One message is accepted, however late. */
  acceptOne(position: bigint): void {
    this.#session.acceptOne(position)
  }

  /** A message is handed back. */
  reject(position: bigint, options: RejectOptions): void {
    this.#session.reject(position, options)
  }

  /** The subscriber has `count` messages from a position on that waited in its queue: their leases begin. See CursorDemand.leaseBegins. */
  seen(position: bigint, count: number): void {
    this.#session.seen(position, count)
  }

  /** The lease of a delivery begins anew. */
  extend(position: bigint, attempt?: number): void {
    this.#session.extend(position, attempt)
  }

  /** Resolves once what was accepted is written down. @throws LiminalError see CursorSession.checkpoint. */
  checkpoint(): Promise<void> {
    return this.#session.checkpoint()
  }

  unsubscribe(): void {
    // What cannot be written now is tried again, as long as the bus lives, and is redelivered if that fails too.
    this.close().catch(() => {})
  }

  /** Gives the cursor up; resolves once what was accepted is written down. Idempotent. See CursorSession.close. @throws LiminalError as that does. */
  close(how: 'left' | 'died' = 'left'): Promise<void> {
    this.#left(this)
    return this.#session.close(how)
  }

  /** The channel has ended, and the subscription with it. */
  end(error: LiminalError): void {
    this.#left(this)
    this.#session.fail(error)
  }
}
