import { onAbort } from '../abort-watch.ts'
import type { Registration } from '../conversation/index.ts'
import type { Process } from '../process/index.ts'
import { abortedError, settledWithin } from '../waiting.ts'
import type { Responder, ResponderCloseOptions } from './bus.ts'
import { Outcome } from './outcome.ts'
import { checkResponderGrace } from './request-options.ts'

/** A behaviour registered on a bus in this process. */
export class LocalResponder implements Responder {
  readonly subject: string
  readonly #registration: Registration
  readonly #open: Set<LocalResponder>
  readonly #ready = new Outcome()
  #stopWatching: (() => void) | null = null

  /** @param open The responders of the bus, itself among them as long as it is open. */
  constructor(subject: string, registration: Registration, signal: AbortSignal | undefined, open: Set<LocalResponder>) {
    this.subject = subject
    this.#registration = registration
    this.#open = open
    open.add(this)
    if (signal?.aborted) {
      this.#ready.reject(abortedError(signal, `The responder for '${subject}'`))
      this.#end()
    } else {
      this.#ready.resolve()
      if (signal !== undefined) this.#stopWatching = onAbort(signal, () => this.#end())
    }
  }

  /** Its process: when that is killed, everything underway with this responder crashes. */
  get process(): Process {
    return this.#registration.process
  }

  ready(): Promise<void> {
    return this.#ready.watch()
  }

  async close(options: ResponderCloseOptions = {}): Promise<void> {
    const graceMs = checkResponderGrace(options) ?? 0
    this.#end()
    await settledWithin(this.#registration.idle(), graceMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #end(): void {
    if (!this.#open.delete(this)) return
    this.#stopWatching?.()
    this.#registration.withdraw()
  }
}
