import { checkInteger, checkKnownOptions, checkOptions } from '../arguments.ts'
import { startOfEvent } from './event-batch.ts'
import type { EventPage, ReadLimits, StoredBatch } from './event-store.ts'

const DEFAULT_MAX_EVENTS = 1024
const DEFAULT_MAX_BYTES = 1024 * 1024
const KNOWN = Object.keys({ maxEvents: true, maxBytes: true } satisfies Record<keyof ReadLimits, true>)

/** @throws LiminalError `INVALID_ARGUMENT` */
export function checkReadLimits(limits: ReadLimits | undefined): void {
  checkOptions('limits', limits)
  if (limits === undefined) return
  checkKnownOptions('limits', limits, KNOWN)
  checkInteger('maxEvents', limits.maxEvents, 1)
  checkInteger('maxBytes', limits.maxBytes, 1)
}

/** A page of events while it is filled, from the records of a store in their order. What is in it is copied: the records may be anybody's memory. */
export class PageBuilder {
  readonly #batches: StoredBatch[] = []
  #next: bigint
  #events: number
  #bytes: number
  #isFull = false

  /** @param from the first sequence that is wanted; there must be an event from there on in the records that follow. */
  constructor(from: bigint, { maxEvents = DEFAULT_MAX_EVENTS, maxBytes = DEFAULT_MAX_BYTES }: ReadLimits = {}) {
    this.#next = from
    this.#events = maxEvents
    this.#bytes = maxBytes
  }

  /** Whether no further record is wanted. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Where to read on. */
  get next(): bigint {
    return this.#next
  }

  /** Takes of a record what fits. It must have the event at `next`. */
  add({ first, timestamp, ends, bytes }: StoredBatch): void {
    const from = Number(this.#next - first)
    const start = startOfEvent(ends, from)
    let to = from
    while (to < ends.length && to - from < this.#events) {
      const isFirst = to === from && this.#batches.length === 0
      if (ends[to] - start > this.#bytes && !isFirst) break
      to++
    }
    this.#isFull = to < ends.length
    if (to === from) return
    const size = ends[to - 1] - start
    const relative = ends.slice(from, to)
    if (start > 0) for (let index = 0; index < relative.length; index++) relative[index] -= start
    const copy = new Uint8Array(size)
    copy.set(bytes.subarray(start, start + size))
    this.#batches.push({ first: this.#next, timestamp, ends: relative, bytes: copy })
    this.#next += BigInt(to - from)
    this.#events -= to - from
    this.#bytes -= size
    if (this.#events <= 0 || this.#bytes <= 0) this.#isFull = true
  }

  build(): EventPage {
    return { batches: this.#batches, next: this.#next }
  }
}
