import { LiminalError } from '../errors.ts'
import { countOf, type Few, itemsOf, withItem, withoutItem } from '../few.ts'
import { ownBytes } from '../payload.ts'
import type { CausalContext } from '../protocol/index.ts'
import { throwIfAborted, type WaitLimits } from '../waiting.ts'
import { saySendFailed } from './diagnostics.ts'
import { Exchange, type ExchangeKeeper, type ExchangeObserver } from './exchange.ts'
import type { ConversationInfo, Participant, ParticipantSource } from './participant.ts'

/** Where a conversation stands. `failed` is closed with an error. */
export type ConversationPhase = 'open' | 'closed' | 'failed'

/** Hears of the end of a conversation, from whichever side it comes. */
export interface ConversationOwner {
  /** Called once. `null`: it was closed. */
  ended(error: LiminalError | null): void
}

/** Where the live conversations are. */
export interface ConversationKeeper {
  /** Called once, when it is over. */
  over(conversation: ConversationCore, error: LiminalError | null): void
}

export interface ConversationCoreOptions {
  /** Unique in the bus; below 2^53. */
  readonly number: number
  readonly subject: string
  /** Messages underway at once, at most. */
  readonly maxPending: number
  readonly keeper: ConversationKeeper
}

/**
 * One exchange with one participant, seen from the asking side: any number of messages, each with its own reply, in any order.
 *
 * It ends once: by {@link close}, or because its participant left. Everything that waits is settled in the same turn.
 */
export class ConversationCore implements ConversationInfo, ExchangeKeeper {
  readonly number: number
  readonly subject: string
  /** Who opened it, once that is done. */
  owner: ConversationOwner | null = null
  readonly #maxPending: number
  readonly #keeper: ConversationKeeper
  #pending: Few<Exchange> = null
  #participant: Participant | null = null
  #phase: ConversationPhase = 'open'
  #error: LiminalError | null = null

  constructor(options: ConversationCoreOptions) {
    this.number = options.number
    this.subject = options.subject
    this.#maxPending = options.maxPending
    this.#keeper = options.keeper
  }

  get id(): bigint {
    return BigInt(this.number)
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
    return countOf(this.#pending)
  }

  /** Brings the participant in. The registry calls it, once, before anything is sent. @throws what the source throws. */
  join(source: ParticipantSource): void {
    const participant = source.join(this)
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
      const replied = (reply: Uint8Array | null): void => resolve(ownBytes(reply ?? new Uint8Array(0)))
      this.begin(payload, causal, limits, { replied, failed: reject })
    })
  }

  /**
   * The same for who has thousands of them: no promise, and an exchange that can be abandoned without a signal.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  begin(payload: Uint8Array, causal: CausalContext, limits: WaitLimits | null, observer: ExchangeObserver): Exchange {
    const participant = this.#admit()
    const exchange = new Exchange(payload, causal, true, observer, this)
    if (limits !== null) exchange.limit(limits, `The request to '${this.subject}'`)
    this.#hand(participant, exchange)
    return exchange
  }

  /**
   * Sends a message that wants no reply. What goes wrong later is said on the diagnostics channel `SEND_FAILED`. `settled` is called once the participant is done with it.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  send(payload: Uint8Array, causal: CausalContext, settled?: () => void): void {
    const participant = this.#admit()
    const observer: ExchangeObserver = {
      replied: () => settled?.(),
      failed: (error) => {
        settled?.()
        saySendFailed(this.subject, this.id, error)
      },
    }
    this.#hand(participant, new Exchange(payload, causal, false, observer, this))
  }

  /** See ExchangeKeeper. */
  settled(exchange: Exchange): void {
    this.#pending = withoutItem(this.#pending, exchange)
  }

  /** See ConversationInfo. */
  leave(error: LiminalError | null): void {
    this.#end(error, false)
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
    if (countOf(this.#pending) >= this.#maxPending) {
      const message = `The conversation with '${this.subject}' has ${this.#maxPending} messages underway. Await replies before sending more.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    return this.#participant
  }

  #hand(participant: Participant, exchange: Exchange): void {
    this.#pending = withItem(this.#pending, exchange)
    try {
      participant.receive(exchange, exchange)
    } catch (error) {
      exchange.fail(asFailure(error, this.subject))
    }
    exchange.release()
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
    this.#keeper.over(this, error)
  }

  /** An error is made only if somebody waits for it: most conversations end with nothing underway. */
  #abandonPending(error: LiminalError | null): void {
    if (this.#pending === null) return
    const why = error ?? new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' was closed.`)
    for (const exchange of itemsOf(this.#pending)) {
      if (error !== null || exchange.replyRequested) exchange.abandon(why)
    }
  }
}

function asFailure(error: unknown, subject: string): LiminalError {
  if (error instanceof LiminalError) return error
  return new LiminalError('RESPONDER_FAILED', `The responder for '${subject}' failed.`, { cause: error })
}
