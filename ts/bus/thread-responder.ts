import { onAbort } from '../abort-watch.ts'
import type { IsolatedResponder } from '../conversation/index.ts'
import type { LiminalError } from '../errors.ts'
import type { Process } from '../process/index.ts'
import { abortedError } from '../waiting.ts'
import type { Responder, ResponderCloseOptions } from './bus.ts'
import { Outcome } from './outcome.ts'
import { checkResponderGrace } from './request-options.ts'

/** A behaviour in worker threads, registered on a bus in this process. */
export class ThreadResponder implements Responder {
  readonly subject: string
  readonly #closed = new Outcome()
  readonly #signal: AbortSignal | undefined
  readonly #open: Set<ThreadResponder>
  #threads: IsolatedResponder | null = null
  #closing: Promise<void> | null = null
  #isReadyAwaited = false
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
    // Who was told that it is ready does not hear of its end.
    this.#isReadyAwaited = true
    await this.#threads.ready
    this.#isReadyAwaited = false
  }

  /** Settles when it is over: resolves after `close`, rejects with `RESTARTS_EXCEEDED` if too many threads were lost. Nobody has to look at it. */
  get closed(): Promise<void> {
    return this.#closed.watch()
  }

  /** Withdraws it. Requests underway are finished, then the threads end. The first call's grace holds. */
  async close(options: ResponderCloseOptions = {}): Promise<void> {
    const graceMs = checkResponderGrace(options)
    this.#closing ??= this.#close(graceMs)
    await this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The threads are over, and nobody wanted that. */
  ended(error: LiminalError): void {
    this.#forget()
    this.#closed.reject(error)
    // It would just be gone. Whoever registered it gets this turn to look; whoever ended its process knows.
    if (error.code === 'RESTARTS_EXCEEDED') setImmediate(() => this.#warnIfUnseen(error))
  }

  async #close(graceMs: number | undefined): Promise<void> {
    this.#forget()
    await this.#threads?.close(graceMs)
    this.#closed.resolve()
  }

  #warnIfUnseen(error: LiminalError): void {
    if (this.#closed.watched || this.#isReadyAwaited) return
    process.emitWarning(`${error.message} Await ready() or watch 'closed' to handle this.`, {
      type: 'LiminalWarning',
      code: 'LIMINAL_RESPONDER_ENDED',
    })
  }

  #forget(): void {
    this.#open.delete(this)
    this.#stopWatching?.()
  }
}
