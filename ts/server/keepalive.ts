export interface KeepaliveOptions {
  /** Milliseconds of silence before a ping, and once more for the answer. 0: never. */
  readonly intervalMs: number
  /** Whether the peer is listened to at the moment. One whose frames wait on purpose is not silent. */
  readonly listening: () => boolean
  readonly ping: () => void
  readonly onSilence: (silentMs: number) => void
}

/** Watches that a peer is still there: asks after some silence, gives up if that is not answered. */
export class Keepalive {
  readonly #options: KeepaliveOptions
  #heardAt = performance.now()
  #asked = false
  #timer: NodeJS.Timeout | null = null
  #last: NodeJS.Immediate | null = null

  constructor(options: KeepaliveOptions) {
    this.#options = options
    if (options.intervalMs > 0) this.#arm(options.intervalMs)
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heardAt = performance.now()
    this.#asked = false
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#last !== null) clearImmediate(this.#last)
    this.#last = null
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => this.#check(), Math.max(1, Math.ceil(delayMs)))
    this.#timer.unref()
  }

  #check(): void {
    const { intervalMs, listening, ping } = this.#options
    if (!listening()) this.heard()
    const silentMs = performance.now() - this.#heardAt
    if (silentMs < intervalMs) {
      this.#arm(intervalMs - silentMs)
    } else if (!this.#asked) {
      this.#asked = true
      ping()
      this.#arm(intervalMs)
    } else {
      // After a stall of this process the answer may be there already, unread: what has arrived is read first.
      this.#last = setImmediate(() => this.#giveUp())
    }
  }

  #giveUp(): void {
    if (this.#asked) this.#options.onSilence(performance.now() - this.#heardAt)
    else this.#check()
  }
}

/** What the patience with unread replies goes by on a server without keepalive, in milliseconds. */
const PATIENCE_INTERVAL_MS = 30_000

/** For how long a peer that takes none of its replies is waited for, in milliseconds. */
export function patienceOf(keepaliveMs: number): number {
  return 2 * (keepaliveMs === 0 ? PATIENCE_INTERVAL_MS : keepaliveMs)
}
