import { createHmac } from 'node:crypto'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
// TEMPORARY
export const ClaimStatus = { FRESH: 0, IN_FLIGHT: 1, COMPLETED: 2, NONE: 3, FULL: 4 } as const
export class ClaimRows {
  readonly words: Uint32Array
  readonly capacity: number
  constructor(capacity: number) {
    this.capacity = capacity
    this.words = new Uint32Array(capacity * 8)
  }
  status(i: number): number {
    return this.words[i * 8 + 4]
  }
  deliveredTo(i: number): number {
    return this.words[i * 8 + 5]
  }
  value(i: number): bigint {
    return (BigInt(this.words[i * 8 + 6]) << 32n) | BigInt(this.words[i * 8 + 7])
  }
  hash(i: number): Uint8Array {
    return new Uint8Array(this.words.buffer, i * 32, 16)
  }
  copyFrom(o: ClaimRows, from: number, count: number, to: number): void {
    this.words.set(o.words.subarray(from * 8, (from + count) * 8), to * 8)
  }
}
export interface ClaimIndex {
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
  complete(
    rows: ClaimRows,
    first: number,
    count: number,
    owner: number,
    firstValue: bigint,
    deliveredTo: number,
    nowMs: number,
  ): number
  release(rows: ClaimRows, first: number, count: number, owner: number): number
  restore(
    hashes: Uint8Array,
    count: number,
    firstValue: bigint,
    deliveredTo: number,
    storedAtMs: number,
    nowMs: number,
  ): void
  sweep(nowMs: number, budget: number): number
  readonly size: number
  readonly bytes: number
}
interface E {
  owner: number
  done: boolean
  value: bigint
  deliveredTo: number
  until: number
}
class MapIndex implements ClaimIndex {
  m = new Map<string, E>()
  constructor(readonly o: { secret: Uint8Array; ttlMs: number; maxKeys: number }) {}
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
    for (let i = 0; i < count; i++) {
      const r = HEAD_WIDTH + (first + i) * ROW_WIDTH
      const k = bytes.subarray(columns[r + Column.KEY], columns[r + Column.KEY] + columns[r + Column.KEY_LENGTH])
      const h = createHmac('sha256', this.o.secret).update(scope).update(k).digest().subarray(0, 16)
      rows.hash(i).set(h)
      const id = h.toString('latin1')
      let e = this.m.get(id)
      if (e?.done && e.until <= nowMs) {
        this.m.delete(id)
        e = undefined
      }
      if (!e) {
        if (this.m.size >= this.o.maxKeys) {
          const [k0] = this.m.keys()
          this.m.delete(k0 as string)
        }
        this.m.set(id, { owner, done: false, value: 0n, deliveredTo: 0, until: 0 })
        rows.words[i * 8 + 4] = 0
        continue
      }
      const v = e.done ? e.value : BigInt(e.owner)
      rows.words[i * 8 + 4] = e.done ? 2 : 1
      rows.words[i * 8 + 5] = e.deliveredTo
      rows.words[i * 8 + 6] = Number(v >> 32n)
      rows.words[i * 8 + 7] = Number(v & 0xffffffffn)
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
    for (let i = 0; i < count; i++) {
      const e = this.m.get(Buffer.from(rows.hash(first + i)).toString('latin1'))
      if (e && e.owner === owner && !e.done) {
        e.done = true
        e.value = firstValue + BigInt(i)
        e.deliveredTo = deliveredTo
        e.until = nowMs + this.o.ttlMs
      }
    }
    return count
  }
  release(rows: ClaimRows, first: number, count: number, owner: number): number {
    for (let i = 0; i < count; i++) {
      const id = Buffer.from(rows.hash(first + i)).toString('latin1')
      const e = this.m.get(id)
      if (e && e.owner === owner && !e.done) this.m.delete(id)
    }
    return count
  }
  restore(
    hashes: Uint8Array,
    count: number,
    firstValue: bigint,
    deliveredTo: number,
    storedAtMs: number,
    _nowMs: number,
  ): void {
    for (let i = 0; i < count; i++)
      this.m.set(Buffer.from(hashes.subarray(i * 16, i * 16 + 16)).toString('latin1'), {
        owner: 0,
        done: true,
        value: firstValue + BigInt(i),
        deliveredTo,
        until: storedAtMs + this.o.ttlMs,
      })
  }
  sweep(nowMs: number): number {
    for (const [k, e] of this.m) if (e.done && e.until <= nowMs) this.m.delete(k)
    return 0
  }
  get size(): number {
    return this.m.size
  }
  get bytes(): number {
    return 0
  }
}
export function createClaimIndex(o: { secret: Uint8Array; ttlMs: number; maxKeys: number }): ClaimIndex {
  return new MapIndex(o)
}
export function scopeOf(channel: string): Uint8Array {
  return createHmac('sha256', 'x').update(channel).digest().subarray(0, 16)
}
