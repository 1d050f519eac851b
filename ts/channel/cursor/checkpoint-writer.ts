import { type Backoff, drawDelay } from '../../backoff.ts'
import { Deferred } from '../../deferred.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'

export interface CheckpointWriterOptions {
  /** Writes down the newest state. */
  readonly write: () => Promise<void>
  /** A write failed. One that is retryable is tried again, by and by. */
  readonly onFailed: (error: LiminalError) => void
}

const BACKOFF: Backoff = { baseMs: 50, maxMs: 5_000 }

/**
 * Writes the state of a cursor, one write at a time: what is asked for while one is underway is in the next one, which begins when that is done. A write that failed and is retryable is
 * repeated, at growing intervals, until one succeeds.
 */
export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions
  /** Who waits for the write that begins next; `null` if nobody asked for one. */
  #next: Deferred<void> | null = null
  #busy = false
  #failures = 0
  #timer: NodeJS.Timeout | null = null
  #retried: Deferred<void> | null = null
  #stopped: LiminalError | null = null

  constructor(options: CheckpointWriterOptions) {
    this.#options = options
  }

  /** Whether something is being written, or is to be. */
  get pending(): boolean {
    return this.#busy || this.#next !== null || this.#timer !== null
  }

  /** Resolves when a write that begins from now on is durable. @throws what that write failed with, though it may be repeated. */
  write(): Promise<void> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped)
    if (this.#next === null) {
      this.#next = new Deferred()
      // What else happens in this turn shall be in it.
      if (!this.#busy) queueMicrotask(() => this.#begin())
    }
    return this.#next.promise
  }

  /** Asks for a write and waits for nothing. */
  request(): void {
    if (this.#next === null && this.#stopped === null) this.write()
  }

  /** Resolves when a write that begins from now on is durable, however often it has to be repeated. @throws what cannot be helped by that. */
  async persist(): Promise<void> {
    for (;;) {
      try {
        await this.write()
        return
      } catch (error) {
        if (this.#stopped !== null) throw this.#stopped
        if (!(error instanceof LiminalError && error.retryable)) throw error
      }
      // None if the repetition has begun already.
      await this.#retried?.promise
    }
  }

  /** Repeats nothing any more. Whoever still waits gets this error. */
  stop(error: LiminalError): void {
    if (this.#stopped !== null) return
    this.#stopped = error
    this.#wake()
    if (this.#busy) return
    this.#next?.reject(error)
    this.#next = null
  }

  async #begin(): Promise<void> {
    const asked = this.#next
    if (this.#busy || asked === null) return
    this.#next = null
    this.#busy = true
    this.#wake()
    try {
      await this.#options.write()
      this.#failures = 0
      asked.resolve()
    } catch (thrown) {
      const error = toLiminalError(thrown)
      if (error.retryable && this.#stopped === null) this.#retryLater()
      asked.reject(error)
      this.#options.onFailed(error)
    }
    this.#busy = false
    this.#goOn()
  }

  #goOn(): void {
    if (this.#stopped !== null) this.#next?.reject(this.#stopped)
    else this.#begin()
  }

  #retryLater(): void {
    this.#failures++
    this.#retried = new Deferred()
    this.#timer = setTimeout(() => this.request(), drawDelay(BACKOFF, this.#failures))
    this.#timer.unref()
  }

  /** The wait for a repetition is over: one begins, or none ever will. */
  #wake(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#retried?.resolve()
    this.#retried = null
  }
}
