import type { EventBatch, StoredBatch, StoredEvent } from './event-store.ts'

/** Events to be appended together, one at least, copied into one memory. */
export function eventBatch(events: readonly Uint8Array[]): EventBatch {
  const ends = new Uint32Array(events.length)
  let end = 0
  for (const [index, { length }] of events.entries()) {
    end += length
    ends[index] = end
  }
  return { bytes: Buffer.concat(events, end), ends }
}

/** Where the event with this index begins. */
export function startOfEvent(ends: Uint32Array, index: number): number {
  return index === 0 ? 0 : ends[index - 1]
}

/** The events of a batch, one by one. Their payloads are views of it. */
export function* eventsOf({ bytes, ends, first, timestamp }: StoredBatch): Generator<StoredEvent> {
  for (let index = 0; index < ends.length; index++) {
    yield {
      sequence: first + BigInt(index),
      timestamp,
      payload: bytes.subarray(startOfEvent(ends, index), ends[index]),
    }
  }
}
