import { HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'

/** Arrays kept for reuse by the whole process: as many decoders as are ever in the middle of a chunk at once, mostly one. */
const MOST_SPARE = 16

/** Columns of so many rows, for decoders that hold them only while they have rows to give out: an idle connection needs none of the 27 KB that 512 rows take. */
export class SpareColumns {
  readonly #width: number
  readonly #spare: Int32Array[] = []

  constructor(rows: number) {
    this.#width = HEAD_WIDTH + rows * ROW_WIDTH
  }

  take(): Int32Array {
    return this.#spare.pop() ?? new Int32Array(this.#width)
  }

  giveBack(columns: Int32Array): void {
    if (this.#spare.length < MOST_SPARE) this.#spare.push(columns)
  }
}
