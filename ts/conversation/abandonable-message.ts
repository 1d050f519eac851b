import type { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'
import type { AbandonListener, ParticipantMessage, TakenListener } from './participant.ts'
import type { MessageSteps } from './steps.ts'

const RELEASED = new Uint8Array(0)

/** What a message says beside its content. What is left out is as usual: attempt 1, no deadline, no key, one reply. */
export interface MessageTerms {
  readonly attempt?: number | undefined
  readonly deadline?: number | null | undefined
  readonly key?: string | null | undefined
  readonly inParts?: boolean | undefined
  /** Default: whether whoever sends it waits for the result. */
  readonly replyRequested?: boolean | undefined
  /** Where its steps are recorded. Default: nowhere. */
  readonly steps?: MessageSteps | null | undefined
}

/** A message on its way to a participant, until nobody waits for it any more. Its signal, the dearest part, is made when somebody looks at it: most behaviours do not. */
export class AbandonableMessage implements ParticipantMessage {
  readonly causal: CausalContext
  readonly replyRequested: boolean
  protected readonly terms: MessageTerms | null
  #payload: Uint8Array
  #controller: AbortController | null = null
  #abandoned: LiminalError | null = null
  #listener: AbandonListener | null = null
  #taken = 0
  #takenListener: TakenListener | null = null

  constructor(payload: Uint8Array, causal: CausalContext, replyRequested: boolean, terms: MessageTerms | null = null) {
    this.#payload = payload
    this.causal = causal
    this.replyRequested = replyRequested
    this.terms = terms
  }

  /** Empty once {@link release} was called. */
  get payload(): Uint8Array {
    return this.#payload
  }

  get attempt(): number {
    return this.terms?.attempt ?? 1
  }

  get deadline(): number | null {
    return this.terms?.deadline ?? null
  }

  get key(): string | null {
    return this.terms?.key ?? null
  }

  get inParts(): boolean {
    return this.terms?.inParts ?? false
  }

  get steps(): MessageSteps | null {
    return this.terms?.steps ?? null
  }

  get taken(): number {
    return this.#taken
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

  onTaken(listener: TakenListener): void {
    this.#takenListener = listener
  }

  /** Nobody waits for it any more, and this is why. */
  abandon(error: LiminalError): void {
    this.tellAbandoned(error)
  }

  /** So many parts were taken. What is not more than before changes nothing. */
  take(count: number): void {
    if (count <= this.#taken) return
    this.#taken = count
    this.#takenListener?.taken(count)
  }

  protected tellAbandoned(error: LiminalError): void {
    if (this.#abandoned !== null) return
    this.#abandoned = error
    this.#controller?.abort(error)
    this.#listener?.abandoned(error)
  }
}
