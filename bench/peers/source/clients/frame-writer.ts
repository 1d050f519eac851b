import type { Socket } from 'node:net'
import { HEAD_BYTES } from './frames.ts'

const CHUNK_BYTES = 64 * 1024
/** A payload of this many bytes is written where it lies: copying it would cost more than a second write. */
const LARGE_BYTES = 16 * 1024
/** Bytes that may wait in the socket. */
const UNSENT = 1024 * 1024

/** Collects length-prefixed payloads in chunks that are used again, and writes them together. */
export class FrameWriter {
  readonly #socket: Socket
  readonly #free: Buffer[] = []
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #filled = 0
  #scheduled = false
  #drained: Promise<void> | null = null

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Adds a payload, or a part of `bytes`. A large one must stay as it is until it was written. */
  write(bytes: Uint8Array, offset = 0, length = bytes.length): void {
    const large = length >= LARGE_BYTES
    if (this.#filled + HEAD_BYTES + (large ? 0 : length) > CHUNK_BYTES) this.#push()
    const chunk = this.#chunk
    let at = this.#filled
    chunk[at++] = length
    chunk[at++] = length >>> 8
    chunk[at++] = length >>> 16
    chunk[at++] = length >>> 24
    if (large) {
      this.#filled = at
      this.#socket.cork()
      this.#push()
      this.#socket.write(offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length))
      this.#socket.uncork()
    } else {
      chunk.set(offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length), at)
      this.#filled = at + length
    }
  }

  /** Writes what was added. A promise where the socket should be waited for. */
  flush(): Promise<void> | null {
    if (this.#filled > 0) this.#push()
    if (this.#socket.writableLength < UNSENT) return null
    this.#drained ??= new Promise((resolve) => {
      this.#socket.once('drain', () => {
        this.#drained = null
        resolve()
      })
    })
    return this.#drained
  }

  /** Flushes at the end of this turn of the event loop. */
  flushSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  #push(): void {
    const chunk = this.#chunk
    this.#socket.write(this.#filled === CHUNK_BYTES ? chunk : chunk.subarray(0, this.#filled), () => {
      this.#free.push(chunk)
    })
    this.#chunk = this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.#filled = 0
  }
}
