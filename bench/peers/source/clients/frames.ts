/** Bytes of the length before each payload, little-endian. */
export const HEAD_BYTES = 4

/** Finds length-prefixed payloads in chunks that are cut anywhere, without a view or an object for any of them. */
export class FrameScanner {
  readonly #take: (bytes: Buffer, offset: number, length: number) => void
  readonly #reuse: boolean
  /** The start of a frame that the last chunk cut off. */
  #carry: Buffer = Buffer.alloc(0)
  #carried = 0

  /** @param reuse whether a payload that chunks cut is put together in the same memory each time: it is gone after `take` then. */
  constructor(take: (bytes: Buffer, offset: number, length: number) => void, reuse: boolean) {
    this.#take = take
    this.#reuse = reuse
  }

  /** Takes the first `length` bytes of a chunk and returns how many frames ended in them. */
  scan(chunk: Buffer, length: number): number {
    let frames = 0
    let at = 0
    if (this.#carried > 0) {
      at = this.#complete(chunk, length)
      if (at === 0) return 0
      frames = 1
    }
    while (length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + lengthAt(chunk, at)
      if (end > length) break
      this.#take(chunk, at + HEAD_BYTES, end - at - HEAD_BYTES)
      at = end
      frames += 1
    }
    if (at < length) this.#keep(chunk, at, length)
    return frames
  }

  /** Ends the frame that was cut off and returns where the next one starts; 0 if there is not enough for it. */
  #complete(chunk: Buffer, length: number): number {
    let at = 0
    if (this.#carried < HEAD_BYTES) {
      at = Math.min(HEAD_BYTES - this.#carried, length)
      this.#keep(chunk, 0, at)
      if (this.#carried < HEAD_BYTES) return 0
    }
    const whole = HEAD_BYTES + lengthAt(this.#carry, 0)
    const end = Math.min(at + whole - this.#carried, length)
    this.#keep(chunk, at, end)
    if (this.#carried < whole) return 0
    const frame = this.#carry
    this.#carried = 0
    if (!this.#reuse) this.#carry = Buffer.alloc(0)
    this.#take(frame, HEAD_BYTES, whole - HEAD_BYTES)
    return end
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.#carried + to - from
    if (needed > this.#carry.length) {
      const whole = this.#carried === 0 && needed >= HEAD_BYTES ? HEAD_BYTES + lengthAt(chunk, from) : 0
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, whole, this.#wholeCarried()))
      this.#carry.copy(larger, 0, 0, this.#carried)
      this.#carry = larger
    }
    chunk.copy(this.#carry, this.#carried, from, to)
    this.#carried = needed
  }

  /** Bytes of the frame that is carried, once its length is known. */
  #wholeCarried(): number {
    return this.#carried < HEAD_BYTES ? 0 : HEAD_BYTES + lengthAt(this.#carry, 0)
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}
