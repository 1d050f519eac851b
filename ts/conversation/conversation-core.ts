import { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'
import { throwIfAborted, type WaitLimits } from '../waiting.ts'
import { saySendFailed } from './diagnostics.ts'
import { Exchange } from './exchange.ts'
import type { ConversationInfo, Participant, ParticipantSource } from './participant.ts'

/** Where a conversation stands. `failed` is closed with an error. */
export type ConversationPhase = 'open' | 'closed' | 'failed'

export interface ConversationCoreOptions {
  readonly id: bigint
  readonly subject: string
  /** Messages underway at once, at most. */
  readonly maxPending: number
  /** Called once, when it is over. */
  ended(error: LiminalError | null): void
}

/**
 * One exchange with one participant, seen from the asking side: any number of messages, each with its own reply, in any order.
 *
 * It ends once: by {@link close}, or because its participant left. Everything that waits is settled in the same turn.
 */
export class ConversationCore {
  readonly id: bigint
  readonly subject: string
  readonly #maxPending: number
  readonly #ended: (error: LiminalError | null) => void
  readonly #pending = new Set<Exchange>()
  #participant: Participant | null = null
  #phase: ConversationPhase = 'open'
  #error: LiminalError | null = null
  readonly #forget = (exchange: Exchange): void => {
    this.#pending.delete(exchange)
  }

  constructor(options: ConversationCoreOptions) {
    this.id = options.id
    this.subject = options.subject
    this.#maxPending = options.maxPending
    this.#ended = (error) => options.ended(error)
  }

  get phase(): ConversationPhase {
    return this.#phase
  }

  /** What it failed with; `null` while it is open or if it was closed. */
  get error(): LiminalError | null {
    return this.#error
  }

  /** Messages underway. */
  get pending(): number {
    return this.#pending.size
  }

  /** Brings the participant in. The registry calls it, once, before anything is sent. @throws what the source throws. */
  join(source: ParticipantSource): void {
    const info: ConversationInfo = {
      id: this.id,
      subject: this.subject,
      leave: (error) => this.#end(error, false),
    }
    const participant = source.join(info)
    // It may have left while it joined.
    if (this.#phase === 'open') this.#participant = participant
  }

  /**
   * Sends a message and waits for its own reply.
   * @throws LiminalError `TIMEOUT`, `ABORTED`, `RESPONDER_FAILED`, `PARTICIPANT_GONE`, `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  request(payload: Uint8Array, causal: CausalContext, limits: WaitLimits): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      throwIfAborted(limits.signal, `The request to '${this.subject}'`)
      this.begin(payload, causal, limits, resolve, reject)
    })
  }

  /**
   * The same for who has thousands of them: no promise, and an exchange that can be abandoned without a signal.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  begin(
    payload: Uint8Array,
    causal: CausalContext,
    limits: WaitLimits,
    resolve: (reply: Uint8Array) => void,
    reject: (error: LiminalError) => void,
  ): Exchange {
    const participant = this.#admit()
    const exchange = new Exchange(payload, causal, resolve, reject, this.#forget)
    exchange.limit(limits, `The request to '${this.subject}'`)
    this.#hand(participant, exchange)
    return exchange
  }

  /**
   * Sends a message that wants no reply. What goes wrong later is said on the diagnostics channel `SEND_FAILED`. `settled` is called once nobody has the payload
   * any more.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  send(payload: Uint8Array, causal: CausalContext, settled?: () => void): void {
    const participant = this.#admit()
    const failed = (error: LiminalError): void => saySendFailed(this.subject, this.id, error)
    const forget = (exchange: Exchange): void => {
      this.#forget(exchange)
      settled?.()
    }
    this.#hand(participant, new Exchange(payload, causal, null, failed, forget))
  }

  /**
   * Ends it: requests underway reject with `CONVERSATION_CLOSED` (or `error`), the participant is told, and so is the owner. Messages that want no reply are left to
   * finish, unless it ends with an error. Idempotent.
   */
  close(error?: LiminalError): void {
    this.#end(error ?? null, true)
  }

  #admit(): Participant {
    if (this.#participant === null) {
      throw this.#error ?? new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' is over.`)
    }
    if (this.#pending.size >= this.#maxPending) {
      const message = `The conversation with '${this.subject}' has ${this.#maxPending} messages underway. Await replies before sending more.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    return this.#participant
  }

  #hand(participant: Participant, exchange: Exchange): void {
    this.#pending.add(exchange)
    try {
      participant.receive(exchange.message, exchange)
    } catch (error) {
      exchange.fail(asFailure(error, this.subject))
    }
  }

  #end(error: LiminalError | null, tellParticipant: boolean): void {
    if (this.#phase !== 'open') return
    this.#phase = error === null ? 'closed' : 'failed'
    this.#error = error
    const participant = this.#participant
    this.#participant = null
    this.#abandonPending(error)
    if (tellParticipant && participant !== null) {
      try {
        participant.close()
      } catch (failure) {
        saySendFailed(this.subject, this.id, asFailure(failure, this.subject))
      }
    }
    this.#ended(error)
  }

  /** An error is made only if somebody waits for it: most conversations end with nothing underway. */
  #abandonPending(error: LiminalError | null): void {
    if (this.#pending.size === 0) return
    const why = error ?? new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' was closed.`)
    for (const exchange of [...this.#pending]) {
      if (error !== null || exchange.message.replyRequested) exchange.abandon(why)
    }
  }
}

function asFailure(error: unknown, subject: string): LiminalError {
  if (error instanceof LiminalError) return error
  return new LiminalError('RESPONDER_FAILED', `The responder for '${subject}' failed.`, { cause: error })
}
