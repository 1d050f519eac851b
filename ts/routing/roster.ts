import type { ConsumerView } from './consumer.ts'
import type { Member } from './member.ts'
import { ReadySet } from './ready-set.ts'
import { textBits, weight } from './rendezvous.ts'
import type { Candidates } from './routing-function.ts'

/** Some consumers of a group, and which of them have room. */
class Pool {
  readonly members = new Map<string, Member>()
  readonly ready = new ReadySet<Member>()
}

const EMPTY = new Pool()

/**
 * The joined consumers of a group, all together and by tag. Joining, leaving, and every change of load cost O(1) for each tag of that consumer, O(log n) where
 * somebody chooses by load. Nothing is copied for a dispatch.
 */
export class Roster {
  readonly #all = new Pool()
  readonly #tagged = new Map<string, Pool>()
  #room = 0
  #clock = 0
  #lastRemoval = 0

  /** How many consumers are joined. */
  get size(): number {
    return this.#all.members.size
  }

  /** Messages that all of them together have room for. */
  get room(): number {
    return this.#room
  }

  /** Counts everything that changes who may be chosen. */
  get clock(): number {
    return this.#clock
  }

  /** When a consumer was last removed, on that clock. */
  get lastRemoval(): number {
    return this.#lastRemoval
  }

  get(id: string): Member | undefined {
    return this.#all.members.get(id)
  }

  *views(): Generator<ConsumerView> {
    for (const member of this.#all.members.values()) yield member.view
  }

  /** Something else changes who may be chosen. */
  tick(): void {
    this.#clock++
  }

  add(member: Member): void {
    this.#clock++
    this.#all.members.set(member.id, member)
    this.#all.ready.add(member)
    for (const tag of member.tags) {
      let pool = this.#tagged.get(tag)
      if (pool === undefined) {
        pool = new Pool()
        this.#tagged.set(tag, pool)
      }
      pool.members.set(member.id, member)
      pool.ready.add(member)
    }
    this.#room += member.available
  }

  /** @param available what {@link Member.available} was while it was joined. */
  remove(member: Member, available: number): void {
    this.#lastRemoval = ++this.#clock
    this.#room -= available
    this.#all.members.delete(member.id)
    this.#all.ready.remove(member)
    for (const tag of member.tags) {
      const pool = this.#tagged.get(tag)
      pool?.members.delete(member.id)
      pool?.ready.remove(member)
      if (pool?.members.size === 0) this.#tagged.delete(tag)
    }
  }

  /** A joined consumer was chosen: its turn is over, and there is less room. @param before what {@link Member.available} was. */
  chosen(member: Member, before: number): void {
    this.#room += member.available - before
    const isFull = member.available === 0
    this.#each(member, isFull ? 'remove' : 'chosen')
    if (isFull) member.fullSince = ++this.#clock
  }

  /** A joined consumer got room, or its capacity changed. @param before what {@link Member.available} was. */
  changed(member: Member, before: number): void {
    const { available } = member
    this.#clock++
    this.#room += available - before
    if (available === 0) this.#each(member, 'remove')
    else this.#each(member, before === 0 ? 'add' : 'changed')
  }

  /** Who may be chosen, leaving out some. */
  candidates(excluded: ReadonlySet<Member> | null): Candidates {
    return new PoolCandidates(this.#all, this.#tagged, excluded, false)
  }

  #each(member: Member, change: 'add' | 'remove' | 'chosen' | 'changed'): void {
    this.#all.ready[change](member)
    for (const tag of member.tags) this.#tagged.get(tag)?.ready[change](member)
  }
}

class PoolCandidates implements Candidates {
  readonly #pool: Pool
  readonly #tagged: ReadonlyMap<string, Pool>
  readonly #excluded: ReadonlySet<Member> | null
  readonly #isNarrowed: boolean

  constructor(
    pool: Pool,
    tagged: ReadonlyMap<string, Pool>,
    excluded: ReadonlySet<Member> | null,
    isNarrowed: boolean,
  ) {
    this.#pool = pool
    this.#tagged = tagged
    this.#excluded = excluded
    this.#isNarrowed = isNarrowed
  }

  get size(): number {
    let { size } = this.#pool.members
    for (const member of this.#excluded ?? []) if (this.#pool.members.get(member.id) === member) size--
    return size
  }

  get(id: string): ConsumerView | null {
    const member = this.#pool.members.get(id)
    return member === undefined || this.#excluded?.has(member) ? null : member.view
  }

  next(): ConsumerView | null {
    return this.#pool.ready.next(this.#excluded)?.view ?? null
  }

  leastLoaded(): ConsumerView | null {
    return this.#pool.ready.leastLoaded(this.#excluded)?.view ?? null
  }

  forKey(key: string, withRoom = false): ConsumerView | null {
    const keyBits = textBits(key)
    let best: Member | null = null
    let bestWeight = -1
    for (const member of this.#pool.members.values()) {
      if (this.#excluded?.has(member) || (withRoom && member.available === 0)) continue
      const own = weight(keyBits, member.idBits)
      // Equal weights are told apart by id, so that the order of joining does not matter.
      if (own > bestWeight || (own === bestWeight && best !== null && member.id < best.id)) {
        best = member
        bestWeight = own
      }
    }
    return best === null ? null : best.view
  }

  withTag(tag: string): Candidates {
    const pool = this.#tagged.get(tag) ?? EMPTY
    if (!this.#isNarrowed) return new PoolCandidates(pool, this.#tagged, this.#excluded, true)
    // Only single tags have an index: who lacks the tag asked for before is left out by looking.
    const excluded = new Set(this.#excluded)
    for (const member of pool.members.values()) if (!this.#pool.members.has(member.id)) excluded.add(member)
    return new PoolCandidates(pool, this.#tagged, excluded, true)
  }

  *[Symbol.iterator](): Generator<ConsumerView> {
    for (const member of this.#pool.members.values()) if (!this.#excluded?.has(member)) yield member.view
  }
}
