/** First in, first out, in one array that grows by doubling: no object per entry. */
export class Deque<Entry> {
  #entries: (Entry | undefined)[] = new Array<Entry | undefined>(16).fill(undefined)
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
    return entry
  }

  /** The entry at `index`, 0 the oldest. */
  at(index: number): Entry | undefined {
    return index < this.#size ? this.#entries[(this.#head + index) & (this.#entries.length - 1)] : undefined
  }

  /** Empties it and returns what was in it, the oldest first. */
  take(): Entry[] {
    const taken: Entry[] = []
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) taken.push(entry)
    return taken
  }

  #grow(): void {
    const before = this.#entries
    const grown = new Array<Entry | undefined>(before.length * 2).fill(undefined)
    for (let index = 0; index < this.#size; index++) grown[index] = before[(this.#head + index) & (before.length - 1)]
    this.#entries = grown
    this.#head = 0
  }
}
