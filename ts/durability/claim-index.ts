import { createHash } from 'node:crypto'
import { nativeClaims } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { NativeClaimIndex } from './claim-index-native.ts'
import { TypeScriptClaimIndex } from './claim-index-typescript.ts'
import { CLAIM_HASH_BYTES, type ClaimRows } from './claim-rows.ts'

/**
 * The idempotency keys of a bus, and what became of them (spec durability §11, weaknesses mended: claims have owners, keys belong to their channel, the hash is keyed and has
 * 128 bits, time is checked at the claim, and the sweep is incremental).
 *
 * A claim is held from {@link claim} until its owner completes or releases it, however long that takes. A completed key is known for the time to live. Everything is
 * synchronous; one call serves a run.
 *
 * **Verification.** The index knows keys by their hash. Nobody who does not know the secret can make two keys of one hash, and by chance it does not happen; but where the
 * log has the original key, whoever finds a key COMPLETED compares it: read the message at the position that {@link ClaimRows.value} gives. If its key is another one, the message is
 * no duplicate: refuse it, since it can be neither suppressed nor remembered. If the position is below the log's first, there is nothing to compare with, and the hash decides.
 *
 * **Time** is in milliseconds since the epoch, whole or not. Pass one that never steps, such as `performance.timeOrigin + performance.now()`: if it steps back keys live longer by that
 * much, if it steps ahead they are forgotten early.
 *
 * All methods throw LiminalError `INVALID_ARGUMENT`, before anything changes, and `CLOSED`.
 */
export interface ClaimIndex {
  /**
   * Claims the keys of the rows `[first, first + count)` of `columns` (protocol/columns.ts) for `owner`, in order, and writes what it finds to `rows` from row 0 on. A key that occurs
   * twice is FRESH once and IN_FLIGHT after that.
   *
   * At `maxKeys` a completed key gives way to a new one: one of the oldest of the 512 or so that share a part of the index with the new one. One that is in flight never does; if there is no other
   * in that part, the row is FULL.
   *
   * @param scope of the channel, see {@link scopeOf}.
   * @param owner a whole number up to 2^53 - 1, another one for every call whose claims may be in flight at the same time.
   */
  claim(
    scope: Uint8Array,
    bytes: Uint8Array,
    columns: Int32Array,
    first: number,
    count: number,
    owner: number,
    nowMs: number,
    rows: ClaimRows,
  ): void
  /**
   * Completes the FRESH ones of `count` rows, as far as `owner` still holds them, and returns how many they were. The value begins with `firstValue` and counts up with every row that is FRESH
   * or NONE, which are those that are published. The time to live begins anew.
   */
  complete(
    rows: ClaimRows,
    first: number,
    count: number,
    owner: number,
    firstValue: bigint,
    deliveredTo: number,
    nowMs: number,
  ): number
  /** Frees the FRESH ones of `count` rows, as far as `owner` still holds them, and returns how many they were. */
  release(rows: ClaimRows, first: number, count: number, owner: number): number
  /**
   * Says anew what is known of the keys of rows, without claiming any: their status becomes IN_FLIGHT, COMPLETED or FREE. For duplicates of what was in flight, once its owner is
   * done. Do not complete or release rows after that.
   */
  look(rows: ClaimRows, first: number, count: number, nowMs: number): void
  /**
   * Puts completed keys back after a restart: `count` hashes of 16 bytes that {@link ClaimRows.copyHashes} gave, of messages whose values count up from `firstValue`. Passes over
   * hashes of zeros, keys that are there, and all if their time is over.
   */
  restore(
    hashes: Uint8Array,
    count: number,
    firstValue: bigint,
    deliveredTo: number,
    storedAtMs: number,
    nowMs: number,
  ): void
  /**
   * Removes expired keys and returns how many. Visits at most `budget` keys, and parts of the index with 512 or so of them, from where the last call ended, and at most each once. Expired keys suppress nothing also before
   * that; this gives their memory back. A whole round must be made in every half of 2^31 ms (12 days), or of so many times to live if that is longer.
   */
  sweep(nowMs: number, budget: number): number
  /** Keys that are known, expired ones included that no sweep came by. */
  readonly size: number
  /** Bytes of memory. */
  readonly bytes: number
  /** Frees the memory now, and not when the object is collected. Idempotent. */
  close(): void
}

/** What an index is made with. */
export interface ClaimIndexOptions {
  /** 16 random bytes that nobody else knows. Hashes that were stored are good only with the same. */
  readonly secret: Uint8Array
  /** Milliseconds that a completed key is known, at least 1. */
  readonly ttlMs: number
  /** Keys that are known at a time, 1 to 2^32 - 1. Each takes about 38 bytes. */
  readonly maxKeys: number
}

/** An index: native if the codec is, else in TypeScript, with the same hashes and the same behaviour. @throws LiminalError `INVALID_ARGUMENT`. */
export function createClaimIndex(options: ClaimIndexOptions): ClaimIndex {
  checkOptions(options)
  return nativeClaims === null ? new TypeScriptClaimIndex(options) : new NativeClaimIndex(nativeClaims, options)
}

/**
 * The 16 bytes that make a key mean something else on every channel. There is no call that forgets the keys of one channel: they expire. A channel that is made anew under its
 * old name, and whose messages are gone, takes another `incarnation`, and none of the old keys are its own.
 */
export function scopeOf(channel: string, incarnation = 0): Uint8Array {
  // Text in UTF-8 has no byte 0xff, so that no name runs into the number.
  const hash = createHash('sha256')
    .update(channel)
    .update(Buffer.from([0xff]))
    .update(String(incarnation))
    .digest()
  return new Uint8Array(hash.subarray(0, CLAIM_HASH_BYTES))
}

function checkOptions({ secret, ttlMs, maxKeys }: ClaimIndexOptions): void {
  if (secret.length !== CLAIM_HASH_BYTES) {
    throw new LiminalError('INVALID_ARGUMENT', `secret must have 16 bytes, but has ${secret.length}.`)
  }
  if (!(Number.isFinite(ttlMs) && ttlMs >= 1)) {
    throw new LiminalError('INVALID_ARGUMENT', `ttlMs must be a number of milliseconds of at least 1, but is ${ttlMs}.`)
  }
  if (!(Number.isInteger(maxKeys) && maxKeys >= 1 && maxKeys < 2 ** 32)) {
    throw new LiminalError('INVALID_ARGUMENT', `maxKeys must be a whole number from 1 to 2^32 - 1, but is ${maxKeys}.`)
  }
}
