import type { EventRecord } from './layout.ts'

/** Most records that are kept, and most bytes that they take up together. */
const MOST_RECORDS = 2
const MOST_BYTES = 16 * 1024 * 1024

interface KeptRecord {
  /** The encoded key of its stream. */
  readonly stream: string
  readonly record: EventRecord
  readonly bytes: number
}

/**
 * The records that were read last, as they were decoded: whoever reads a large one in small pages does not decode it, and check its CRC, for each of them. A record never changes; but a stream
 * that is removed may begin anew, with other records of the same sequences, so that nothing of a stream is kept while its removal is underway.
 */
export class RecentRecords {
  /** The one that was used last is the first. */
  readonly #kept: KeptRecord[] = []
  /** Streams whose removal is underway, and how many removals. */
  readonly #removing = new Map<string, number>()

  /** The record of a stream with an event; `null` if it is not kept. */
  with(stream: string, sequence: bigint): EventRecord | null {
    const at = this.#kept.findIndex((kept) => {
      const { first, ends } = kept.record
      return kept.stream === stream && sequence >= first && sequence < first + BigInt(ends.length)
    })
    if (at < 0) return null
    const [found] = this.#kept.splice(at, 1)
    this.#kept.unshift(found)
    return found.record
  }

  /** Keeps a record, unless it is larger than all that may be; its memory must be nobody else's. */
  keep(stream: string, record: EventRecord): void {
    // Its ends lie in what was read as well as beside it.
    const bytes = record.bytes.length + 2 * record.ends.byteLength
    if (bytes > MOST_BYTES || this.#removing.has(stream)) return
    if (this.with(stream, record.first) !== null) this.#kept.shift()
    this.#kept.unshift({ stream, record, bytes })
    let total = 0
    const end = this.#kept.findIndex((kept, index) => {
      total += kept.bytes
      return index === MOST_RECORDS || total > MOST_BYTES
    })
    if (end >= 0) this.#kept.length = end
  }

  /** Lets go of what is kept of a stream. */
  forget(stream: string): void {
    for (let at = this.#kept.length - 1; at >= 0; at--) if (this.#kept[at].stream === stream) this.#kept.splice(at, 1)
  }

  /** Keeps nothing of a stream until {@link removed} was called as often. */
  removing(stream: string): void {
    this.forget(stream)
    this.#removing.set(stream, (this.#removing.get(stream) ?? 0) + 1)
  }

  removed(stream: string): void {
    const others = (this.#removing.get(stream) ?? 0) - 1
    if (others > 0) this.#removing.set(stream, others)
    else this.#removing.delete(stream)
  }

  clear(): void {
    this.#kept.length = 0
  }
}
