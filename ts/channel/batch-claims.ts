import { CLAIM_HASH_BYTES, CLAIM_WORDS, type ClaimIndex, ClaimRows } from '../durability/index.ts'
import { claimTime } from './claims.ts'

interface Stretch {
  /** The first of its claims. */
  readonly from: number
  readonly count: number
  /** Which message of the batch the first claim is of. */
  readonly offset: number
}

/** The claims of the messages of one batch, until it is stored or fails. */
export class BatchClaims {
  /** Who holds them. */
  readonly owner: number
  #claims = new ClaimRows(16)
  #count = 0
  #stretches: Stretch[] = []

  constructor(owner: number) {
    this.owner = owner
  }

  get count(): number {
    return this.#count
  }

  /** Takes claims over, of as many messages of the batch from `offset` on. */
  add(claims: ClaimRows, from: number, count: number, offset: number): void {
    if (this.#count + count > this.#claims.capacity) {
      const grown = new ClaimRows((this.#count + count) * 2)
      grown.words.set(this.#claims.words)
      this.#claims = grown
    }
    this.#claims.words.set(
      claims.words.subarray(from * CLAIM_WORDS, (from + count) * CLAIM_WORDS),
      this.#count * CLAIM_WORDS,
    )
    this.#stretches.push({ from: this.#count, count, offset })
    this.#count += count
  }

  /** The hashes of each stretch of keyed messages, and the position that its first one has if the batch begins at `first`. */
  *hashes(first: bigint): Generator<{ readonly position: bigint; readonly hashes: Uint8Array }> {
    for (const { from, count, offset } of this.#stretches) {
      const hashes = new Uint8Array(count * CLAIM_HASH_BYTES)
      this.#claims.copyHashes(from, count, hashes)
      yield { position: first + BigInt(offset), hashes }
    }
  }

  /** The position of the first of each stretch if the batch begins at `first`. */
  *positions(first: bigint): Generator<bigint> {
    for (const { offset } of this.#stretches) yield first + BigInt(offset)
  }

  /** The batch was stored. */
  complete(index: ClaimIndex, first: bigint, deliveredTo: number): void {
    const now = claimTime()
    for (const { from, count, offset } of this.#stretches) {
      index.complete(this.#claims, from, count, this.owner, first + BigInt(offset), deliveredTo, now)
    }
  }

  /** The batch failed: its keys are free again. */
  release(index: ClaimIndex): void {
    index.release(this.#claims, 0, this.#count, this.owner)
  }
}
