/** u32s of a slot: four of the hash, then those of {@link SlotWord}. */
export const SLOT_WORDS = 8

/** Positions in a slot. FATE has the state in its upper two bits and the deliveries in the others. TIME is the tick of the claim or of the completion. */
export const SlotWord = { FATE: 4, VALUE_HIGH: 5, VALUE_LOW: 6, TIME: 7 } as const

/** What a slot is. */
export const SlotState = { EMPTY: 0, IN_FLIGHT: 1, COMPLETED: 2 } as const

/** Slots of the smallest table. */
const FIRST_CAPACITY = 8
/** Tables double up to so many slots, and then grow by a quarter. */
const QUARTERS_FROM = 64
/** Completed keys that are compared when one must give way. */
const CANDIDATES = 16
const NONE = new Uint32Array(0)

/** Ticks from `time` to `now`; negative if `time` is later. Right as long as they are less than 2^31 ticks apart. */
export function age(now: number, time: number): number {
  return (now - time) | 0
}

/**
 * One shard of the index: the twin of native/core/src/dedup/shard.rs, which describes it, slot for slot. Hashes are four words `at` somewhere in an array.
 */
export class ClaimShard {
  slots = NONE
  length = 0

  get capacity(): number {
    return this.slots.length / SLOT_WORDS
  }

  get bytes(): number {
    return this.slots.length * 4
  }

  /** Where the hash is, or else where it belongs, as -1 - slot. */
  find(words: Uint32Array, at: number): number {
    const { slots } = this
    const capacity = this.capacity
    if (capacity === 0) return -1
    let slot = homeOf(words[at + 1], capacity)
    for (let distance = 0; ; distance++) {
      const here = slot * SLOT_WORDS
      if (slots[here + SlotWord.FATE] === 0) return -1 - slot
      if (
        slots[here] === words[at] &&
        slots[here + 1] === words[at + 1] &&
        slots[here + 2] === words[at + 2] &&
        slots[here + 3] === words[at + 3]
      ) {
        return slot
      }
      if (this.#distance(slot, capacity) < distance) return -1 - slot
      slot = slot + 1 === capacity ? 0 : slot + 1
    }
  }

  state(slot: number): number {
    return this.slots[slot * SLOT_WORDS + SlotWord.FATE] >>> 30
  }

  time(slot: number): number {
    return this.slots[slot * SLOT_WORDS + SlotWord.TIME]
  }

  /** Whether another key needs a larger table: 93 of 100 slots are taken at most. */
  get isFull(): boolean {
    return (this.length + 1) * 100 > this.capacity * 93
  }

  /** Grows. `number` is the shard's. */
  grow(number: number): void {
    const { capacity } = this
    if (capacity === 0) this.#rebuild(FIRST_CAPACITY)
    else if (capacity * 2 < QUARTERS_FROM) this.#rebuild(capacity * 2)
    else if (capacity * 2 === QUARTERS_FROM) this.#rebuild(QUARTERS_FROM + (number % (QUARTERS_FROM / 4)))
    else this.#rebuild(capacity + Math.floor(capacity / 4))
  }

  /** Gives memory back if the table is less than half full. */
  shrink(): void {
    const enough = this.length + Math.floor(this.length / 4) + FIRST_CAPACITY
    if (this.length === 0) this.slots = NONE
    else if (this.length * 2 < this.capacity && enough < this.capacity) this.#rebuild(enough)
  }

  /** Makes room for a hash where {@link find} said that it belongs, as -1 - slot, and puts it there. Returns the slot. The table must not be full. */
  insert(found: number, words: Uint32Array, at: number): number {
    const { slots } = this
    const capacity = this.capacity
    const slot = -1 - found
    let end = slot
    while (slots[end * SLOT_WORDS + SlotWord.FATE] !== 0) end = end + 1 === capacity ? 0 : end + 1
    if (end >= slot) this.#move(slot, end, slot + 1)
    else {
      this.#move(0, end, 1)
      this.#move(capacity - 1, capacity, 0)
      this.#move(slot, capacity - 1, slot + 1)
    }
    for (let word = 0; word < 4; word++) slots[slot * SLOT_WORDS + word] = words[at + word]
    this.length++
    return slot
  }

  /** Says what became of the key in a slot. */
  set(slot: number, state: number, deliveredTo: number, valueHigh: number, valueLow: number, time: number): void {
    const here = slot * SLOT_WORDS
    this.slots[here + SlotWord.FATE] = (state << 30) | deliveredTo
    this.slots[here + SlotWord.VALUE_HIGH] = valueHigh
    this.slots[here + SlotWord.VALUE_LOW] = valueLow
    this.slots[here + SlotWord.TIME] = time
  }

  /** Removes what is in a slot. */
  remove(slot: number): void {
    const { slots } = this
    const capacity = this.capacity
    let end = slot + 1 === capacity ? 0 : slot + 1
    while (slots[end * SLOT_WORDS + SlotWord.FATE] !== 0 && this.#distance(end, capacity) > 0) {
      end = end + 1 === capacity ? 0 : end + 1
    }
    if (end > slot) this.#move(slot + 1, end, slot)
    else {
      this.#move(slot + 1, capacity, slot)
      if (end > 0) {
        this.#move(0, 1, capacity - 1)
        this.#move(1, end, 0)
      }
    }
    const hole = (end === 0 ? capacity : end) - 1
    slots.fill(0, hole * SLOT_WORDS, (hole + 1) * SLOT_WORDS)
    this.length--
  }

  /** Removes, of the first completed keys from where a hash belongs, the one that is oldest at `now`. False if no key of the shard is completed. */
  evict(words: Uint32Array, at: number, now: number): boolean {
    const capacity = this.capacity
    let oldest = -1
    let most = 0
    let slot = homeOf(words[at + 1], capacity)
    for (let visited = 0, candidates = 0; visited < capacity && candidates < CANDIDATES; visited++) {
      if (this.state(slot) === SlotState.COMPLETED) {
        const old = age(now, this.time(slot))
        if (oldest < 0 || old > most) {
          oldest = slot
          most = old
        }
        candidates++
      }
      slot = slot + 1 === capacity ? 0 : slot + 1
    }
    if (oldest >= 0) this.remove(oldest)
    return oldest >= 0
  }

  #rebuild(capacity: number): void {
    const old = this.slots
    this.slots = new Uint32Array(capacity * SLOT_WORDS)
    this.length = 0
    const before = old.length / SLOT_WORDS
    // The end of the last chain may lie at the start of the table; it goes last, so that slots come in the order that the native index moves them in.
    let start = 0
    while (start < before && old[start * SLOT_WORDS + SlotWord.FATE] !== 0) {
      if (homeOf(old[start * SLOT_WORDS + 1], before) <= start) break
      start++
    }
    for (let step = 0; step < before; step++) {
      const at = ((start + step) % before) * SLOT_WORDS
      if (old[at + SlotWord.FATE] === 0) continue
      const slot = this.insert(this.find(old, at), old, at)
      this.slots.set(old.subarray(at + 4, at + SLOT_WORDS), slot * SLOT_WORDS + 4)
    }
  }

  #move(from: number, to: number, target: number): void {
    this.slots.copyWithin(target * SLOT_WORDS, from * SLOT_WORDS, to * SLOT_WORDS)
  }

  /** How far behind its home the occupant of a slot is. */
  #distance(slot: number, capacity: number): number {
    const home = homeOf(this.slots[slot * SLOT_WORDS + 1], capacity)
    return slot >= home ? slot - home : slot + capacity - home
  }
}

/** The slot that a hash would have to itself. */
function homeOf(word: number, capacity: number): number {
  return Math.floor((word * capacity) / 2 ** 32)
}
