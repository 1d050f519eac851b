import { onAbort } from '../abort-watch.ts'
import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, type PayloadKind } from '../payload.ts'
import { abortedError, throwIfAborted, timeoutError } from '../waiting.ts'
import { nextTurn, spendTurn } from './turn.ts'

/** Milliseconds that a loop waits for the next part, unless told otherwise. */
export const DEFAULT_PART_TIMEOUT_MS = 30_000

/** Where the parts come from. */
export interface PartSource {
  /** So many parts were taken so far: there is room for as many more. */
  taken(count: number): void
  /** Nobody wants the rest. Called unless it ended by itself. */
  stop(error: LiminalError): void
}

export interface PartsOptions {
  /** The subject of an error's sentence. */
  readonly what: string
  readonly payload: PayloadKind
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Sends the request; the parts come to the sink from then on. @throws LiminalError what keeps it from being sent. */
  readonly begin: (sink: PartSink) => PartSource
  /** Gives an error to the loop: its place to be changed. */
  readonly failed: (error: unknown) => Promise<unknown>
}

/** What hands the parts over. */
export interface PartSink {
  /** @param part owned by the sink from now on. */
  push(part: Uint8Array): void
  /** @param last one more part, or `null`. */
  end(last: Uint8Array | null): void
  fail(error: unknown): void
}

/** A reply in parts, for a loop. Whoever sends keeps to the window, so what waits here is bounded by it. */
export class Parts<Part> implements AsyncIterable<Part> {
  readonly #options: PartsOptions
  #isTaken = false

  constructor(options: PartsOptions) {
    this.#options = options
  }

  /** @throws LiminalError `INVALID_ARGUMENT` for a second loop: the reply comes once. */
  [Symbol.asyncIterator](): AsyncGenerator<Part, void, undefined> {
    if (this.#isTaken) {
      throw new LiminalError('INVALID_ARGUMENT', `${this.#options.what} is iterated already; its parts come once.`)
    }
    this.#isTaken = true
    return iterate<Part>(this.#options)
  }
}

async function* iterate<Part>(options: PartsOptions): AsyncGenerator<Part, void, undefined> {
  const { what, payload, timeoutMs, signal } = options
  const queue = new PartQueue()
  let source: PartSource | null = null
  try {
    throwIfAborted(signal, what)
    source = options.begin(queue)
    for (let count = 1; ; count++) {
      const part = await queue.next(timeoutMs, signal, what)
      if (part === null) return
      // The type parameter is the asker's word for what parts are.
      yield decodePayload(part, payload) as Part
      source.taken(count)
      if (spendTurn(1)) await nextTurn()
    }
  } catch (error) {
    throw await options.failed(error)
  } finally {
    if (!queue.isOver) source?.stop(new LiminalError('ABORTED', `${what}: nobody wants the rest of the reply.`))
  }
}

class PartQueue implements PartSink {
  readonly #parts = new Deque<Uint8Array>()
  #end: { readonly error: unknown } | 'well' | null = null
  #wake: (() => void) | null = null

  /** Whether nothing more comes. */
  get isOver(): boolean {
    return this.#end !== null
  }

  push(part: Uint8Array): void {
    this.#parts.push(part)
    this.#wake?.()
  }

  end(last: Uint8Array | null): void {
    if (last !== null) this.#parts.push(last)
    this.#end ??= 'well'
    this.#wake?.()
  }

  fail(error: unknown): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  /** The next part, `null` after the last. @throws what it failed with, `TIMEOUT`, `ABORTED`. */
  async next(timeoutMs: number, signal: AbortSignal | undefined, what: string): Promise<Uint8Array | null> {
    throwIfAborted(signal, what)
    if (this.#parts.size === 0 && this.#end === null) await this.#wait(timeoutMs, signal, what)
    const part = this.#parts.shift()
    if (part !== undefined) return part
    if (this.#end !== null && this.#end !== 'well') throw this.#end.error
    return null
  }

  #wait(timeoutMs: number, signal: AbortSignal | undefined, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let stopWatching: (() => void) | undefined
      const settle = (): void => {
        clearTimeout(timer)
        stopWatching?.()
        this.#wake = null
      }
      const abort = (): void => {
        settle()
        if (signal !== undefined) reject(abortedError(signal, what))
      }
      const timer = setTimeout(() => {
        settle()
        reject(timeoutError(timeoutMs, `The next part of ${what.toLowerCase()}`))
      }, timeoutMs)
      this.#wake = () => {
        settle()
        resolve()
      }
      if (signal?.aborted) abort()
      else if (signal !== undefined) stopWatching = onAbort(signal, abort)
    })
  }
}
