import type { Connection } from './connection.ts'

/**
 * Bytes of publishes that may be on their way to the server: written and not known to be dealt with. An Accept is queued behind them, here and in the operating
 * systems between, so without a limit a connection that publishes as fast as it can starves its own subscriptions of credit and has them shed. Measured on
 * loopback, one connection that sends to itself: without a limit 200,000 messages of 128 B lose the subscription, with this one they run at 900,000 a second. It
 * is less than the 2 MiB that a server reads on behind publishes it holds, so that the Accepts behind a full window are among what it reads.
 */
const WINDOW_BYTES = 1792 * 1024
/** After this many bytes a Ping asks for confirmation: often enough that the window never runs dry, rare enough to cost nothing. */
const PING_BYTES = WINDOW_BYTES / 8

/** How far the publishes of a connection may run ahead of the server. */
export class PublishWindow {
  readonly #connection: Connection
  #unconfirmed = 0
  /** Of the unconfirmed, those written since the last Ping. */
  #unasked = 0
  #refused = false
  /** Called when room appeared after somebody was refused. */
  onRoom: (() => void) | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Whether somebody was refused and no room has appeared since. */
  get full(): boolean {
    return this.#refused
  }

  /** Whether `bytes` more may be written; if not, {@link onRoom} will tell when to ask again. A window with nothing in it takes anything. */
  fits(bytes: number): boolean {
    if (this.#unconfirmed === 0 || this.#unconfirmed + bytes <= WINDOW_BYTES) return true
    this.#refused = true
    if (this.#unasked > 0) this.#ask()
    return false
  }

  /** Bytes were written. */
  wrote(bytes: number): void {
    this.#unconfirmed += bytes
    this.#unasked += bytes
    if (this.#unasked >= PING_BYTES) this.#ask()
  }

  #ask(): void {
    const asked = this.#unasked
    this.#unasked = 0
    this.#connection.ping(() => {
      this.#unconfirmed -= asked
      if (!this.#refused) return
      this.#refused = false
      this.onRoom?.()
    })
  }
}
