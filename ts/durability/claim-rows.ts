/** u32s of a row. The native index reads and writes the same ones (native/core/src/dedup/rows.rs). */
export const CLAIM_WORDS = 8
/** Bytes of a key's hash. */
export const CLAIM_HASH_BYTES = 16

/** Positions in a row; the hash lies before them. */
export const ClaimWord = { STATUS: 4, DELIVERED_TO: 5, VALUE_HIGH: 6, VALUE_LOW: 7 } as const

/** What a claim found. */
export const ClaimStatus = {
  /** Nobody had the key: it is the claimant's now, who publishes and then completes or releases it. */
  FRESH: 0,
  /** Somebody holds it, perhaps an earlier row of the same run. The value is the owner. */
  IN_FLIGHT: 1,
  /** Its message is published. The value is that of the completion. */
  COMPLETED: 2,
  /** The row has no key. */
  NONE: 3,
  /** The index is full of keys in flight, and this one was not claimed: refuse the message (`LIMIT_EXCEEDED`). */
  FULL: 4,
  /** Only {@link ClaimIndex.look} says it: nobody has the key. */
  FREE: 5,
} as const

/** Rows of what claims found, which their owner uses again and again. */
export class ClaimRows {
  /** Rows that there is room for. */
  readonly capacity: number
  /**
   * {@link CLAIM_WORDS} for each row: the four of the key's hash (as they lie in memory they are its 16 bytes, the same on every machine), then those of {@link ClaimWord}.
   * A row without a key has a hash of zeros.
   */
  readonly words: Uint32Array
  readonly #bytes: Uint8Array

  constructor(capacity: number) {
    this.capacity = capacity
    this.words = new Uint32Array(capacity * CLAIM_WORDS)
    this.#bytes = new Uint8Array(this.words.buffer)
  }

  /** One of {@link ClaimStatus}. */
  status(row: number): number {
    return this.words[row * CLAIM_WORDS + ClaimWord.STATUS]
  }

  /** Completed: subscribers that the message was delivered to; 2^30 - 1 also stands for more. */
  deliveredTo(row: number): number {
    return this.words[row * CLAIM_WORDS + ClaimWord.DELIVERED_TO]
  }

  /** Completed: the value given then. In flight: the owner. */
  value(row: number): bigint {
    const at = row * CLAIM_WORDS
    return (BigInt(this.words[at + ClaimWord.VALUE_HIGH]) << 32n) | BigInt(this.words[at + ClaimWord.VALUE_LOW])
  }

  /** In flight: who holds the key. */
  owner(row: number): number {
    const at = row * CLAIM_WORDS
    return this.words[at + ClaimWord.VALUE_HIGH] * 2 ** 32 + this.words[at + ClaimWord.VALUE_LOW]
  }

  /** The hash of a row's key: a view, good until the rows are used again. */
  hash(row: number): Uint8Array {
    const at = row * CLAIM_WORDS * 4
    return this.#bytes.subarray(at, at + CLAIM_HASH_BYTES)
  }

  /**
   * Copies the hashes of the messages that are to be published, those of rows that are fresh or have no key, one behind the other to `target`: what a log keeps for
   * {@link ClaimIndex.restore}. Returns how many they are.
   */
  copyHashes(first: number, count: number, target: Uint8Array, offset = 0): number {
    let copied = 0
    for (let row = first; row < first + count; row++) {
      const status = this.status(row)
      if (status !== ClaimStatus.FRESH && status !== ClaimStatus.NONE) continue
      target.set(this.hash(row), offset + copied * CLAIM_HASH_BYTES)
      copied++
    }
    return copied
  }
}
