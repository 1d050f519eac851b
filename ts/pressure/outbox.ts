import type { Writable } from 'node:stream'
import { LiminalError } from '../errors.ts'
import { Congestion, type CongestionLimits } from './congestion.ts'

/** Bytes of a block that frames are written into, and the most that one write hands over without an own allocation. */
const BLOCK_BYTES = 64 * 1024
/** Blocks kept for reuse by all outboxes together: 4 MiB. */
const SPARE_BLOCKS = 64
/** A turn that wrote this much is flushed before it ends, so that the peer works while we do. */
const EAGER_FLUSH_BYTES = 512 * 1024
/**
 * Handed to the socket at most at once. It reports progress only when all of a write is done, and progress is what tells a slow peer from a stalled one: on
 * a line of 1 MB/s this much takes 131 ms.
 */
const WRITE_BYTES = 128 * 1024

/** A block that is full, or whose turn is over, and how far it is. */
interface FullBlock {
  readonly block: Uint8Array
  readonly used: number
  written: number
}

const spare: Uint8Array[] = []

function takeBlock(atLeast: number): Uint8Array {
  if (atLeast > BLOCK_BYTES) return Buffer.allocUnsafeSlow(atLeast)
  return spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES)
}

function returnBlock(block: Uint8Array): void {
  if (block.length === BLOCK_BYTES && spare.length < SPARE_BLOCKS) spare.push(block)
}

export interface OutboxOptions {
  /** Bytes that may wait here and in the socket at once. Above it {@link Outbox.fits} says no. */
  capacityBytes: number
  /** How the level of the outbox holds producers. Default: from half to an eighth of the capacity, 1,000 ms at most, 250 ms without progress. */
  congestion?: CongestionLimits
}

/**
 * What one connection has still to send: frames are encoded in place, and one write per event-loop turn hands them to the socket.
 *
 * ```ts
 * const offset = outbox.reserve(length)
 * outbox.commit(codec.encodeInto(frame, outbox.block, offset))
 * ```
 */
export class Outbox {
  readonly capacityBytes: number
  readonly congestion: Congestion
  readonly #socket: Writable
  #block: Uint8Array | null = null
  #used = 0
  #full: FullBlock[] = []
  /** Bytes that the socket has and has not confirmed. */
  #writing = 0
  #unflushed = 0
  #waiting = 0
  #scheduled = false
  #closed = false
  #idle: (() => void)[] = []

  constructor(socket: Writable, options: OutboxOptions) {
    this.#socket = socket
    this.capacityBytes = options.capacityBytes
    this.congestion = new Congestion(
      options.congestion ?? {
        highWater: options.capacityBytes / 2,
        lowWater: options.capacityBytes / 8,
        holdMs: 1_000,
        stallMs: 250,
      },
    )
  }

  /** Bytes committed and not yet taken by the operating system. */
  get waitingBytes(): number {
    return this.#waiting
  }

  /** Whether `length` more bytes stay within the capacity. */
  fits(length: number): boolean {
    return this.#waiting + length <= this.capacityBytes
  }

  /**
   * Makes contiguous room and returns where it begins in {@link block}. Nothing is sent before {@link commit}.
   * @throws LiminalError `CLOSED` after {@link close}.
   */
  reserve(length: number): number {
    if (this.#closed) throw new LiminalError('CLOSED', 'The connection is closed; nothing can be written to it.')
    if (this.#block === null) {
      this.#block = takeBlock(length)
    } else if (this.#block.length - this.#used < length) {
      if (this.#used === 0) returnBlock(this.#block)
      else this.#retire()
      this.#block = takeBlock(length)
    }
    return this.#used
  }

  /** The block that the last {@link reserve} made room in. */
  get block(): Uint8Array {
    if (this.#block === null)
      throw new LiminalError('INTERNAL', 'An outbox block was used without reserving room first.')
    return this.#block
  }

  /** Takes the next `length` bytes of {@link block} as written. They leave at the end of this event-loop turn at the latest. */
  commit(length: number): void {
    this.#used += length
    this.#unflushed += length
    this.#waiting += length
    this.congestion.update(this.#waiting)
    if (this.#unflushed >= EAGER_FLUSH_BYTES) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.flush()
      })
    }
  }

  /** Copies bytes in. */
  append(bytes: Uint8Array): void {
    const offset = this.reserve(bytes.length)
    this.block.set(bytes, offset)
    this.commit(bytes.length)
  }

  /** Ends the turn early: what was committed goes to the socket as fast as it takes it. */
  flush(): void {
    if (this.#unflushed === 0 || this.#closed) return
    this.#retire()
    this.#unflushed = 0
    this.#pump()
  }

  /** Resolves when nothing waits any more, or the outbox is closed. */
  drained(): Promise<void> {
    this.flush()
    if (this.#waiting === 0 || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Hands over all that is left, however slow the socket, and closes. */
  finish(): void {
    if (this.#closed) return
    this.#retire()
    this.#pump(Number.POSITIVE_INFINITY)
    this.close()
  }

  /** Drops what was not handed over and releases everybody who waits. The socket is its owner's to end. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#block = null
    this.#full = []
    this.congestion.close()
    this.#settleIdle()
  }

  #retire(): void {
    if (this.#block === null || this.#used === 0) return
    this.#full.push({ block: this.#block, used: this.#used, written: 0 })
    this.#block = null
    this.#used = 0
  }

  #pump(most = WRITE_BYTES): void {
    if (this.#full.length === 0 || this.#writing >= most) return
    // Corked, the blocks leave with one writev.
    const corked = this.#full.length > 1
    if (corked) this.#socket.cork()
    let done = 0
    while (done < this.#full.length && this.#writing < most) {
      const next = this.#full[done]
      const from = next.written
      next.written = Math.min(next.used, from + WRITE_BYTES)
      this.#write(next.block, from, next.written, next.written === next.used)
      if (next.written === next.used) done++
    }
    this.#full.splice(0, done)
    if (corked) this.#socket.uncork()
  }

  #write(block: Uint8Array, from: number, to: number, last: boolean): void {
    this.#writing += to - from
    this.#socket.write(to - from === block.length ? block : block.subarray(from, to), () => {
      // Also called with an error, when the socket is gone: its owner hears of that by `error` and `close`.
      if (last) returnBlock(block)
      this.#writing -= to - from
      if (this.#closed) return
      this.#waiting -= to - from
      this.congestion.update(this.#waiting)
      this.#pump()
      if (this.#waiting === 0) this.#settleIdle()
    })
  }

  #settleIdle(): void {
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }
}
