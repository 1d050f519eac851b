import { Link, LinkedList } from './linked-list.ts'
import { type HeapEntry, LoadHeap } from './load-heap.ts'

/** What a {@link ReadySet} needs to know of a consumer. */
export interface Loaded {
  readonly inFlight: number
  readonly capacity: number
}

class ReadyEntry<Member extends Loaded> implements HeapEntry {
  readonly link: Link<Member>
  heapIndex = 0
  /** Grows with each choice: whoever has the smallest waits longest. */
  turn = 0

  constructor(member: Member) {
    this.link = new Link(member)
  }
}

/**
 * The consumers that have room, in the order in which they wait for their turn, and by load once somebody asks for that. Every change costs O(1), O(log n) with
 * the order by load.
 */
export class ReadySet<Member extends Loaded> {
  readonly #entries = new Map<Member, ReadyEntry<Member>>()
  readonly #turns = new LinkedList<Member>()
  #heap: LoadHeap<ReadyEntry<Member>> | null = null
  #turn = 0

  get size(): number {
    return this.#entries.size
  }

  /** Its turn comes after everybody else's. */
  add(member: Member): void {
    if (this.#entries.has(member)) return
    const entry = new ReadyEntry(member)
    entry.turn = ++this.#turn
    this.#entries.set(member, entry)
    this.#turns.append(entry.link)
    this.#heap?.add(entry)
  }

  remove(member: Member): void {
    const entry = this.#entries.get(member)
    if (entry === undefined) return
    this.#entries.delete(member)
    this.#turns.remove(entry.link)
    this.#heap?.remove(entry)
  }

  /** Its load or capacity changed. */
  changed(member: Member): void {
    const entry = this.#entries.get(member)
    if (entry !== undefined) this.#heap?.update(entry)
  }

  /** It had its turn, and its load changed with it. */
  chosen(member: Member): void {
    const entry = this.#entries.get(member)
    if (entry === undefined) return
    entry.turn = ++this.#turn
    this.#turns.remove(entry.link)
    this.#turns.append(entry.link)
    this.#heap?.update(entry)
  }

  /** Whose turn it is, leaving out some. */
  next(excluded: ReadonlySet<Member> | null): Member | null {
    let link = this.#turns.first
    while (link !== null && excluded?.has(link.value)) link = link.next
    return link === null ? null : link.value
  }

  /** Who has the smallest share of its capacity in use, leaving out some; among equals whose turn it is. */
  leastLoaded(excluded: ReadonlySet<Member> | null): Member | null {
    const first = this.#byLoad().first
    if (first === null) return null
    if (!excluded?.has(first.link.value)) return first.link.value
    // Rare: consumers that a dispatch leaves out have mostly left the group as well.
    let least: ReadyEntry<Member> | null = null
    for (const entry of this.#entries.values()) {
      if (!excluded.has(entry.link.value) && (least === null || isLessLoaded(entry, least))) least = entry
    }
    return least === null ? null : least.link.value
  }

  #byLoad(): LoadHeap<ReadyEntry<Member>> {
    if (this.#heap === null) {
      this.#heap = new LoadHeap<ReadyEntry<Member>>(isLessLoaded)
      for (const entry of this.#entries.values()) this.#heap.add(entry)
    }
    return this.#heap
  }
}

function isLessLoaded<Member extends Loaded>(one: ReadyEntry<Member>, other: ReadyEntry<Member>): boolean {
  // Shares compared without a division: exact for whole numbers.
  const left = one.link.value.inFlight * other.link.value.capacity
  const right = other.link.value.inFlight * one.link.value.capacity
  return left < right || (left === right && one.turn < other.turn)
}
