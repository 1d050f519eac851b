import type { Socket } from 'node:net'
import type { FrameBatch, FrameDecoder } from '../codec/index.ts'
import type { Congestion } from '../pressure/index.ts'

export interface IntakeOptions {
  readonly decoder: FrameDecoder
  /** The pressure of what this peer has not read of its own replies. */
  readonly replies: Congestion
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
 * From the chunks of a socket to frames, in order. Frames that have to wait stop this socket and no other: nothing more is read from it until they went
 * on, so the peer feels it through TCP.
 */
export class Intake {
  readonly #socket: Socket
  readonly #options: IntakeOptions
  readonly #batch: FrameBatch
  /** The next row of the batch, and how many it has. */
  #row = 0
  #rows = 0
  #waiting = false
  #ended = false
  #stopped = false

  constructor(socket: Socket, options: IntakeOptions) {
    this.#socket = socket
    this.#options = options
    this.#batch = options.decoder.batch
  }

  /** Whether received frames wait, and the socket with them. */
  get waiting(): boolean {
    return this.#waiting
  }

  /** The next bytes of the peer. */
  push(chunk: Uint8Array): void {
    if (this.#stopped) return
    try {
      this.#options.decoder.push(chunk)
    } catch (error) {
      this.#options.onError(error)
      return
    }
    this.#work()
  }

  /** The peer sends no more. */
  end(): void {
    this.#ended = true
    if (!this.#waiting) this.#finish()
  }

  /** What comes from now on is dropped. */
  stop(): void {
    this.#stopped = true
    this.#waiting = false
    this.#socket.resume()
  }

  #work(): void {
    try {
      for (;;) {
        while (this.#row < this.#rows) {
          if (this.#stopped) return
          const hold = this.#options.hold(this.#batch, this.#row)
          if (hold !== null) {
            this.#wait(hold)
            return
          }
          this.#row += this.#options.take(this.#batch, this.#row)
        }
        if (this.#stopped) return
        const unread = this.#options.replies.hold()
        if (unread !== null) {
          this.#wait(unread)
          return
        }
        this.#row = 0
        this.#rows = 0
        if (!this.#options.decoder.next()) return
        this.#rows = this.#batch.count
      }
    } catch (error) {
      this.#options.onError(error)
    }
  }

  #wait(hold: Promise<void>): void {
    this.#waiting = true
    this.#socket.pause()
    void hold.then(() => {
      if (!this.#waiting) return
      this.#waiting = false
      this.#work()
      if (this.#waiting || this.#stopped) return
      if (this.#ended) this.#finish()
      else this.#socket.resume()
    })
  }

  #finish(): void {
    if (this.#stopped) return
    try {
      this.#options.decoder.end()
    } catch (error) {
      this.#options.onError(error)
      return
    }
    this.#options.onEnd()
  }
}
