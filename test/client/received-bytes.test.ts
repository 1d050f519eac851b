import { describe, expect, it } from 'vitest'
import { keepReceived, readBuffer } from '../../ts/client/received-bytes.ts'

/** A read of `length` bytes, all `value`. */
function read(value: number, length: number): Buffer {
  readBuffer.fill(value, 0, length)
  return keepReceived(length)
}

describe('what is kept of a read', () => {
  it('never changes, whatever is read after it', () => {
    const lengths = [1, 100, 8_191, 8_192, 8_193, 3, 16_384, 16_385, 65_536, 200, 8_000, 8_000, 8_000]
    const kept = lengths.map((length, index) => read(index + 1, length))
    readBuffer.fill(0xff)
    kept.forEach((bytes, index) => {
      expect(bytes.length).toBe(lengths[index])
      expect(bytes.every((byte) => byte === index + 1)).toBe(true)
    })
  })

  it('holds no more memory than the read, or one block of small ones', () => {
    expect(read(1, 65_536).buffer.byteLength).toBe(65_536)
    expect(read(2, 10_000).buffer.byteLength).toBe(10_000)
    const small = [read(3, 10), read(4, 20)]
    expect(small.map(({ buffer }) => buffer.byteLength)).toEqual([16_384, 16_384])
    expect(small[0].buffer).toBe(small[1].buffer)
  })
})
