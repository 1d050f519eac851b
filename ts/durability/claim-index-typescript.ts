import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { checkClaim, checkCompletion, checkHashes, checkOwner, checkRows, closedIndex, noKeys } from './claim-checks.ts'
import { ClaimHash } from './claim-hash.ts'
import type { ClaimIndex, ClaimIndexOptions } from './claim-index.ts'
import { CLAIM_HASH_BYTES, CLAIM_WORDS, type ClaimRows, ClaimStatus, ClaimWord } from './claim-rows.ts'
import { age, ClaimShard, ENTRY_WORDS, EntryState, EntryWord } from './claim-shard.ts'

/** Keys of a shard when the index is full, on average. */
const SHARD_KEYS = 512
const MOST_TICKS = 2 ** 30
const MOST_DELIVERIES = 2 ** 30 - 1
/** Bytes of a shard and of the index beside their tables, about. */
const OWN_BYTES = 64

/** The index where there is no addon: the twin of native/core/src/dedup, call for call and key for key. */
export class TypeScriptClaimIndex implements ClaimIndex {
  readonly #hash: ClaimHash
  /** Milliseconds of a tick, and ticks that a completed key is known (native/core/src/dedup/clock.rs). */
  readonly #tickMs: number
  readonly #ttl: number
  readonly #maxKeys: number
  readonly #shards: ClaimShard[]
  /** A hash to restore. */
  readonly #restored = new Uint32Array(4)
  readonly #restoredBytes = new Uint8Array(this.#restored.buffer)
  #size = 0
  #tableBytes = 0
  /** Shard and key that the next sweep begins with. */
  #sweptShard = 0
  #sweptKey = 0
  #closed = false

  constructor({ secret, ttlMs, maxKeys }: ClaimIndexOptions) {
    this.#hash = new ClaimHash(secret)
    this.#tickMs = Math.max(1, Math.ceil(ttlMs / MOST_TICKS))
    this.#ttl = Math.ceil(ttlMs / this.#tickMs)
    this.#maxKeys = maxKeys
    let shards = 1
    while (shards * SHARD_KEYS < maxKeys) shards *= 2
    this.#shards = Array.from({ length: shards }, () => new ClaimShard())
  }

  claim(
    scope: Uint8Array,
    bytes: Uint8Array,
    columns: Int32Array,
    first: number,
    count: number,
    owner: number,
    nowMs: number,
    rows: ClaimRows,
  ): void {
    this.#check()
    checkClaim(scope, first, count, owner, rows)
    const { words } = rows
    if (HEAD_WIDTH + (first + count) * ROW_WIDTH > columns.length) throw noKeys()
    const hashes = new DataView(words.buffer)
    this.#hash.scope(scope)
    for (let row = 0; row < count; row++) {
      const column = HEAD_WIDTH + (first + row) * ROW_WIDTH
      const length = columns[column + Column.KEY_LENGTH]
      const at = row * CLAIM_WORDS
      if (length < 0) {
        words.fill(0, at, at + CLAIM_WORDS)
        words[at + ClaimWord.STATUS] = ClaimStatus.NONE
        continue
      }
      const start = columns[column + Column.KEY] >>> 0
      if (start + length > bytes.length) throw noKeys()
      this.#hash.hash(bytes, start, length, hashes, at * 4)
      words[at + ClaimWord.STATUS] = ClaimStatus.FREE
    }
    const now = this.#tick(nowMs)
    for (let row = 0; row < count; row++) {
      const at = row * CLAIM_WORDS
      if (words[at + ClaimWord.STATUS] !== ClaimStatus.NONE) this.#claimOne(words, at, owner, now)
    }
  }

  complete(
    rows: ClaimRows,
    first: number,
    count: number,
    owner: number,
    firstValue: bigint,
    deliveredTo: number,
    nowMs: number,
  ): number {
    this.#check()
    checkRows(rows, first, count)
    checkOwner(owner)
    checkCompletion(deliveredTo)
    const { words } = rows
    const now = this.#tick(nowMs)
    let value = firstValue
    let completed = 0
    for (let row = first; row < first + count; row++) {
      const at = row * CLAIM_WORDS
      const status = words[at + ClaimWord.STATUS]
      if (status !== ClaimStatus.FRESH && status !== ClaimStatus.NONE) continue
      const position = status === ClaimStatus.NONE ? -1 : this.#held(words, at, owner)
      if (position >= 0) {
        this.#complete(this.#shardOf(words, at), position, value, deliveredTo, now)
        completed++
      }
      value++
    }
    return completed
  }

  release(rows: ClaimRows, first: number, count: number, owner: number): number {
    this.#check()
    checkRows(rows, first, count)
    checkOwner(owner)
    const { words } = rows
    let released = 0
    for (let row = first; row < first + count; row++) {
      const at = row * CLAIM_WORDS
      if (words[at + ClaimWord.STATUS] !== ClaimStatus.FRESH) continue
      const position = this.#held(words, at, owner)
      if (position < 0) continue
      this.#shardOf(words, at).remove(position)
      this.#size--
      released++
    }
    return released
  }

  look(rows: ClaimRows, first: number, count: number, nowMs: number): void {
    this.#check()
    checkRows(rows, first, count)
    const { words } = rows
    const now = this.#tick(nowMs)
    for (let row = first; row < first + count; row++) {
      const at = row * CLAIM_WORDS
      if (words[at + ClaimWord.STATUS] === ClaimStatus.NONE) continue
      const shard = this.#shardOf(words, at)
      const found = shard.find(words, at)
      if (found < 0 || this.#isOver(shard, found, now)) setRow(words, at, ClaimStatus.FREE, 0, 0, 0)
      else describe(words, at, shard, found)
    }
  }

  restore(
    hashes: Uint8Array,
    count: number,
    firstValue: bigint,
    deliveredTo: number,
    storedAtMs: number,
    nowMs: number,
  ): void {
    this.#check()
    checkHashes(hashes, count)
    checkCompletion(deliveredTo)
    const now = this.#tick(nowMs)
    const time = this.#tick(storedAtMs)
    if (age(now, time) >= this.#ttl) return
    const words = this.#restored
    for (let index = 0; index < count; index++) {
      this.#restoredBytes.set(hashes.subarray(index * CLAIM_HASH_BYTES, (index + 1) * CLAIM_HASH_BYTES))
      if (words.every((word) => word === 0)) continue
      const number = words[0] % this.#shards.length
      const found = this.#shards[number].find(words, 0)
      const known = found >= 0 && !this.#isOver(this.#shards[number], found, now)
      const position = found >= 0 ? found : this.#insert(number, found, words, 0, now)
      // Without room the key is not known, as if it had given way.
      if (known || position < 0) continue
      this.#complete(this.#shards[number], position, firstValue + BigInt(index), deliveredTo, time)
    }
  }

  sweep(nowMs: number, budget: number): number {
    this.#check()
    const now = this.#tick(nowMs)
    const before = this.#size
    let number = this.#sweptShard
    let position = this.#sweptKey
    let rounds = 0
    for (let left = budget; left > 0 && rounds <= this.#shards.length; left--) {
      const shard = this.#shards[number]
      if (position >= shard.length) {
        this.#tableBytes -= shard.bytes
        shard.shrink()
        this.#tableBytes += shard.bytes
        number = number + 1 === this.#shards.length ? 0 : number + 1
        position = 0
        rounds++
      } else if (this.#isOver(shard, position, now)) {
        // Another key moves into its position, which is visited again.
        shard.remove(position)
        this.#size--
      } else position++
    }
    this.#sweptShard = number
    this.#sweptKey = position
    return before - this.#size
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#closed ? 0 : this.#tableBytes + (this.#shards.length + 1) * OWN_BYTES
  }

  close(): void {
    this.#closed = true
    this.#shards.length = 0
    this.#size = 0
  }

  #claimOne(words: Uint32Array, at: number, owner: number, now: number): void {
    const number = words[at] % this.#shards.length
    const shard = this.#shards[number]
    const found = shard.find(words, at)
    if (found >= 0 && !this.#isOver(shard, found, now)) {
      describe(words, at, shard, found)
      return
    }
    const position = found >= 0 ? found : this.#insert(number, found, words, at, now)
    if (position >= 0) shard.set(position, EntryState.IN_FLIGHT, 0, Math.floor(owner / 2 ** 32), owner >>> 0, now)
    setRow(words, at, position >= 0 ? ClaimStatus.FRESH : ClaimStatus.FULL, 0, 0, 0)
  }

  /** Makes a position for a hash that {@link ClaimShard.find} did not find. -1 if there is no room. */
  #insert(number: number, found: number, words: Uint32Array, at: number, now: number): number {
    const shard = this.#shards[number]
    if (this.#size >= this.#maxKeys || shard.isClosed) return shard.replace(found, words, at, now)
    const before = shard.bytes
    const position = shard.insert(number, found, words, at)
    this.#tableBytes += shard.bytes - before
    this.#size++
    return position
  }

  #complete(shard: ClaimShard, position: number, value: bigint, deliveredTo: number, time: number): void {
    const high = Number(BigInt.asUintN(32, value >> 32n))
    const low = Number(BigInt.asUintN(32, value))
    shard.set(position, EntryState.COMPLETED, Math.min(deliveredTo, MOST_DELIVERIES), high, low, time)
  }

  /** The position of a key in flight, if `owner` holds it; negative otherwise. */
  #held(words: Uint32Array, at: number, owner: number): number {
    const shard = this.#shardOf(words, at)
    const found = shard.find(words, at)
    if (found < 0 || shard.state(found) !== EntryState.IN_FLIGHT) return -1
    const here = found * ENTRY_WORDS
    const holder = shard.entries[here + EntryWord.VALUE_HIGH] * 2 ** 32 + shard.entries[here + EntryWord.VALUE_LOW]
    return holder === owner ? found : -1
  }

  #shardOf(words: Uint32Array, at: number): ClaimShard {
    return this.#shards[words[at] % this.#shards.length]
  }

  /** Whether there is a key at a position that is no longer to be known. */
  #isOver(shard: ClaimShard, position: number, now: number): boolean {
    return shard.state(position) === EntryState.COMPLETED && age(now, shard.time(position)) >= this.#ttl
  }

  #tick(ms: number): number {
    return Math.floor(ms / this.#tickMs) >>> 0
  }

  #check(): void {
    if (this.#closed) throw closedIndex()
  }
}

/** Writes the fate of the key at a position to a row. */
function describe(words: Uint32Array, at: number, shard: ClaimShard, position: number): void {
  const { entries } = shard
  const here = position * ENTRY_WORDS
  const status = shard.state(position) === EntryState.COMPLETED ? ClaimStatus.COMPLETED : ClaimStatus.IN_FLIGHT
  const deliveredTo = entries[here + EntryWord.FATE] & MOST_DELIVERIES
  setRow(words, at, status, deliveredTo, entries[here + EntryWord.VALUE_HIGH], entries[here + EntryWord.VALUE_LOW])
}

function setRow(words: Uint32Array, at: number, status: number, deliveredTo: number, high: number, low: number): void {
  words[at + ClaimWord.STATUS] = status
  words[at + ClaimWord.DELIVERED_TO] = deliveredTo
  words[at + ClaimWord.VALUE_HIGH] = high
  words[at + ClaimWord.VALUE_LOW] = low
}
