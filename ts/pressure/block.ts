const BLOCK_BYTES = 64 * 1024
/** Blocks kept for reuse by the whole process: 16 MiB. With 4 MiB, a fan-out to 100 connections spent 15 % of the server's time collecting blocks. */
const SPARE_BLOCKS = 256

const spare: Uint8Array[] = []

/** Memory that frames are written into: 64 KiB from a pool, or one of its own for a frame that is larger. It goes back when all of it has left. */
export class Block {
  readonly bytes: Uint8Array
  /** Pieces of it that have not left. */
  #pieces = 0
  #closed = false

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** @param atLeast Bytes that it has to have room for. */
  static take(atLeast: number): Block {
    const pooled = atLeast <= BLOCK_BYTES ? spare.pop() : undefined
    return new Block(pooled ?? Buffer.allocUnsafeSlow(Math.max(atLeast, BLOCK_BYTES)))
  }

  /** Whether all pieces of it have left. */
  get idle(): boolean {
    return this.#pieces === 0
  }

  /** A piece of it is on its way. */
  addPiece(): void {
    this.#pieces++
  }

  /** A piece of it has left. */
  removePiece(): void {
    this.#pieces--
    this.#release()
  }

  /** Nothing more is written into it. */
  close(): void {
    this.#closed = true
    this.#release()
  }

  #release(): void {
    const over = this.#closed && this.#pieces === 0
    if (over && this.bytes.length === BLOCK_BYTES && spare.length < SPARE_BLOCKS) spare.push(this.bytes)
  }
}
