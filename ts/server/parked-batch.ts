import type { Codec, FrameBatch, NameTable } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import type { Frame } from '../protocol/index.ts'
import { Column, HEAD_WIDTH, Head, ROW_WIDTH } from '../protocol/index.ts'

/** Frames of a batch that have to wait, for longer than their decoder keeps its columns: those are copied, the bytes are not. */
export class ParkedBatch implements FrameBatch {
  readonly bytes: Uint8Array
  readonly columns: Int32Array
  readonly count: number
  /** Bytes of the frames that it was made of. */
  readonly length: number
  readonly #decode: Codec['decode']
  readonly #names: NameTable

  /** Keeps the rows of `batch` from `first` on, without those of which `without` is the type. */
  constructor(batch: FrameBatch, first: number, without: number, codec: Codec, names: NameTable) {
    this.bytes = batch.bytes
    this.#decode = codec.decode
    this.#names = names
    const columns = new Int32Array(HEAD_WIDTH + (batch.count - first) * ROW_WIDTH)
    let end = HEAD_WIDTH
    for (let row = first; row < batch.count; row++) {
      const at = HEAD_WIDTH + row * ROW_WIDTH
      if (batch.columns[at + Column.TYPE] === without) continue
      columns.set(batch.columns.subarray(at, at + ROW_WIDTH), end)
      end += ROW_WIDTH
    }
    this.columns = columns
    this.count = (end - HEAD_WIDTH) / ROW_WIDTH
    columns[Head.COUNT] = this.count
    const last = HEAD_WIDTH + (batch.count - 1) * ROW_WIDTH
    const from = batch.columns[HEAD_WIDTH + first * ROW_WIDTH + Column.START]
    this.length = batch.columns[last + Column.START] + batch.columns[last + Column.LENGTH] - from
  }

  frame(row: number): Frame {
    return this.#decode(this.bytes, this.#column(row, Column.START)).frame
  }

  id(row: number): bigint {
    const at = this.#column(row, Column.ID)
    if (at === 0) throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.id: the frame of row ${row} has no id`)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getBigUint64(0)
  }

  channel(row: number): string {
    const known = this.#column(row, Column.CHANNEL)
    if (known >= 0) return this.#names.name(known)
    const frame = this.frame(row)
    if (frame.type === 'Publish' || frame.type === 'Subscribe') return frame.channel
    throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.channel: the frame of row ${row} has no channel`)
  }

  #column(row: number, column: number): number {
    if (row >>> 0 !== row || row >= this.count) {
      throw new LiminalError('INVALID_ARGUMENT', `FrameBatch: row ${row} is not one of the ${this.count} rows`)
    }
    return this.columns[HEAD_WIDTH + row * ROW_WIDTH + column]
  }
}
