const FIRST_SLOTS = 16
/** Slots that an emptied deque gives back: a burst's are not kept for ever. */
const LARGE_SLOTS = 4_096

/** First in, first out, in one array that grows by doubling: no object per entry, and nothing kept of what was taken. Its cap is its owner's. */
export class Deque<Entry> {
  #entries: (Entry | undefined)[] = emptySlots(FIRST_SLOTS)
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(entry: Entry): void {
    if (this.#size === this.#entries.length) this.#grow()
    this.#entries[(this.#head + this.#size) & (this.#entries.length - 1)] = entry
    this.#size++
  }

  shift(): Entry | undefined {
    if (this.#size === 0) return undefined
    const entry = this.#entries[this.#head]
    this.#entries[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#entries.length - 1)
    this.#size--
    if (this.#size === 0 && this.#entries.length > LARGE_SLOTS) this.clear()
    return entry
  }

  /** The entry at `index`, 0 the oldest. */
  at(index: number): Entry | undefined {
    return index < this.#size ? this.#entries[(this.#head + index) & (this.#entries.length - 1)] : undefined
  }

  /** Empties it. */
  clear(): void {
    this.#entries = emptySlots(FIRST_SLOTS)
    this.#head = 0
    this.#size = 0
  }

  /** Empties it and returns what was in it, the oldest first. */
  take(): Entry[] {
    const taken: Entry[] = []
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) taken.push(entry)
    return taken
  }

  #grow(): void {
    const before = this.#entries
    const grown = emptySlots<Entry>(before.length * 2)
    for (let index = 0; index < this.#size; index++) grown[index] = before[(this.#head + index) & (before.length - 1)]
    this.#entries = grown
    this.#head = 0
  }
}

function emptySlots<Entry>(count: number): (Entry | undefined)[] {
  return new Array<Entry | undefined>(count).fill(undefined)
}
