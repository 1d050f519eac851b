import { type EventBatch, type MessageStamp, messageRecordLength, writeMessageRecord } from '../durability/index.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { rowOffset } from './one-message-run.ts'
import type { MessageRun } from './run.ts'

const LEAST_BYTES = 1_024
const LEAST_ROWS = 8
/** About what a record without a payload takes. */
const LEAST_RECORD_BYTES = 64
/** A batch begins no larger than this, however large the one before was. */
const MOST_FIRST_BYTES = 256 * 1024

/**
 * Messages on their way into a log, as the records that are stored and as a run that is delivered once they are: one memory, copied into once. The copy is needed, since a published run is lent
 * for one call and a commit takes longer.
 */
export class LogBatch {
  #bytes: Buffer
  #used = 0
  #columns: Int32Array
  #ends: Uint32Array
  #count = 0

  /** @param before The batch before this one, which is likely to be about as large. */
  constructor(before: { readonly length: number; readonly count: number } | null = null) {
    const bytes = Math.min(MOST_FIRST_BYTES, Math.max(LEAST_BYTES, before?.length ?? 0))
    const rows = Math.max(LEAST_ROWS, Math.min(before?.count ?? 0, bytes / LEAST_RECORD_BYTES))
    this.#bytes = Buffer.allocUnsafeSlow(bytes)
    this.#columns = new Int32Array(HEAD_WIDTH + Math.ceil(rows) * ROW_WIDTH)
    this.#ends = new Uint32Array(Math.ceil(rows))
  }

  /** Messages in it. */
  get count(): number {
    return this.#count
  }

  /** Bytes of their records. */
  get length(): number {
    return this.#used
  }

  /** Copies rows of a run in. Their message ids follow that of the stamp, which counts on. */
  add(run: MessageRun, stamp: MessageStamp, schemaId: Uint8Array): void {
    const { bytes, columns } = run
    const end = rowOffset(run.first + run.count)
    this.#makeRoom(run, stamp.publisher)
    for (let row = rowOffset(run.first); row < end; row += ROW_WIDTH) {
      const target = rowOffset(this.#count)
      this.#used = writeMessageRecord(
        stamp,
        schemaId,
        bytes,
        columns,
        row,
        this.#bytes,
        this.#used,
        this.#columns,
        target,
      )
      this.#ends[this.#count] = this.#used
      this.#count++
    }
  }

  /** The records, for the store: in pieces of about so many bytes. */
  *events(bytes: number): Generator<EventBatch> {
    let from = 0
    let start = 0
    for (let index = 0; index < this.#count; index++) {
      const end = this.#ends[index]
      if (index + 1 < this.#count && end - start < bytes) continue
      const ends = new Uint32Array(index + 1 - from)
      for (let event = from; event <= index; event++) ends[event - from] = this.#ends[event] - start
      yield { bytes: this.#bytes.subarray(start, end), ends }
      from = index + 1
      start = end
    }
  }

  /** The messages from one on, for subscriptions. Nothing is added any more. */
  run(): MessageRun {
    this.#columns[0] = this.#count
    this.#columns[1] = this.#used
    this.#columns[HEAD_WIDTH + Column.RUN] = this.#count
    return { bytes: this.#bytes, columns: this.#columns, first: 0, count: this.#count }
  }

  #makeRoom(run: MessageRun, publisher: Uint8Array | null): void {
    const { columns } = run
    const end = rowOffset(run.first + run.count)
    let needed = this.#used
    for (let row = rowOffset(run.first); row < end; row += ROW_WIDTH) {
      const envelopeLength =
        columns[row + Column.PAYLOAD] + columns[row + Column.PAYLOAD_LENGTH] - columns[row + Column.ENVELOPE]
      needed += messageRecordLength(publisher, columns[row + Column.KEY_LENGTH], envelopeLength)
    }
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, this.#used)
      this.#bytes = grown
    }
    const rows = this.#count + run.count
    if (rows <= this.#ends.length) return
    const capacity = Math.max(rows, this.#ends.length * 2)
    const ends = new Uint32Array(capacity)
    ends.set(this.#ends.subarray(0, this.#count))
    this.#ends = ends
    const grown = new Int32Array(HEAD_WIDTH + capacity * ROW_WIDTH)
    grown.set(this.#columns.subarray(0, rowOffset(this.#count)))
    this.#columns = grown
  }
}
