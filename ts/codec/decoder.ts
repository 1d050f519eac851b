import { LiminalError } from '../errors.ts'
import { DEFAULT_MAX_FRAME_BYTES, type Frame, HEAD_WIDTH, HEADER_BYTES, Head, ScanStatus } from '../protocol/index.ts'
import { ColumnBatch } from './batch.ts'
import { Carry } from './carry.ts'
import type { FrameBatch, FrameDecoder, FrameDecoderOptions, NameTable } from './codec.ts'
import { frameTooLarge } from './failure.ts'
import { readU32 } from './integers.ts'
import { createNameTable } from './names.ts'
import { decode, typeName } from './single.ts'
import { SpareColumns } from './spare-columns.ts'
import { view } from './text.ts'

const DEFAULT_ROWS = 512
const NO_BYTES = new Uint8Array(0)
const NO_COLUMNS = new Int32Array(HEAD_WIDTH)
const spareColumns = new SpareColumns(DEFAULT_ROWS)
// Columns are int32, so neither an offset nor a length may pass this.
const MAX_OFFSET = 0x7fff_ffff

/**
 * The part of a decoder that both codecs share: a chunk is scanned in place, a frame that is cut by its end is carried over to the next one.
 * A codec adds only its scan.
 */
export abstract class StreamDecoder implements FrameDecoder {
  readonly #batch: ColumnBatch
  readonly #spareColumns: SpareColumns
  /** Held from the first scan of a chunk until its rows were given out. */
  #columns: Int32Array | null = null
  readonly #carry = new Carry()
  readonly #names: NameTable
  readonly #maxFrameBytes: number
  #chunk: Uint8Array = NO_BYTES
  /** Offset in the chunk of the first byte that is in no row yet. */
  #position = 0
  /** What the last scan of the chunk said: COMPLETE and PARTIAL make another one unnecessary. */
  #status: number = ScanStatus.COMPLETE
  #failure: Error | null = null

  constructor(options: FrameDecoderOptions = {}) {
    const { maxFrameBytes = DEFAULT_MAX_FRAME_BYTES, rows = DEFAULT_ROWS } = options
    this.#maxFrameBytes = integerOption('maxFrameBytes', maxFrameBytes, HEADER_BYTES, MAX_OFFSET)
    const capacity = integerOption('rows', rows, 1, 1_000_000)
    this.#names = options.names ?? createNameTable()
    this.#spareColumns = capacity === DEFAULT_ROWS ? spareColumns : new SpareColumns(capacity)
    this.#batch = new ColumnBatch(NO_COLUMNS, this.#names)
  }

  /** Scans bytes[start, end) into the columns and returns the rows. Writes what the scan of the other codec writes. */
  protected abstract scan(
    bytes: Uint8Array,
    start: number,
    end: number,
    columns: Int32Array,
    names: NameTable,
    maxFrameBytes: number,
  ): number

  get batch(): FrameBatch {
    return this.#batch
  }

  get pendingBytes(): number {
    return this.#carry.length
  }

  push(chunk: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#position < this.#chunk.length) {
      throw new LiminalError(
        'INVALID_ARGUMENT',
        'FrameDecoder.push: call next() until it returns false before the next chunk',
      )
    }
    if (chunk.length > MAX_OFFSET) {
      throw new LiminalError('INVALID_ARGUMENT', `FrameDecoder.push: a chunk has at most ${MAX_OFFSET} bytes; split it`)
    }
    this.#chunk = chunk
    this.#position = 0
    this.#status = ScanStatus.FULL
  }

  next(): boolean {
    if (this.#failure !== null) throw this.#failure
    if (this.#carry.length > 0) return this.#nextCarried()
    if (this.#status === ScanStatus.PARTIAL) this.#carryTail()
    if (this.#position === this.#chunk.length) return this.#drained()
    const count = this.#scan(this.#chunk, this.#position, this.#chunk.length)
    const { columns } = this.#batch
    this.#status = columns[Head.STATUS]
    this.#position = columns[Head.CONSUMED]
    if (count > 0) return true
    if (this.#status !== ScanStatus.PARTIAL) throw this.#fail(this.#chunk, this.#position, this.#status)
    this.#carryTail()
    return this.#drained()
  }

  *frames(chunk: Uint8Array): Generator<Frame, void, undefined> {
    this.push(chunk)
    while (this.next()) {
      for (let row = 0; row < this.#batch.count; row++) yield this.#batch.frame(row)
    }
  }

  end(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#status === ScanStatus.PARTIAL) this.#carryTail()
    if (this.#position < this.#chunk.length) {
      throw new LiminalError('INVALID_ARGUMENT', 'FrameDecoder.end: call next() until it returns false first')
    }
    if (this.#carry.length > 0) throw this.#fail(this.#carry.bytes, 0, ScanStatus.PARTIAL)
  }

  /** Completes the carried frame from the chunk and hands it out as a batch of one row. */
  #nextCarried(): boolean {
    const carry = this.#carry
    while (carry.missing > 0) {
      if (this.#position === this.#chunk.length) return this.#drained()
      this.#position += carry.take(this.#chunk, this.#position)
      // The header is judged as soon as it is there: a frame over the cap is not waited for.
      if (carry.total > this.#maxFrameBytes) throw this.#fail(carry.bytes, 0, ScanStatus.TOO_LARGE)
    }
    const bytes = carry.handOver()
    if (this.#scan(bytes, 0, bytes.length) === 0) throw this.#fail(bytes, 0, this.#batch.columns[Head.STATUS])
    return true
  }

  #scan(bytes: Uint8Array, start: number, end: number): number {
    this.#columns ??= this.#spareColumns.take()
    const count = this.scan(bytes, start, end, this.#columns, this.#names, this.#maxFrameBytes)
    this.#batch.use(this.#columns, bytes, count)
    return count
  }

  #carryTail(): void {
    this.#carry.start(this.#chunk, this.#position)
    this.#position = this.#chunk.length
    this.#status = ScanStatus.COMPLETE
  }

  /** Lets go of the chunk, which the caller may reuse from now on. */
  #drained(): false {
    this.#chunk = NO_BYTES
    this.#position = 0
    this.#batch.use(NO_COLUMNS, NO_BYTES, 0)
    if (this.#columns !== null) this.#spareColumns.giveBack(this.#columns)
    this.#columns = null
    return false
  }

  /** Remembers why the stream is over. The scans only say that a frame is bad; decoding it alone says why. */
  #fail(bytes: Uint8Array, start: number, status: number): Error {
    this.#failure = failureOf(bytes, start, status, this.#maxFrameBytes)
    this.#carry.handOver()
    this.#drained()
    return this.#failure
  }
}

function failureOf(bytes: Uint8Array, start: number, status: number, maxFrameBytes: number): Error {
  if (status === ScanStatus.TOO_LARGE) {
    return frameTooLarge(typeName(bytes[start]), HEADER_BYTES + readU32(bytes, start + 6), maxFrameBytes)
  }
  try {
    decode(view(bytes, start, bytes.length))
  } catch (error) {
    if (error instanceof LiminalError) return error
    throw error
  }
  return new LiminalError(
    'INTERNAL',
    `The scan refused a ${typeName(bytes[start])} frame (status ${status}) that decodes`,
  )
}

function integerOption(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new LiminalError(
    'INVALID_ARGUMENT',
    `FrameDecoder: ${name} is an integer from ${least} to ${most}, not ${value}`,
  )
}
