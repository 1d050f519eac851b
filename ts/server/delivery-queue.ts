import type { Outbox } from '../pressure/index.ts'
import { HEADER_BYTES } from '../protocol/index.ts'

/** Bytes of the first block, and of the largest; a larger frame gets a block of its own. Few queues are long, and there may be a thousand of a connection. */
const FIRST_BLOCK_BYTES = 4 * 1024
const BLOCK_BYTES = 64 * 1024

interface Block {
  readonly bytes: Uint8Array
  /** Where the first frame begins that is still here. */
  start: number
  /** Where the last one ends. */
  end: number
}

/** Encoded Deliver frames of one subscription that wait for its credit, in order. Its owner caps it by {@link bytes}. */
export class DeliveryQueue {
  #blocks: Block[] = []
  #bytes = 0
  #frames = 0

  /** Bytes of the frames in it. */
  get bytes(): number {
    return this.#bytes
  }

  get frames(): number {
    return this.#frames
  }

  /** Makes contiguous room for `length` bytes; {@link commit} takes it. */
  reserve(length: number): { readonly bytes: Uint8Array; readonly offset: number } {
    let last = this.#blocks.at(-1)
    if (last === undefined || last.bytes.length - last.end < length) {
      const size = last === undefined ? FIRST_BLOCK_BYTES : Math.min(BLOCK_BYTES, 2 * last.bytes.length)
      last = { bytes: Buffer.allocUnsafeSlow(Math.max(size, length)), start: 0, end: 0 }
      this.#blocks.push(last)
    }
    return { bytes: last.bytes, offset: last.end }
  }

  /** Takes `length` bytes, written where the last {@link reserve} said, as `frames` frames. */
  commit(length: number, frames: number): void {
    const last = this.#blocks.at(-1)
    if (last !== undefined) last.end += length
    this.#bytes += length
    this.#frames += frames
  }

  /** Moves at most `most` frames to an outbox for as long as `hasRoom` allows, and returns how many. */
  moveTo(outbox: Outbox, most: number, hasRoom: (length: number) => boolean): number {
    let moved = 0
    for (let block = this.#blocks[0]; block !== undefined && moved < most; block = this.#blocks[0]) {
      const from = block.start
      let length = 0
      let frames = 0
      while (moved + frames < most && from + length < block.end) {
        const next = length + frameLength(block.bytes, from + length)
        if (!hasRoom(next)) break
        length = next
        frames++
      }
      if (frames === 0) break
      outbox.append(block.bytes.subarray(from, from + length))
      block.start += length
      if (block.start === block.end) this.#blocks.shift()
      this.#bytes -= length
      this.#frames -= frames
      moved += frames
    }
    return moved
  }

  clear(): void {
    this.#blocks = []
    this.#bytes = 0
    this.#frames = 0
  }
}

function frameLength(bytes: Uint8Array, at: number): number {
  const payload = ((bytes[at + 6] << 24) | (bytes[at + 7] << 16) | (bytes[at + 8] << 8) | bytes[at + 9]) >>> 0
  return HEADER_BYTES + payload
}
