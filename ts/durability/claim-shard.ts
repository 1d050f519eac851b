/** u32s of a key: four of its hash, then those of {@link EntryWord}. */
export const ENTRY_WORDS = 8

/** Positions in a key. FATE has the state in its upper two bits and the deliveries in the others. TIME is the tick of the claim or of the completion. */
export const EntryWord = { FATE: 4, VALUE_HIGH: 5, VALUE_LOW: 6, TIME: 7 } as const

/** What a key is. */
export const EntryState = { IN_FLIGHT: 1, COMPLETED: 2 } as const

/** Bits of a place that are the position of a key; the others are of its hash. */
const POSITION_BITS = 10
const POSITION = 2 ** POSITION_BITS - 1
/** A place that is free. Its position is one that no key has. */
const FREE = 0xffff
/** Keys of a shard at most. */
const MOST_KEYS = POSITION
/** Keys that there is room for at first, and places of the first table. */
const FIRST_ROOM = 8
const FIRST_PLACES = 12
/** Rooms double up to so many keys, and then grow by a fifth. */
const FIFTHS_FROM = 16
/** Completed keys that are compared when one must give way. */
const CANDIDATES = 8
const NO_ENTRIES = new Uint32Array(0)
const NO_PLACES = new Uint16Array(0)

/** Ticks from `time` to `now`; negative if `time` is later. Right as long as they are less than 2^31 ticks apart. */
export function age(now: number, time: number): number {
  return (now - time) | 0
}

/**
 * One shard of the index: the twin of native/core/src/dedup/shard.rs, which describes it; keys have the same positions in both. Hashes are four words `at` somewhere in an array.
 */
export class ClaimShard {
  entries = NO_ENTRIES
  length = 0
  #places = NO_PLACES
  /** Places that are taken, by keys that are gone too. */
  #taken = 0
  /** Where the search for a key that gives way begins: behind the last one that did. */
  #hand = 0

  /** Bytes of its tables. */
  get bytes(): number {
    return this.entries.length * 4 + this.#places.length * 2
  }

  /** The position of a hash, or -1 - the free place of the table that its search ended with. */
  find(words: Uint32Array, at: number): number {
    const { entries } = this
    const places = this.#places
    if (places.length === 0) return -1
    const tag = tagOf(words[at + 2])
    for (let place = homeOf(words[at + 1], places.length); ; place = place + 1 === places.length ? 0 : place + 1) {
      const hint = places[place]
      if (hint === FREE) return -1 - place
      if ((hint & ~POSITION) !== tag) continue
      const position = hint & POSITION
      const here = position * ENTRY_WORDS
      if (
        position < this.length &&
        entries[here] === words[at] &&
        entries[here + 1] === words[at + 1] &&
        entries[here + 2] === words[at + 2] &&
        entries[here + 3] === words[at + 3]
      ) {
        return position
      }
    }
  }

  state(position: number): number {
    return this.entries[position * ENTRY_WORDS + EntryWord.FATE] >>> 30
  }

  time(position: number): number {
    return this.entries[position * ENTRY_WORDS + EntryWord.TIME]
  }

  /** Whether there can be no other key. */
  get isClosed(): boolean {
    return this.length === MOST_KEYS
  }

  /** Adds a key whose search was in vain, and returns its position. `number` is the shard's. */
  insert(number: number, found: number, words: Uint32Array, at: number): number {
    if (this.length === this.#room) this.#grow(number)
    const place = this.#placeFor(found, words, at)
    const position = this.length++
    this.#put(place, position, words, at)
    return position
  }

  /**
   * Puts a key whose search was in vain where another one was, and returns its position: of the first completed keys behind the one that gave way last, that of the oldest at `now`. -1 if no
   * key of the shard is completed.
   */
  replace(found: number, words: Uint32Array, at: number, now: number): number {
    const position = this.#oldest(now)
    if (position < 0) return -1
    this.#put(this.#placeFor(found, words, at), position, words, at)
    this.#hand = position + 1
    return position
  }

  /** Says what became of the key at a position. */
  set(position: number, state: number, deliveredTo: number, valueHigh: number, valueLow: number, time: number): void {
    const here = position * ENTRY_WORDS
    this.entries[here + EntryWord.FATE] = (state << 30) | deliveredTo
    this.entries[here + EntryWord.VALUE_HIGH] = valueHigh
    this.entries[here + EntryWord.VALUE_LOW] = valueLow
    this.entries[here + EntryWord.TIME] = time
  }

  /** Removes a key. The last one takes its position. */
  remove(position: number): void {
    const { entries } = this
    const places = this.#places
    const last = this.length - 1
    if (position !== last) {
      const from = last * ENTRY_WORDS
      const hint = hintOf(entries, from, last)
      let place = homeOf(entries[from + 1], places.length)
      while (places[place] !== hint) place = place + 1 === places.length ? 0 : place + 1
      places[place] = hintOf(entries, from, position)
      entries.copyWithin(position * ENTRY_WORDS, from, from + ENTRY_WORDS)
    }
    this.length = last
  }

  /** Gives memory back if less than half of it is used. */
  shrink(): void {
    const enough = this.length + Math.floor(this.length / 8) + FIRST_ROOM
    if (this.length === 0) {
      this.entries = NO_ENTRIES
      this.#places = NO_PLACES
      this.#taken = 0
      this.#hand = 0
    } else if (this.length * 2 < this.#room && enough < this.#room) {
      this.#resize(enough)
      this.#rebuild(enough + Math.floor(enough / 2))
    }
  }

  /** Keys that there is room for. */
  get #room(): number {
    return this.entries.length / ENTRY_WORDS
  }

  #oldest(now: number): number {
    const { length } = this
    let oldest = -1
    let most = 0
    let position = this.#hand < length ? this.#hand : 0
    for (let visited = 0, candidates = 0; visited < length && candidates < CANDIDATES; visited++) {
      if (this.state(position) === EntryState.COMPLETED) {
        const old = age(now, this.time(position))
        if (oldest < 0 || old > most) {
          oldest = position
          most = old
        }
        candidates++
      }
      position = position + 1 === length ? 0 : position + 1
    }
    return oldest
  }

  #grow(number: number): void {
    const room = this.#room
    if (room < FIRST_ROOM) this.#resize(FIRST_ROOM)
    else if (room * 2 < FIFTHS_FROM) this.#resize(room * 2)
    else if (room < FIFTHS_FROM) this.#resize(FIFTHS_FROM + (number % (FIFTHS_FROM / 4)))
    else this.#resize(Math.min(room + Math.floor(room / 5), MOST_KEYS))
  }

  #resize(room: number): void {
    const entries = new Uint32Array(room * ENTRY_WORDS)
    entries.set(this.entries.subarray(0, this.length * ENTRY_WORDS))
    this.entries = entries
  }

  /** Makes the table anew. */
  #rebuild(places: number): void {
    const { entries } = this
    if (this.#places.length !== places) this.#places = new Uint16Array(places)
    this.#places.fill(FREE)
    this.#taken = this.length
    for (let position = 0; position < this.length; position++) {
      const at = position * ENTRY_WORDS
      this.#places[this.#freePlace(entries, at)] = hintOf(entries, at, position)
    }
  }

  /**
   * The free place that a search ended with, or another one if the table has to be made anew first: five in six places are taken at most. It grows by a third if that is so because of keys that
   * are there.
   */
  #placeFor(found: number, words: Uint32Array, at: number): number {
    const places = this.#places.length
    if (this.#taken * 6 < places * 5) return -1 - found
    if (places === 0) this.#rebuild(FIRST_PLACES)
    else if (this.length * 3 > places * 2) this.#rebuild(places + Math.floor(places / 3))
    else this.#rebuild(places)
    return this.#freePlace(words, at)
  }

  /** Where the search for a hash that is not there ends. */
  #freePlace(words: Uint32Array, at: number): number {
    const places = this.#places
    let place = homeOf(words[at + 1], places.length)
    while (places[place] !== FREE) place = place + 1 === places.length ? 0 : place + 1
    return place
  }

  #put(place: number, position: number, words: Uint32Array, at: number): void {
    for (let word = 0; word < 4; word++) this.entries[position * ENTRY_WORDS + word] = words[at + word]
    this.#places[place] = hintOf(words, at, position)
    this.#taken++
  }
}

/** The place where the search for a hash begins. */
function homeOf(word: number, places: number): number {
  return Math.floor((word * places) / 2 ** 32)
}

/** What a place says of a hash. */
function tagOf(word: number): number {
  return (word << POSITION_BITS) & 0xffff
}

function hintOf(words: Uint32Array, at: number, position: number): number {
  return tagOf(words[at + 2]) | position
}
