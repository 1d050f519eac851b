import type { Registration } from '../conversation/index.ts'
import { abortedError } from '../waiting.ts'
import type { Responder } from './bus.ts'
import { Outcome } from './outcome.ts'

/** A behaviour registered on a bus in this process. */
export class LocalResponder implements Responder {
  readonly subject: string
  readonly #registration: Registration
  readonly #signal: AbortSignal | undefined
  readonly #withdrawn: () => void
  readonly #ready = new Outcome()
  readonly #abort = (): void => this.#end()
  #open = true

  /** @param withdrawn Told when it is closed. */
  constructor(subject: string, registration: Registration, signal: AbortSignal | undefined, withdrawn: () => void) {
    this.subject = subject
    this.#registration = registration
    this.#signal = signal
    this.#withdrawn = withdrawn
    if (signal?.aborted) {
      this.#ready.reject(abortedError(signal, `The responder for '${subject}'`))
      this.#end()
    } else {
      this.#ready.resolve()
      signal?.addEventListener('abort', this.#abort)
    }
  }

  ready(): Promise<void> {
    return this.#ready.watch()
  }

  async close(): Promise<void> {
    this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #end(): void {
    if (!this.#open) return
    this.#open = false
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#registration.withdraw()
    this.#withdrawn()
  }
}
