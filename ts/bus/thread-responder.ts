import { onAbort } from '../abort-watch.ts'
import type { IsolatedResponder } from '../conversation/index.ts'
import type { LiminalError } from '../errors.ts'
import type { Process } from '../process/index.ts'
import { abortedError } from '../waiting.ts'
import type { Responder } from './bus.ts'
import { Outcome } from './outcome.ts'

/** A behaviour in worker threads, registered on a bus in this process. */
export class ThreadResponder implements Responder {
  readonly subject: string
  readonly #closed = new Outcome()
  readonly #signal: AbortSignal | undefined
  readonly #open: Set<ThreadResponder>
  #threads: IsolatedResponder | null = null
  #closing: Promise<void> | null = null
  #stopWatching: (() => void) | null = null
  readonly #abort = (): void => {
    void this.close()
  }

  /** @param open The isolated responders of the bus, itself among them as long as it is open. */
  constructor(subject: string, signal: AbortSignal | undefined, open: Set<ThreadResponder>) {
    this.subject = subject
    this.#signal = signal
    this.#open = open
  }

  /** @param start starts the threads. @throws what that throws. */
  begin(start: () => IsolatedResponder): void {
    if (this.#signal?.aborted) {
      this.#closed.resolve()
      return
    }
    this.#threads = start()
    this.#open.add(this)
    if (this.#signal !== undefined) this.#stopWatching = onAbort(this.#signal, this.#abort)
  }

  /** The supervisor of its threads, whose children they are; `null` for one whose signal was aborted before. */
  get process(): Process | null {
    return this.#threads?.process ?? null
  }

  /** Resolves once a thread has loaded the module. Rejects with `RESTARTS_EXCEEDED` if none could; `ABORTED`; `CLOSED`. */
  async ready(): Promise<void> {
    if (this.#threads === null) {
      if (this.#signal !== undefined) throw abortedError(this.#signal, `The responder for '${this.subject}'`)
      return
    }
    await this.#threads.ready
  }

  /** Settles when it is over: resolves after `close`, rejects with `RESTARTS_EXCEEDED` if too many threads were lost. Nobody has to look at it. */
  get closed(): Promise<void> {
    return this.#closed.watch()
  }

  /** Withdraws it. Requests underway are finished, then the threads end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The threads are over, and nobody wanted that. */
  ended(error: LiminalError): void {
    this.#forget()
    this.#closed.reject(error)
  }

  async #close(): Promise<void> {
    this.#forget()
    await this.#threads?.close()
    this.#closed.resolve()
  }

  #forget(): void {
    this.#open.delete(this)
    this.#stopWatching?.()
  }
}
