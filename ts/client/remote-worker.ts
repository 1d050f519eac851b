import { onAbort } from '../abort-watch.ts'
import { checkGrace, type Worker, type WorkerCloseOptions } from '../bus/index.ts'
import { abortedError } from '../waiting.ts'
import type { WorkerLink } from './worker-link.ts'

/** A worker of a remote bus. */
export class RemoteWorker implements Worker {
  readonly identity: string
  readonly taskQueue: string
  readonly #link: WorkerLink
  readonly #signal: AbortSignal | undefined
  readonly #abort = (): void => {
    void this.close()
  }

  constructor(link: WorkerLink, signal: AbortSignal | undefined) {
    this.identity = link.identity
    this.taskQueue = link.taskQueue
    this.#link = link
    this.#signal = signal
    if (signal !== undefined) link.onOver = onAbort(signal, this.#abort)
    if (signal?.aborted) queueMicrotask(this.#abort)
  }

  get closed(): Promise<void> {
    return this.#link.closed.promise
  }

  async ready(): Promise<void> {
    if (this.#signal?.aborted) throw abortedError(this.#signal, `The worker '${this.identity}' of '${this.taskQueue}'`)
    await this.#link.ready
  }

  async close(options?: WorkerCloseOptions): Promise<void> {
    await this.#link.close(checkGrace(options))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
