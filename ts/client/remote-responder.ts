import { onAbort } from '../abort-watch.ts'
import { checkResponderGrace, type Responder, type ResponderCloseOptions } from '../bus/index.ts'
import { abortedError, settledWithin } from '../waiting.ts'
import type { ResponderLink } from './responder-link.ts'

/** A responder of a remote bus. */
export class RemoteResponder implements Responder {
  readonly subject: string
  readonly #link: ResponderLink
  readonly #signal: AbortSignal | undefined
  readonly #abort = (): void => {
    void this.close()
  }

  constructor(link: ResponderLink, signal: AbortSignal | undefined) {
    this.subject = link.subject
    this.#link = link
    this.#signal = signal
    if (signal !== undefined) link.onOver = onAbort(signal, this.#abort)
    if (signal?.aborted) queueMicrotask(this.#abort)
  }

  async ready(): Promise<void> {
    if (this.#signal?.aborted) throw abortedError(this.#signal, `The responder of '${this.subject}'`)
    await this.#link.ready
  }

  async close(options: ResponderCloseOptions = {}): Promise<void> {
    const graceMs = checkResponderGrace(options) ?? 0
    const startedAt = performance.now()
    await this.#link.close()
    await settledWithin(this.#link.idle(), Math.max(0, graceMs - (performance.now() - startedAt)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
