import { onAbort } from '../abort-watch.ts'
import type { Responder } from '../bus/index.ts'
import { abortedError } from '../waiting.ts'
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

  close(): Promise<void> {
    return this.#link.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
