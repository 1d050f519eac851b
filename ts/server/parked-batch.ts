import { ColumnBatch, type FrameBatch, type NameTable } from '../codec/index.ts'
import { Column, FrameType, HEAD_WIDTH, Head, ROW_WIDTH } from '../protocol/index.ts'

/** Whether frames of a type overtake those that wait: what is said of deliveries, all of it, because one answer counts for others. */
export function overtakes(typeId: number): boolean {
  return typeId === FrameType.Accept || typeId === FrameType.Defer || typeId === FrameType.Reject
}

/** Frames of a batch that have to wait, for longer than their decoder keeps its columns: those are copied, the bytes are not. */
export class ParkedBatch extends ColumnBatch {
  /** Bytes of the frames that it was made of. */
  readonly length: number

  /** Keeps the rows of `batch` from `first` on, without those that overtake. */
  constructor(batch: FrameBatch, first: number, names: NameTable) {
    const columns = new Int32Array(HEAD_WIDTH + (batch.count - first) * ROW_WIDTH)
    let end = HEAD_WIDTH
    for (let row = first; row < batch.count; row++) {
      const at = HEAD_WIDTH + row * ROW_WIDTH
      if (overtakes(batch.columns[at + Column.TYPE])) continue
      columns.set(batch.columns.subarray(at, at + ROW_WIDTH), end)
      end += ROW_WIDTH
    }
    const count = (end - HEAD_WIDTH) / ROW_WIDTH
    columns[Head.COUNT] = count
    super(columns, names)
    this.use(columns, batch.bytes, count)
    const last = HEAD_WIDTH + (batch.count - 1) * ROW_WIDTH
    const from = batch.columns[HEAD_WIDTH + first * ROW_WIDTH + Column.START]
    this.length = batch.columns[last + Column.START] + batch.columns[last + Column.LENGTH] - from
  }
}
