import { SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { codecError } from './failure.ts'
import { readU32, readU64 } from './integers.ts'
import { readText, view } from './text.ts'

/**
 * Reads the primitives of spec wire §3 left to right and stops at the end of the current block. Every failure is a `CodecError` that names the
 * frame, the field and the byte of the frame.
 */
export class Reader {
  readonly bytes: Uint8Array
  /** Offset of the next byte. */
  position: number
  /** Offset behind the current block. */
  end: number
  /** Name of the frame type, for messages. */
  readonly type: string
  readonly #frameStart: number

  constructor(bytes: Uint8Array, frameStart: number, position: number, end: number, type: string) {
    this.bytes = bytes
    this.position = position
    this.end = end
    this.type = type
    this.#frameStart = frameStart
  }

  u8(field: string): number {
    return this.bytes[this.#take(field, 1)]
  }

  u16(field: string): number {
    const at = this.#take(field, 2)
    return (this.bytes[at] << 8) | this.bytes[at + 1]
  }

  u32(field: string): number {
    return readU32(this.bytes, this.#take(field, 4))
  }

  u64(field: string): bigint {
    return readU64(this.bytes, this.#take(field, 8))
  }

  /** u32 length and that many bytes, as a view. */
  block(field: string): Uint8Array {
    const start = this.#takeBlock(field)
    return view(this.bytes, start, this.position)
  }

  /** u32 length and that many bytes of valid UTF-8. */
  text(field: string): string {
    const start = this.#takeBlock(field)
    const text = readText(this.bytes, start, this.position)
    if (text === null) throw this.fail(field, start, `the ${this.position - start} bytes of text are not valid UTF-8`)
    return text
  }

  schemaId(field: string): Uint8Array {
    const start = this.#take(field, SCHEMA_ID_BYTES)
    return view(this.bytes, start, this.position)
  }

  /** The presence byte of an optional. */
  present(field: string): boolean {
    const presence = this.u8(field)
    if (presence > 1) throw this.fail(field, this.position - 1, `the presence byte is ${presence}, not 0 or 1`)
    return presence === 1
  }

  optionalText(field: string): string | null {
    return this.present(field) ? this.text(field) : null
  }

  /** The element count of a list whose elements take at least `minimum` bytes each: bounded by the bytes present, so it may size memory. */
  count(field: string, minimum: number): number {
    const count = this.u32(field)
    if (count * minimum > this.end - this.position) {
      const missing = `${count} elements are declared, but only ${this.end - this.position} bytes follow`
      throw this.fail(field, this.position - 4, missing)
    }
    return count
  }

  texts(field: string): string[] {
    const texts: string[] = []
    for (let left = this.count(field, 4); left > 0; left--) texts.push(this.text(field))
    return texts
  }

  /** Enters an inner block behind its u32 length and returns the outer block's end, which {@link leave} takes back. */
  enter(field: string): number {
    const start = this.#takeBlock(field)
    const outer = this.end
    this.end = this.position
    this.position = start
    return outer
  }

  /** Leaves an inner block, which must be read to its end. */
  leave(field: string, outer: number): void {
    this.finish(field)
    this.end = outer
  }

  /** Refuses bytes left over in the current block. */
  finish(field: string): void {
    const left = this.end - this.position
    if (left > 0) throw this.fail(field, this.position, `${left} bytes are left over`)
  }

  /** The error for a field at an offset of the scanned bytes. */
  fail(field: string, at: number, what: string): Error {
    return codecError(`${this.type}.${field} at byte ${at - this.#frameStart} of the frame: ${what}`)
  }

  #take(field: string, length: number): number {
    const at = this.position
    if (length > this.end - at) {
      throw this.fail(field, at, `${length} bytes are needed, ${this.end - at} are left`)
    }
    this.position = at + length
    return at
  }

  #takeBlock(field: string): number {
    const length = this.u32(field)
    return this.#take(field, length)
  }
}
