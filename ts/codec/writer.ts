import { writeU32, writeU64 } from './integers.ts'
import { copyBytes, textLength, writeText } from './text.ts'

/** Writes the primitives of spec wire §3. Values and room were checked before (`measure.ts`), so nothing here fails. */
export class Writer {
  readonly bytes: Uint8Array
  /** Offset of the next byte. */
  position: number

  constructor(bytes: Uint8Array, position: number) {
    this.bytes = bytes
    this.position = position
  }

  u8(value: number): void {
    this.bytes[this.position++] = value
  }

  u16(value: number): void {
    this.bytes[this.position++] = value >>> 8
    this.bytes[this.position++] = value
  }

  u32(value: number): void {
    writeU32(this.bytes, this.position, value)
    this.position += 4
  }

  u64(value: bigint): void {
    writeU64(this.bytes, this.position, value)
    this.position += 8
  }

  /** Bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    copyBytes(value, 0, value.length, this.bytes, this.position)
    this.position += value.length
  }

  /** u32 length and bytes. */
  block(value: Uint8Array): void {
    this.u32(value.length)
    this.raw(value)
  }

  /** u32 length and UTF-8. */
  text(value: string): void {
    const length = textLength(value)
    this.u32(length)
    writeText(this.bytes, this.position, value, length)
    this.position += length
  }

  optionalText(value: string | null): void {
    if (value === null) {
      this.u8(0)
      return
    }
    this.u8(1)
    this.text(value)
  }

  texts(values: readonly string[]): void {
    this.u32(values.length)
    for (const value of values) this.text(value)
  }
}
