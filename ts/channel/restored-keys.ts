import { CLAIM_HASH_BYTES, type ClaimIndex } from '../durability/index.ts'
import { claimTime } from './claims.ts'

/** Says that nobody knows how many subscriptions a message reached: the bus ended before it was written. The most that an index remembers. */
export const UNKNOWN = 2 ** 30 - 1

interface Keys {
  readonly hashes: Uint8Array
  readonly at: number
}

/** Keys on their way from a log back into the index: each waits for what the log says of its fate, which comes soon after it. */
export class RestoredKeys {
  readonly #index: ClaimIndex
  readonly #now = claimTime()
  readonly #waiting = new Map<bigint, Keys>()

  constructor(index: ClaimIndex) {
    this.#index = index
  }

  /** Keys were stored. Returns when: a time that is ahead of ours is one of a clock that was set back since, and is taken for now. */
  stored(position: bigint, hashes: Uint8Array, at: number): number {
    const time = Math.min(at, this.#now)
    this.#waiting.set(position, { hashes, at: time })
    return time
  }

  /** The log says what became of the keys of this position. */
  fate(position: bigint, deliveredTo: number): void {
    const keys = this.#waiting.get(position)
    if (keys === undefined) return
    this.#waiting.delete(position)
    this.#put(position, keys, deliveredTo)
  }

  /** The log says no more: what became of the rest is not known. */
  finish(): void {
    for (const [position, keys] of this.#waiting) this.#put(position, keys, UNKNOWN)
    this.#waiting.clear()
  }

  #put(position: bigint, { hashes, at }: Keys, deliveredTo: number): void {
    this.#index.restore(hashes, hashes.length / CLAIM_HASH_BYTES, position, deliveredTo, at, this.#now)
  }
}
