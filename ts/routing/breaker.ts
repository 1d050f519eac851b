/** When a {@link Breaker} opens and for how long. */
export interface BreakerLimits {
  /** Failures within the window that open it. */
  readonly failures: number
  /** Milliseconds for which a failure counts. */
  readonly windowMs: number
  /** Milliseconds for which it stays open. */
  readonly cooldownMs: number
}

/** `closed`: all is well. `open`: nothing is tried. `probing`: one try decides which of the two it becomes. */
export type BreakerState = 'closed' | 'open' | 'probing'

/** Stops something that keeps failing from being tried all the time. It has no timer: its owner asks. */
export class Breaker {
  readonly #limits: BreakerLimits
  readonly #now: () => number
  #failures: number[] = []
  #state: BreakerState = 'closed'
  #openedAt = 0

  /** @param now milliseconds on a clock that never goes back. */
  constructor(limits: BreakerLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Milliseconds until the next try may be made; 0 unless it is open. */
  get waitMs(): number {
    if (this.#state !== 'open') return 0
    return Math.max(0, this.#openedAt + this.#limits.cooldownMs - this.#now())
  }

  /** Begins the one try after the cool-down. Without effect unless that is over. */
  probe(): void {
    if (this.#state === 'open' && this.waitMs === 0) this.#state = 'probing'
  }

  succeeded(): void {
    if (this.#state !== 'probing') return
    this.#state = 'closed'
    this.#failures = []
  }

  failed(): void {
    const now = this.#now()
    this.#failures = this.#failures.filter((at) => now - at < this.#limits.windowMs)
    this.#failures.push(now)
    if (this.#state === 'closed' && this.#failures.length < this.#limits.failures) return
    this.#state = 'open'
    this.#openedAt = now
    this.#failures = []
  }
}
