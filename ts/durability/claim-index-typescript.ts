import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { checkClaim, checkCompletion, checkHashes, checkOwner, checkRows, closedIndex, noKeys } from './claim-checks.ts'
import { ClaimHash } from './claim-hash.ts'
import type { ClaimIndex, ClaimIndexOptions } from './claim-index.ts'
import { CLAIM_HASH_BYTES, CLAIM_WORDS, type ClaimRows, ClaimStatus, ClaimWord } from './claim-rows.ts'
import { age, ClaimShard, SLOT_WORDS, SlotState, SlotWord } from './claim-shard.ts'

/** Keys of a shard when the index is full. */
const SHARD_KEYS = 2048
const MOST_TICKS = 2 ** 30
const MOST_DELIVERIES = 2 ** 30 - 1
/** Bytes of a shard and of the index beside their slots, about. */
const OWN_BYTES = 64

/** The index where there is no addon: the twin of native/core/src/dedup, call for call and slot for slot. */
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
  #slotBytes = 0
  /** Shard and slot that the next sweep begins with. */
  #sweptShard = 0
  #sweptSlot = 0
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
      const slot = status === ClaimStatus.NONE ? -1 : this.#held(words, at, owner)
      if (slot >= 0) {
        this.#complete(this.#shardOf(words, at), slot, value, deliveredTo, now)
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
      const slot = this.#held(words, at, owner)
      if (slot < 0) continue
      this.#shardOf(words, at).remove(slot)
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
      const slot = shard.find(words, at)
      if (slot < 0 || this.#isOver(shard, slot, now)) setRow(words, at, ClaimStatus.FREE, 0, 0, 0)
      else describe(words, at, shard, slot)
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
      const slot = found >= 0 ? found : this.#insert(number, found, words, 0, now)
      // Without room the key is not known, as if it had given way.
      if (known || slot < 0) continue
      this.#complete(this.#shards[number], slot, firstValue + BigInt(index), deliveredTo, time)
    }
  }

  sweep(nowMs: number, budget: number): number {
    this.#check()
    const now = this.#tick(nowMs)
    const before = this.#size
    let number = this.#sweptShard
    let slot = this.#sweptSlot
    let rounds = 0
    for (let left = budget; left > 0 && rounds <= this.#shards.length; left--) {
      const shard = this.#shards[number]
      if (slot >= shard.capacity) {
        this.#slotBytes -= shard.bytes
        shard.shrink()
        this.#slotBytes += shard.bytes
        number = number + 1 === this.#shards.length ? 0 : number + 1
        slot = 0
        rounds++
      } else if (this.#isOver(shard, slot, now)) {
        // What comes after it moves into this slot, which is visited again.
        shard.remove(slot)
        this.#size--
      } else slot++
    }
    this.#sweptShard = number
    this.#sweptSlot = slot
    return before - this.#size
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#closed ? 0 : this.#slotBytes + (this.#shards.length + 1) * OWN_BYTES
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
    const slot = found >= 0 ? found : this.#insert(number, found, words, at, now)
    if (slot >= 0) shard.set(slot, SlotState.IN_FLIGHT, 0, Math.floor(owner / 2 ** 32), owner >>> 0, now)
    setRow(words, at, slot >= 0 ? ClaimStatus.FRESH : ClaimStatus.FULL, 0, 0, 0)
  }

  /** Makes a slot for a hash that {@link ClaimShard.find} did not find. -1 if there is no room. */
  #insert(number: number, found: number, words: Uint32Array, at: number, now: number): number {
    const shard = this.#shards[number]
    let place = found
    if (this.#size >= this.#maxKeys) {
      if (!shard.evict(words, at, now)) return -1
      this.#size--
      place = shard.find(words, at)
    } else if (shard.isFull) {
      this.#slotBytes -= shard.bytes
      shard.grow(number)
      this.#slotBytes += shard.bytes
      place = shard.find(words, at)
    }
    this.#size++
    return shard.insert(place, words, at)
  }

  #complete(shard: ClaimShard, slot: number, value: bigint, deliveredTo: number, time: number): void {
    const high = Number(BigInt.asUintN(32, value >> 32n))
    const low = Number(BigInt.asUintN(32, value))
    shard.set(slot, SlotState.COMPLETED, Math.min(deliveredTo, MOST_DELIVERIES), high, low, time)
  }

  /** The slot of a key in flight, if `owner` holds it; negative otherwise. */
  #held(words: Uint32Array, at: number, owner: number): number {
    const shard = this.#shardOf(words, at)
    const slot = shard.find(words, at)
    if (slot < 0 || shard.state(slot) !== SlotState.IN_FLIGHT) return -1
    const here = slot * SLOT_WORDS
    const holder = shard.slots[here + SlotWord.VALUE_HIGH] * 2 ** 32 + shard.slots[here + SlotWord.VALUE_LOW]
    return holder === owner ? slot : -1
  }

  #shardOf(words: Uint32Array, at: number): ClaimShard {
    return this.#shards[words[at] % this.#shards.length]
  }

  /** Whether a slot has a key that is no longer to be known. */
  #isOver(shard: ClaimShard, slot: number, now: number): boolean {
    return shard.state(slot) === SlotState.COMPLETED && age(now, shard.time(slot)) >= this.#ttl
  }

  #tick(ms: number): number {
    return Math.floor(ms / this.#tickMs) >>> 0
  }

  #check(): void {
    if (this.#closed) throw closedIndex()
  }
}

/** Writes the fate of the key in a slot to a row. */
function describe(words: Uint32Array, at: number, shard: ClaimShard, slot: number): void {
  const { slots } = shard
  const here = slot * SLOT_WORDS
  const status = shard.state(slot) === SlotState.COMPLETED ? ClaimStatus.COMPLETED : ClaimStatus.IN_FLIGHT
  const deliveredTo = slots[here + SlotWord.FATE] & MOST_DELIVERIES
  setRow(words, at, status, deliveredTo, slots[here + SlotWord.VALUE_HIGH], slots[here + SlotWord.VALUE_LOW])
}

function setRow(words: Uint32Array, at: number, status: number, deliveredTo: number, high: number, low: number): void {
  words[at + ClaimWord.STATUS] = status
  words[at + ClaimWord.DELIVERED_TO] = deliveredTo
  words[at + ClaimWord.VALUE_HIGH] = high
  words[at + ClaimWord.VALUE_LOW] = low
}
