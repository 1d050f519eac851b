import { nativeClaims } from '../../ts/codec/index.ts'
import { scopeOf } from '../../ts/durability/claim-index.ts'
import { NativeClaimIndex } from '../../ts/durability/claim-index-native.ts'
import { TypeScriptClaimIndex } from '../../ts/durability/claim-index-typescript.ts'
import { ClaimRows, ClaimStatus } from '../../ts/durability/claim-rows.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'
import { type KeyRun, RUN_KEYS } from './keys.ts'

export const SUBJECTS = ['native', 'map', 'typescript'] as const
export type SubjectName = (typeof SUBJECTS)[number]

/** What is measured: something that remembers keys. */
export interface Subject {
  /** Claims the keys of a run and completes those that were fresh. Returns how many those were. */
  publish(run: KeyRun, owner: number, now: number): number
  /** Bytes that it says it has; `null`: only the heap knows. */
  bytes(): number | null
  readonly size: number
}

const TTL_MS = 3_600_000

/** @throws Error if there is no addon. */
export function makeSubject(name: SubjectName, maxKeys: number): Subject {
  if (name === 'map') return new MapSubject()
  const options = { secret: new Uint8Array(16).fill(5), ttlMs: TTL_MS, maxKeys }
  if (name === 'typescript') return new IndexSubject(new TypeScriptClaimIndex(options))
  if (nativeClaims === null) throw new Error('bench:dedup needs the native addon; run npm run build:native.')
  return new IndexSubject(new NativeClaimIndex(nativeClaims, options))
}

class IndexSubject implements Subject {
  readonly index: NativeClaimIndex | TypeScriptClaimIndex
  readonly #scope = scopeOf('orders')
  readonly #rows = new ClaimRows(RUN_KEYS)

  constructor(index: NativeClaimIndex | TypeScriptClaimIndex) {
    this.index = index
  }

  publish({ bytes, columns, count }: KeyRun, owner: number, now: number): number {
    this.index.claim(this.#scope, bytes, columns, 0, count, owner, now, this.#rows)
    return this.index.complete(this.#rows, 0, count, owner, BigInt(owner), 1, now)
  }

  bytes(): number {
    return this.index.bytes
  }

  get size(): number {
    return this.index.size
  }
}

interface Entry {
  status: number
  /** The owner, then the position. */
  value: number
  deliveredTo: number
  time: number
}

/**
 * What one would write without an index: a Map of the keys as strings, with the same four things to remember. It is let off lightly: nothing sweeps it, no key gives way, and
 * positions are numbers.
 */
class MapSubject implements Subject {
  readonly #entries = new Map<string, Entry>()
  readonly #found: Entry[] = []

  publish({ bytes, columns, count }: KeyRun, owner: number, now: number): number {
    const found = this.#found
    for (let row = 0; row < count; row++) {
      const at = HEAD_WIDTH + row * ROW_WIDTH
      const start = columns[at + Column.KEY]
      const key = bytes.toString('latin1', start, start + columns[at + Column.KEY_LENGTH])
      let entry = this.#entries.get(key)
      if (entry === undefined) {
        entry = { status: ClaimStatus.IN_FLIGHT, value: owner, deliveredTo: 0, time: now }
        this.#entries.set(key, entry)
      } else if (entry.status === ClaimStatus.COMPLETED && now - entry.time >= TTL_MS) {
        entry.status = ClaimStatus.IN_FLIGHT
        entry.value = owner
        entry.time = now
      }
      found[row] = entry
    }
    let completed = 0
    for (let row = 0; row < count; row++) {
      const entry = found[row]
      if (entry.status !== ClaimStatus.IN_FLIGHT || entry.value !== owner) continue
      entry.status = ClaimStatus.COMPLETED
      entry.value = owner + row
      entry.deliveredTo = 1
      entry.time = now
      completed++
    }
    return completed
  }

  bytes(): null {
    return null
  }

  get size(): number {
    return this.#entries.size
  }
}
