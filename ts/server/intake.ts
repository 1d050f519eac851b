import type { Socket } from 'node:net'
import type { FrameBatch, FrameDecoder, NameTable } from '../codec/index.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { overtakes, ParkedBatch } from './parked-batch.ts'

/** How much is read of a peer whose frames wait: more than a client has underway, so that its Accepts are among it. */
const MOST_PARKED_BYTES = 2 * 1024 * 1024
/** The same in frames, each of which takes some memory however short it is. */
const MOST_PARKED_FRAMES = 64 * 1024

export interface IntakeOptions {
  readonly decoder: FrameDecoder
  /** The table that the decoder looks channel names up in. */
  readonly names: NameTable
  /** What the frames from `row` on have to wait for, or `null`. */
  readonly hold: (batch: FrameBatch, row: number) => Promise<void> | null
  /** Handles the frame at `row`, or the run of frames that begins there, and returns how many rows that was. */
  readonly take: (batch: FrameBatch, row: number) => number
  /** All frames received before the peer's FIN were handled. */
  readonly onEnd: () => void
  /** A chunk or frame could not be handled: the end of this connection. */
  readonly onError: (error: unknown) => void
}

/**
 * From the chunks of a socket to frames, in order. Frames that have to wait stop this socket and no other: past a bound nothing more is read from it until they
 * went on, so the peer feels it through TCP.
 *
 * Accept overtakes frames that wait: it frees queues, and they may be what is waited for. Two peers that publish to each other's subscriptions would otherwise
 * each wait for an Accept that lies behind the other's publishes. Defer and Reject overtake with it: what is accepted behind them does not include what they hand back.
 */
export class Intake {
  readonly #socket: Socket
  readonly #options: IntakeOptions
  readonly #decoder: FrameDecoder
  /** The batch that is worked on, and its next row. */
  #batch: FrameBatch
  #row = 0
  #rows = 0
  /** What was read behind frames that wait, in order. */
  #parked: ParkedBatch[] = []
  #parkedBytes = 0
  #parkedFrames = 0
  /** What the decoder ended with, behind everything parked. */
  #failure: { readonly error: unknown } | null = null
  #waiting = false
  #paused = false
  #ended = false
  #stopped = false

  constructor(socket: Socket, options: IntakeOptions) {
    this.#socket = socket
    this.#options = options
    this.#decoder = options.decoder
    this.#batch = options.decoder.batch
  }

  /** Whether received frames wait. */
  get waiting(): boolean {
    return this.#waiting
  }

  /** Whether so much waits that nothing more is read. */
  get paused(): boolean {
    return this.#paused
  }

  /** The next bytes of the peer. */
  push(chunk: Uint8Array): void {
    // Behind a malformed frame nothing can be trusted.
    if (this.#stopped || this.#failure !== null) return
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      this.#options.onError(error)
      return
    }
    if (this.#waiting) {
      this.#lookAhead()
      this.#pace()
    } else {
      this.#work()
    }
  }

  /** The peer sends no more. */
  end(): void {
    this.#ended = true
    if (!this.#waiting) this.#finish()
  }

  /** What comes from now on is dropped, and so is what waits. */
  stop(): void {
    this.#stopped = true
    this.#waiting = false
    this.#parked = []
    this.#paused = false
    this.#socket.resume()
  }

  #work(): void {
    try {
      do {
        while (this.#row < this.#rows) {
          if (this.#stopped) return
          const hold = this.#options.hold(this.#batch, this.#row)
          if (hold !== null) {
            this.#wait(hold)
            return
          }
          this.#row += this.#options.take(this.#batch, this.#row)
        }
      } while (this.#next())
    } catch (error) {
      this.#options.onError(error)
    }
  }

  /** Goes on to the next batch: what was parked comes before what the decoder has. */
  #next(): boolean {
    this.#row = 0
    this.#rows = 0
    if (this.#stopped) return false
    if (this.#batch instanceof ParkedBatch) {
      this.#parkedBytes -= this.#batch.length
      this.#parkedFrames -= this.#batch.count
    }
    const parked = this.#parked.shift()
    if (parked !== undefined) {
      this.#batch = parked
      this.#rows = parked.count
      return true
    }
    this.#batch = this.#decoder.batch
    if (this.#failure !== null) throw this.#failure.error
    if (!this.#decoder.next()) return false
    this.#rows = this.#batch.count
    return true
  }

  #wait(hold: Promise<void>): void {
    this.#waiting = true
    if (this.#batch === this.#decoder.batch) {
      const row = this.#row
      this.#row = 0
      this.#rows = 0
      this.#park(row)
      this.#lookAhead()
    }
    this.#pace()
    void hold.then(() => {
      if (!this.#waiting) return
      this.#waiting = false
      this.#work()
      if (this.#waiting || this.#stopped) return
      if (this.#ended) this.#finish()
      else this.#pace()
    })
  }

  /** Reads what the decoder has, and leaves it for later. */
  #lookAhead(): void {
    try {
      while (!this.#stopped && this.#decoder.next()) this.#park(0)
    } catch (error) {
      this.#failure = { error }
    }
  }

  /** Leaves the decoder's rows from `first` on for later, all but those that overtake. */
  #park(first: number): void {
    const { batch } = this.#decoder
    const { names, take } = this.#options
    const parked = new ParkedBatch(batch, first, names)
    if (parked.count > 0) {
      this.#parked.push(parked)
      this.#parkedBytes += parked.length
      this.#parkedFrames += parked.count
    }
    if (parked.count === batch.count - first) return
    for (let row = first; row < batch.count && !this.#stopped; row++) {
      if (overtakes(batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE])) take(batch, row)
    }
  }

  /** Reads on or not, by how much waits. */
  #pace(): void {
    if (this.#stopped) return
    const bytes = this.#parkedBytes + this.#decoder.pendingBytes
    const full = bytes >= MOST_PARKED_BYTES || this.#parkedFrames >= MOST_PARKED_FRAMES
    const pause = this.#waiting && full
    if (pause === this.#paused) return
    this.#paused = pause
    if (pause) this.#socket.pause()
    else this.#socket.resume()
  }

  #finish(): void {
    if (this.#stopped) return
    try {
      this.#decoder.end()
    } catch (error) {
      this.#options.onError(error)
      return
    }
    this.#options.onEnd()
  }
}
