/** What stands in a {@link LoadHeap}: it knows its own place. */
export interface HeapEntry {
  heapIndex: number
}

/** A binary heap whose entries may change and leave: the first is found at once, every change costs O(log n). */
export class LoadHeap<Entry extends HeapEntry> {
  readonly #entries: Entry[] = []
  readonly #isBefore: (one: Entry, other: Entry) => boolean

  constructor(isBefore: (one: Entry, other: Entry) => boolean) {
    this.#isBefore = isBefore
  }

  get first(): Entry | null {
    return this.#entries.length === 0 ? null : this.#entries[0]
  }

  add(entry: Entry): void {
    entry.heapIndex = this.#entries.length
    this.#entries.push(entry)
    this.#rise(entry)
  }

  remove(entry: Entry): void {
    const last = this.#entries.pop()
    if (last === undefined || last === entry) return
    this.#put(last, entry.heapIndex)
    this.update(last)
  }

  /** Finds the place of an entry that changed. */
  update(entry: Entry): void {
    this.#rise(entry)
    this.#sink(entry)
  }

  #rise(entry: Entry): void {
    while (entry.heapIndex > 0) {
      const at = entry.heapIndex
      const parent = this.#entries[(at - 1) >> 1]
      if (!this.#isBefore(entry, parent)) return
      this.#put(entry, (at - 1) >> 1)
      this.#put(parent, at)
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const at = entry.heapIndex
      const left = at * 2 + 1
      if (left >= this.#entries.length) return
      const right = left + 1
      const isRight = right < this.#entries.length && this.#isBefore(this.#entries[right], this.#entries[left])
      const child = this.#entries[isRight ? right : left]
      if (!this.#isBefore(child, entry)) return
      this.#put(entry, child.heapIndex)
      this.#put(child, at)
    }
  }

  #put(entry: Entry, index: number): void {
    this.#entries[index] = entry
    entry.heapIndex = index
  }
}
