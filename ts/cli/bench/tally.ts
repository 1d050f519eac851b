/** What became of the messages that one process was to get. */
export interface TallyCounts {
  /** Different messages that arrived. */
  readonly received: number
  /** Arrivals of a message that had arrived before. */
  readonly duplicates: number
  /** Messages that arrived after a later one of the same source. */
  readonly outOfOrder: number
  /** Arrivals that no source sent like this. */
  readonly corrupt: number
}

/** Ticks off every message of every source: one bit each. */
export class Tally {
  readonly #arrived: readonly Uint8Array[]
  readonly #sizes: readonly number[]
  readonly #newest: number[]
  #received = 0
  #duplicates = 0
  #outOfOrder = 0
  #corrupt = 0

  /** @param sizes how many messages each source sends. */
  constructor(sizes: readonly number[]) {
    this.#sizes = sizes
    this.#arrived = sizes.map((size) => new Uint8Array(Math.ceil(size / 8)))
    this.#newest = sizes.map(() => -1)
  }

  get received(): number {
    return this.#received
  }

  arrived(source: number, sequence: number): void {
    if (!(sequence < (this.#sizes[source] ?? 0))) {
      this.#corrupt += 1
      return
    }
    const bits = this.#arrived[source]
    const bit = 1 << (sequence & 7)
    if ((bits[sequence >>> 3] & bit) !== 0) {
      this.#duplicates += 1
      return
    }
    bits[sequence >>> 3] |= bit
    this.#received += 1
    if (sequence < this.#newest[source]) this.#outOfOrder += 1
    else this.#newest[source] = sequence
  }

  corrupt(): void {
    this.#corrupt += 1
  }

  counts(): TallyCounts {
    return {
      received: this.#received,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      corrupt: this.#corrupt,
    }
  }
}
