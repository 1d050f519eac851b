import { LiminalError } from '../errors.ts'
import type { CausalContext, Envelope, Frame, Publish } from '../protocol/index.ts'
import { Column, FrameType, HEAD_WIDTH, ROW_WIDTH, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import type { FrameBatch, NameTable } from './codec.ts'
import { readCausal } from './frame/envelope.ts'
import { readU32, readU64 } from './integers.ts'
import { Reader } from './reader.ts'
import { decode } from './single.ts'
import { readText, view } from './text.ts'

/** The context of a message that says nothing about its origin; most do not. Frozen because it is shared. */
const NO_CONTEXT: CausalContext = Object.freeze({ parentId: null, vectorClockEntry: null })

/** The upper half of the largest id that a number holds. */
const LARGEST_HIGH = 0x1f_ffff

/** The rows of one scan. Frames of the frequent types are built from the columns, the others are decoded again. */
export class ColumnBatch implements FrameBatch {
  #columns: Int32Array
  readonly #names: NameTable
  #bytes: Uint8Array = new Uint8Array(0)
  #count = 0

  constructor(columns: Int32Array, names: NameTable) {
    this.#columns = columns
    this.#names = names
  }

  get columns(): Int32Array {
    return this.#columns
  }

  get bytes(): Uint8Array {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** Points the batch at the columns and the bytes of the scan just made. */
  use(columns: Int32Array, bytes: Uint8Array, count: number): void {
    this.#columns = columns
    this.#bytes = bytes
    this.#count = count
  }

  frame(row: number): Frame {
    const at = this.#rowAt(row)
    const { columns } = this
    const flags = columns[at + Column.FLAGS]
    const streamId = columns[at + Column.STREAM] >>> 0
    switch (columns[at + Column.TYPE]) {
      case FrameType.Publish:
        return this.#publish(at, flags, streamId)
      case FrameType.Deliver: {
        const deliverySeq = readU64(this.#bytes, columns[at + Column.ID])
        return { type: 'Deliver', flags, streamId, deliverySeq, envelope: this.#envelope(at) }
      }
      case FrameType.ConversationMessage: {
        const conversationId = readU64(this.#bytes, columns[at + Column.ID])
        return { type: 'ConversationMessage', flags, streamId, conversationId, envelope: this.#envelope(at) }
      }
      case FrameType.PublishAck:
        return { type: 'PublishAck', flags, streamId, messageId: readU64(this.#bytes, columns[at + Column.ID]) }
      default:
        return decode(this.#bytes, columns[at + Column.START]).frame
    }
  }

  id(row: number): bigint {
    const at = this.columns[this.#rowAt(row) + Column.ID]
    if (at === 0) throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.id: the frame of row ${row} has no id`)
    return readU64(this.#bytes, at)
  }

  key(row: number): number | bigint {
    const at = this.columns[this.#rowAt(row) + Column.ID]
    if (at === 0) throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.key: the frame of row ${row} has no id`)
    const high = readU32(this.#bytes, at)
    return high > LARGEST_HIGH ? readU64(this.#bytes, at) : high * 0x1_0000_0000 + readU32(this.#bytes, at + 4)
  }

  payload(row: number): Uint8Array {
    const at = this.#rowAt(row)
    const start = this.columns[at + Column.PAYLOAD]
    if (start === 0) throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.payload: the frame of row ${row} has none`)
    return view(this.#bytes, start, start + this.columns[at + Column.PAYLOAD_LENGTH])
  }

  causal(row: number): CausalContext {
    const at = this.#rowAt(row)
    const start = this.columns[at + Column.ENVELOPE]
    if (start === 0)
      throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.causal: the frame of row ${row} has no envelope`)
    return this.#causal(start + SCHEMA_ID_BYTES, this.columns[at + Column.PAYLOAD])
  }

  channel(row: number): string {
    const at = this.#rowAt(row)
    const typeId = this.columns[at + Column.TYPE]
    if (typeId !== FrameType.Publish && typeId !== FrameType.Subscribe) {
      throw new LiminalError('INVALID_ARGUMENT', `FrameBatch.channel: the frame of row ${row} has no channel`)
    }
    return this.#channel(at)
  }

  #publish(at: number, flags: number, streamId: number): Publish {
    const { columns } = this
    const keyLength = columns[at + Column.KEY_LENGTH]
    const key = columns[at + Column.KEY]
    return {
      type: 'Publish',
      flags,
      streamId,
      channel: this.#channel(at),
      envelope: this.#envelope(at),
      idempotencyKey: keyLength < 0 ? null : this.#text(key, keyLength),
    }
  }

  #channel(at: number): string {
    const id = this.columns[at + Column.CHANNEL]
    if (id >= 0) return this.#names.name(id)
    const field = this.columns[at + Column.START] + 10
    return this.#text(field + 4, readU32(this.#bytes, field))
  }

  #envelope(at: number): Envelope {
    const bytes = this.#bytes
    const start = this.columns[at + Column.ENVELOPE]
    const payload = this.columns[at + Column.PAYLOAD]
    const causal = start + SCHEMA_ID_BYTES
    return {
      schemaId: view(bytes, start, causal),
      causal: this.#causal(causal, payload),
      payload: view(bytes, payload, payload + this.columns[at + Column.PAYLOAD_LENGTH]),
    }
  }

  /** @param start where the causal block's length is. @param payload where the payload begins, behind a length of four bytes. */
  #causal(start: number, payload: number): CausalContext {
    // Four bytes of length and two absent optionals.
    if (payload - start === 10) return NO_CONTEXT
    return readCausal(new Reader(this.#bytes, start, start, payload, 'Envelope'))
  }

  #text(start: number, length: number): string {
    const text = readText(this.#bytes, start, start + length)
    if (text === null) {
      throw new LiminalError(
        'INTERNAL',
        'FrameBatch: the bytes changed after the scan; do not write to a chunk before next() is false',
      )
    }
    return text
  }

  #rowAt(row: number): number {
    if (row >>> 0 !== row || row >= this.#count) {
      throw new LiminalError('INVALID_ARGUMENT', `FrameBatch: row ${row} is not one of the ${this.#count} rows`)
    }
    return HEAD_WIDTH + row * ROW_WIDTH
  }
}
