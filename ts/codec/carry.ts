import { HEADER_BYTES } from '../protocol/index.ts'
import { readU32 } from './integers.ts'

/** Room for the start of a frame. Small, because an idle connection may hold one. */
const FIRST_BYTES = 256

/**
 * The bytes of one frame that is cut by the end of a chunk. The memory grows with the bytes that came: it is at most twice what is held or twice the chunk that
 * brought it, and never past the frame. What a header declares allocates nothing; but who sends much at once has frames of 64 KiB made of one piece of memory.
 */
export class Carry {
  #buffer = new Uint8Array(0)
  #length = 0
  #total = 0

  /** Bytes held. */
  get length(): number {
    return this.#length
  }

  /** The bytes held, not copied. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Bytes of the whole frame; 0 while its header is incomplete. */
  get total(): number {
    return this.#total
  }

  /** Bytes of the frame, or of its header, that are yet to come. */
  get missing(): number {
    return (this.#total === 0 ? HEADER_BYTES : this.#total) - this.#length
  }

  /** Memory held, in bytes. */
  get capacity(): number {
    return this.#buffer.length
  }

  /** Copies the unfinished frame that starts at `start` of a chunk and ends with it. Nothing must be held before. */
  start(chunk: Uint8Array, start: number): void {
    this.#append(chunk, start, chunk.length)
  }

  /** Copies from `start` of the next chunk what is missing, as far as it is there, and returns how many bytes that were. */
  take(chunk: Uint8Array, start: number): number {
    const end = Math.min(chunk.length, start + this.missing)
    this.#append(chunk, start, end)
    return end - start
  }

  /** Gives the bytes away: views of them stay valid, the next frame gets memory of its own. */
  handOver(): Uint8Array {
    const bytes = this.bytes
    this.#buffer = new Uint8Array(0)
    this.#length = 0
    this.#total = 0
    return bytes
  }

  #append(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#length + end - start
    if (length > this.#buffer.length) this.#grow(length, chunk, start)
    this.#buffer.set(chunk.subarray(start, end), this.#length)
    this.#length = length
    if (this.#total === 0 && length >= HEADER_BYTES) this.#total = HEADER_BYTES + readU32(this.#buffer, 6)
  }

  #grow(needed: number, chunk: Uint8Array, start: number): void {
    const atFrameStart = this.#length === 0 && chunk.length - start >= HEADER_BYTES
    const total = atFrameStart ? HEADER_BYTES + readU32(chunk, start + 6) : this.#total
    const wanted = Math.max(2 * needed, FIRST_BYTES)
    const most = Math.max(wanted, 2 * chunk.length)
    // Unzeroed memory is fine: `bytes` never reaches past what was written.
    const buffer = Buffer.allocUnsafeSlow(total === 0 ? wanted : Math.min(most, total))
    buffer.set(this.bytes)
    this.#buffer = buffer
  }
}
