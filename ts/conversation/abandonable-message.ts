import type { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'
import type { AbandonListener, ParticipantMessage } from './participant.ts'

const RELEASED = new Uint8Array(0)

/** A message on its way to a participant, until nobody waits for it any more. Its signal, the dearest part, is made when somebody looks at it: most behaviours do not. */
export class AbandonableMessage implements ParticipantMessage {
  #payload: Uint8Array
  readonly causal: CausalContext
  readonly replyRequested: boolean
  readonly attempt = 1
  #controller: AbortController | null = null
  #abandoned: LiminalError | null = null
  #listener: AbandonListener | null = null

  constructor(payload: Uint8Array, causal: CausalContext, replyRequested: boolean) {
    this.#payload = payload
    this.causal = causal
    this.replyRequested = replyRequested
  }

  /** Empty once {@link release} was called. */
  get payload(): Uint8Array {
    return this.#payload
  }

  /** Lets go of the payload: its participant has what it needs. */
  release(): void {
    this.#payload = RELEASED
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#abandoned !== null) this.#controller.abort(this.#abandoned)
    }
    return this.#controller.signal
  }

  onAbandoned(listener: AbandonListener): void {
    this.#listener = listener
    if (this.#abandoned !== null) listener.abandoned(this.#abandoned)
  }

  /** Nobody waits for it any more, and this is why. */
  abandon(error: LiminalError): void {
    this.#abandoned = error
    this.#controller?.abort(error)
    this.#listener?.abandoned(error)
  }
}
