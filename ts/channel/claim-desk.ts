import { checkInteger } from '../arguments.ts'
import { type ClaimIndex, createClaimIndex, scopeOf } from '../durability/index.ts'
import { type ClaimSource, claimTime } from './claims.ts'

/** How long and how many idempotency keys a bus remembers. */
export interface IdempotencyLimits {
  /** Milliseconds. Default 120,000. */
  readonly windowMs?: number | undefined
  /** Keys of all channels together; past it those that would be forgotten soonest are forgotten early. Default 1,000,000. */
  readonly maxKeys?: number | undefined
}

/** Slots that a step of the sweep looks at: well below a millisecond. */
const SWEEP_SLOTS = 8_192
/** Steps in which the whole index is swept once in a window. */
const STEPS_PER_WINDOW = 64
/** Milliseconds between two steps, at least and at most. */
const SHORTEST_STEP_MS = 10
const LONGEST_STEP_MS = 5_000

/** The idempotency keys of all channels of a bus, in one index, and the timer that sweeps it. */
export class ClaimDesk {
  readonly windowMs: number
  readonly #index: ClaimIndex
  #lastOwner = 0
  #timer: NodeJS.Timeout | null = null

  /**
   * @param secret 16 bytes that the hashes of keys depend on; those of a store are the same for ever.
   * @throws LiminalError `INVALID_ARGUMENT`.
   */
  constructor(secret: Uint8Array, limits: IdempotencyLimits) {
    checkInteger('idempotency.windowMs', limits.windowMs, 1)
    checkInteger('idempotency.maxKeys', limits.maxKeys, 1)
    this.windowMs = limits.windowMs ?? 120_000
    this.#index = createClaimIndex({ secret, ttlMs: this.windowMs, maxKeys: limits.maxKeys ?? 1_000_000 })
  }

  /** Keys remembered. */
  get size(): number {
    return this.#index.size
  }

  /** Bytes that they take outside the JavaScript heap. */
  get bytes(): number {
    return this.#index.bytes
  }

  /** Where the keys of a channel are claimed. @param incarnation Of its name; see scopeOf. */
  source(channel: string, incarnation = 0): ClaimSource {
    return {
      index: this.#index,
      scope: scopeOf(channel, incarnation),
      nextOwner: () => {
        if (this.#timer === null) this.#arm()
        // Wraps after 2^32 claims: none is held for that long.
        this.#lastOwner = (this.#lastOwner + 1) >>> 0
        return this.#lastOwner
      },
    }
  }

  /** Forgets all keys. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#index.close()
  }

  #arm(): void {
    const step = Math.min(LONGEST_STEP_MS, Math.max(SHORTEST_STEP_MS, Math.ceil(this.windowMs / STEPS_PER_WINDOW)))
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#index.sweep(claimTime(), Math.max(SWEEP_SLOTS, Math.ceil((this.#index.size * 2) / STEPS_PER_WINDOW)))
      if (this.#index.size > 0) this.#arm()
    }, step)
    this.#timer.unref()
  }
}
