import { Congestion } from '../pressure/index.ts'

/** For how long publishers wait for a subscriber that accepts nothing, and for one that is merely slow, in milliseconds. */
const STALL_MS = 250
const HOLD_MS = 1_000

/** How many bytes of deliveries may wait for credit: of one subscription, or of all of a connection. */
export class QueueBudget {
  readonly #capacityBytes: number
  readonly #congestion: Congestion
  #bytes = 0

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes
    this.#congestion = new Congestion({
      highWater: capacityBytes / 2,
      lowWater: capacityBytes / 8,
      holdMs: HOLD_MS,
      stallMs: STALL_MS,
    })
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether `length` bytes more may wait. What is not behind takes a run of any size: what is larger than the cap is late, not lost. */
  takes(length: number): boolean {
    return this.#bytes + length <= this.#capacityBytes || this.#bytes <= this.#capacityBytes / 2
  }

  /** Counts `length` bytes more, or fewer if it is negative. */
  add(length: number): void {
    this.#bytes += length
    this.#congestion.update(this.#bytes)
  }

  /** What publishers wait for while too much waits; `null` if they need not. */
  hold(): Promise<void> | null {
    return this.#congestion.hold()
  }

  /** Lets publishers go, for good. */
  close(): void {
    this.#congestion.close()
  }
}
