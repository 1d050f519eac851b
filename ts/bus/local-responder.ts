import type { Registration } from '../conversation/index.ts'
import type { Process } from '../process/index.ts'
import { abortedError } from '../waiting.ts'
import type { Responder } from './bus.ts'
import { Outcome } from './outcome.ts'

/** A behaviour registered on a bus in this process. */
export class LocalResponder implements Responder {
  readonly subject: string
  readonly #registration: Registration
  readonly #signal: AbortSignal | undefined
  readonly #open: Set<LocalResponder>
  readonly #ready = new Outcome()
  readonly #abort = (): void => this.#end()

  /** @param open The responders of the bus, itself among them as long as it is open. */
  constructor(subject: string, registration: Registration, signal: AbortSignal | undefined, open: Set<LocalResponder>) {
    this.subject = subject
    this.#registration = registration
    this.#signal = signal
    this.#open = open
    open.add(this)
    if (signal?.aborted) {
      this.#ready.reject(abortedError(signal, `The responder for '${subject}'`))
      this.#end()
    } else {
      this.#ready.resolve()
      signal?.addEventListener('abort', this.#abort)
    }
  }

  /** Its process: when that is killed, everything underway with this responder crashes. */
  get process(): Process {
    return this.#registration.process
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
    if (!this.#open.delete(this)) return
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#registration.withdraw()
  }
}
