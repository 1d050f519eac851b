/** Bits of an id below the start time: about a million ids for every millisecond that the process lives. */
const COUNTER_BITS = 20n

/**
 * The ids of messages: u64, rising, and unique on a bus also across its restarts, because they begin at the time of the start. Whoever hands out more than 2^20
 * ids a millisecond for as long as it lives would catch up with its successor; nobody does.
 */
export class MessageIds {
  #next: bigint

  /** @param startMs Unix time in milliseconds that ids begin at. Default: now. */
  constructor(startMs: number = Date.now()) {
    this.#next = BigInt(Math.trunc(startMs)) << COUNTER_BITS
  }

  /** Makes all ids from now on larger than one that was handed out in an earlier life: the clock may have been set back since. */
  startAfter(id: bigint): void {
    if (id >= this.#next) this.#next = id + 1n
  }

  /** Takes `count` consecutive ids and returns the first. */
  take(count: number): bigint {
    const first = this.#next
    this.#next += BigInt(count)
    return first
  }
}
