import type { Writable } from 'node:stream'
import { LiminalError } from '../errors.ts'
import { Block } from './block.ts'
import { Congestion, type CongestionLimits } from './congestion.ts'

/** A turn that wrote this much is flushed before it ends, so that the peer works while we do. */
const EAGER_FLUSH_BYTES = 512 * 1024
/**
 * When so many outboxes wait for the end of the turn, further ones with so many bytes do not: their blocks come back at once, warm, for the next one. A fan-out
 * of 29 KB to 100 connections takes 0.12 us a delivery so instead of 0.14, and half of the memory.
 */
const MOST_WAITING = 8
const AT_ONCE_BYTES = 16 * 1024
/** Outboxes with no more than this leave first at the end of a turn: acknowledgements let a publisher go on while the deliveries are being written. */
const SMALL_BYTES = 8 * 1024
/**
 * Handed to the socket at most at once, to begin with. It reports progress only when all of a write is done, and progress is what tells a slow peer from a
 * stalled one: on a line of 1 MB/s this much takes 131 ms.
 */
const WRITE_BYTES = 128 * 1024
/** What that grows to while writes are quick: on loopback, large messages take 10 % less time in 1 MiB than in 128 KiB at once, on either side. */
const MOST_WRITE_BYTES = 1024 * 1024
/** Milliseconds until a write is confirmed: a quick one, and one after which less is handed over again. */
const QUICK_MS = 8
const SLOW_MS = 32

/** Bytes that leave in one go, and how far they are. */
interface Piece {
  readonly bytes: Uint8Array
  /** What they are part of; `null` where they are somebody else's. */
  readonly block: Block | null
  end: number
  written: number
}

/** What is flushed at the end of this turn. */
let due: Outbox[] = []

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
  #block: Block | null = null
  /** Of the block: what pieces were made of, and what was written. */
  #cut = 0
  #used = 0
  #pieces: Piece[] = []
  /** Bytes that the socket has and has not confirmed. */
  #writing = 0
  /** How much it is given at once. */
  #most = WRITE_BYTES
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
    if (this.#block !== null && this.#block.bytes.length - this.#used < length) this.#retire()
    this.#block ??= Block.take(length)
    return this.#used
  }

  /** The block that the last {@link reserve} made room in. */
  get block(): Uint8Array {
    if (this.#block === null)
      throw new LiminalError('INTERNAL', 'An outbox block was used without reserving room first.')
    return this.#block.bytes
  }

  /** Takes the next `length` bytes of {@link block} as written. They leave at the end of this event-loop turn at the latest. */
  commit(length: number): void {
    this.#used += length
    this.#count(length)
  }

  /** Copies bytes in. Any number of them: they need not be together in one block. */
  append(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const offset = this.reserve(1)
      const to = Math.min(bytes.length, from + this.block.length - offset)
      this.block.set(to - from === bytes.length ? bytes : bytes.subarray(from, to), offset)
      this.commit(to - from)
      from = to
    }
  }

  /** Sends bytes from where they lie. They must never change again. Worthwhile from some 16 KiB on: less is copied faster than it is written on its own. */
  attach(bytes: Uint8Array): void {
    if (this.#closed) throw new LiminalError('CLOSED', 'The connection is closed; nothing can be written to it.')
    this.#cutPiece()
    this.#pieces.push({ bytes, block: null, end: bytes.length, written: 0 })
    this.#count(bytes.length)
  }

  /** Ends the turn early: what was committed goes to the socket as fast as it takes it. */
  flush(): void {
    if (this.#unflushed === 0 || this.#closed) return
    this.#cutPiece()
    this.#unflushed = 0
    this.#pump()
    this.#retireLeft()
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
    this.#pieces = []
    this.congestion.close()
    this.#settleIdle()
  }

  #count(length: number): void {
    this.#unflushed += length
    this.#waiting += length
    this.congestion.update(this.#waiting)
    const crowded = due.length >= MOST_WAITING && this.#unflushed >= AT_ONCE_BYTES
    if (crowded || this.#unflushed >= EAGER_FLUSH_BYTES) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      if (due.push(this) === 1) setImmediate(Outbox.#endTurn)
    }
  }

  static #endTurn(): void {
    const outboxes = due
    due = []
    for (const outbox of outboxes) {
      outbox.#scheduled = false
      if (outbox.#unflushed <= SMALL_BYTES) outbox.flush()
    }
    for (const outbox of outboxes) outbox.flush()
  }

  /** What was written to the block since the last piece leaves as one. */
  #cutPiece(): void {
    const block = this.#block
    if (block === null || this.#used === this.#cut) return
    const last = this.#pieces.at(-1)
    if (last?.block === block) last.end = this.#used
    else {
      block.addPiece()
      this.#pieces.push({ bytes: block.bytes, block, end: this.#used, written: this.#cut })
    }
    this.#cut = this.#used
  }

  /** Gives the block back when all that was written to it has left. What a peer does not take stays in one block for many turns, not in one for each. */
  #retireLeft(): void {
    if (this.#used === this.#cut && this.#block?.idle) this.#retire()
  }

  #retire(): void {
    const block = this.#block
    if (block === null) return
    this.#cutPiece()
    block.close()
    this.#block = null
    this.#cut = 0
    this.#used = 0
  }

  #pump(most = this.#most): void {
    if (this.#pieces.length === 0 || this.#writing >= most) return
    const startedAt = performance.now()
    // Corked, the pieces leave with one writev.
    const corked = this.#pieces.length > 1
    if (corked) this.#socket.cork()
    let done = 0
    while (done < this.#pieces.length && this.#writing < most) {
      const next = this.#pieces[done]
      const from = next.written
      next.written = Math.min(next.end, from + most)
      const last = next.written === next.end
      this.#write(next.bytes, from, next.written, last ? next.block : null, startedAt)
      if (last) done++
    }
    this.#pieces.splice(0, done)
    if (corked) this.#socket.uncork()
  }

  /** @param done the block that has one piece less to wait for when this has left. */
  #write(bytes: Uint8Array, from: number, to: number, done: Block | null, startedAt: number): void {
    const length = to - from
    let taken = false
    this.#writing += length
    this.#socket.write(length === bytes.length ? bytes : bytes.subarray(from, to), () => {
      // Also called with an error, when the socket is gone: its owner hears of that by `error` and `close`.
      if (done !== null && !taken) done.removePiece()
      this.#writing -= length
      if (this.#closed) return
      this.#waiting -= length
      this.congestion.update(this.#waiting)
      if (this.#waiting === 0) this.#retireLeft()
      this.#pace(length, performance.now() - startedAt)
      // The pieces of one write are confirmed one by one: what follows them leaves together too.
      if (this.#writing === 0) this.#pump()
      if (this.#waiting === 0) this.#settleIdle()
    })
    // The operating system has it all already: the block is free before the callback comes, which is after this turn's work.
    if (done !== null && this.#socket.writableLength === 0) {
      taken = true
      done.removePiece()
    }
  }

  #pace(written: number, tookMs: number): void {
    if (tookMs <= QUICK_MS) this.#most = Math.min(MOST_WRITE_BYTES, this.#most + written)
    else if (tookMs > SLOW_MS) this.#most = WRITE_BYTES
  }

  #settleIdle(): void {
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }
}
