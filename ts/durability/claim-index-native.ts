import type { NativeClaims } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { checkClaim, checkCompletion, checkHashes, checkOwner, checkRows, closedIndex, noKeys } from './claim-checks.ts'
import type { ClaimIndex, ClaimIndexOptions } from './claim-index.ts'
import type { ClaimRows } from './claim-rows.ts'

/** Frees the memory of indexes that nobody closed. */
const forgotten = new FinalizationRegistry<{ claims: NativeClaims; index: number }>(({ claims, index }) => {
  claims.closeClaims(index)
})

/** The index in Rust's memory. */
export class NativeClaimIndex implements ClaimIndex {
  readonly #claims: NativeClaims
  /** Its number; -1, which is none, once it is closed. */
  #index: number

  constructor(claims: NativeClaims, { secret, ttlMs, maxKeys }: ClaimIndexOptions) {
    this.#claims = claims
    this.#index = claims.openClaims(owned(secret), ttlMs, maxKeys)
    if (this.#index < 0) throw broken('openClaims')
    forgotten.register(this, { claims, index: this.#index }, this)
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
    const index = this.#open()
    checkClaim(scope, first, count, owner, rows)
    if (this.#claims.claimKeys(index, scope, owned(bytes), columns, first, count, owner, nowMs, rows.words) < 0) {
      throw noKeys()
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
    const index = this.#open()
    checkRows(rows, first, count)
    checkOwner(owner)
    checkCompletion(deliveredTo)
    const high = highHalf(firstValue)
    const low = lowHalf(firstValue)
    const completed = this.#claims.completeClaims(index, rows.words, first, count, owner, high, low, deliveredTo, nowMs)
    if (completed < 0) throw broken('completeClaims')
    return completed
  }

  release(rows: ClaimRows, first: number, count: number, owner: number): number {
    const index = this.#open()
    checkRows(rows, first, count)
    checkOwner(owner)
    const released = this.#claims.releaseClaims(index, rows.words, first, count, owner)
    if (released < 0) throw broken('releaseClaims')
    return released
  }

  look(rows: ClaimRows, first: number, count: number, nowMs: number): void {
    const index = this.#open()
    checkRows(rows, first, count)
    if (this.#claims.lookAtClaims(index, rows.words, first, count, nowMs) < 0) throw broken('lookAtClaims')
  }

  restore(
    hashes: Uint8Array,
    count: number,
    firstValue: bigint,
    deliveredTo: number,
    storedAtMs: number,
    nowMs: number,
  ): void {
    const index = this.#open()
    checkHashes(hashes, count)
    checkCompletion(deliveredTo)
    const high = highHalf(firstValue)
    const low = lowHalf(firstValue)
    const mine = owned(hashes)
    if (this.#claims.restoreClaims(index, mine, count, high, low, deliveredTo, storedAtMs, nowMs) < 0) {
      throw broken('restoreClaims')
    }
  }

  sweep(nowMs: number, budget: number): number {
    const removed = this.#claims.sweepClaims(this.#open(), nowMs, Math.min(Math.max(0, budget), 2 ** 32 - 1))
    if (removed < 0) throw broken('sweepClaims')
    return removed
  }

  get size(): number {
    return this.#index < 0 ? 0 : this.#claims.countClaims(this.#index)
  }

  get bytes(): number {
    return this.#index < 0 ? 0 : this.#claims.claimBytes(this.#index)
  }

  close(): void {
    if (this.#index < 0) return
    this.#claims.closeClaims(this.#index)
    this.#index = -1
    forgotten.unregister(this)
  }

  #open(): number {
    if (this.#index < 0) throw closedIndex()
    return this.#index
  }
}

/** The addon borrows memory that stands still; what lies on memory that other threads may write to is copied first. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.buffer instanceof SharedArrayBuffer ? new Uint8Array(bytes) : bytes
}

function highHalf(value: bigint): number {
  return Number(BigInt.asUintN(32, value >> 32n))
}

function lowHalf(value: bigint): number {
  return Number(BigInt.asUintN(32, value))
}

function broken(name: string): LiminalError {
  return new LiminalError(
    'INTERNAL',
    `The native ${name} refused checked arguments; report this, and set LIMINAL_CODEC=typescript`,
  )
}
