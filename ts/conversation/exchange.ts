import { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'
import { abortedError, timeoutError, type WaitLimits } from '../waiting.ts'
import { AbandonableMessage } from './abandonable-message.ts'
import type { MessageFate } from './participant.ts'

/** Hears what became of an exchange: one call of either, unless it goes out of its way to listen twice. */
export interface ExchangeObserver {
  /** The participant is done. `reply` is good for this call, and `null` where none was wanted. */
  replied(reply: Uint8Array | null): void
  failed(error: LiminalError): void
}

/** Told when an exchange is settled, before its observer. */
export interface ExchangeKeeper {
  settled(exchange: Exchange): void
}

/**
 * One message of a conversation until its fate is known, and what its participant is told of it: one object, because there may be very many. It settles exactly
 * once: by the participant, by its own limits, or by the end of the conversation; what comes later is dropped.
 */
export class Exchange extends AbandonableMessage implements MessageFate {
  readonly #keeper: ExchangeKeeper
  readonly #observer: ExchangeObserver
  #open = true
  #timer: NodeJS.Timeout | null = null
  #signal: AbortSignal | null = null
  #abort: (() => void) | null = null

  constructor(
    payload: Uint8Array,
    causal: CausalContext,
    replyRequested: boolean,
    observer: ExchangeObserver,
    keeper: ExchangeKeeper,
  ) {
    super(payload, causal, replyRequested)
    this.#observer = observer
    this.#keeper = keeper
  }

  /** Whether it still waits. */
  get open(): boolean {
    return this.#open
  }

  /** Gives up by itself, and tells the participant so, when the limits are reached. `what` as in `waitFor`. */
  limit({ timeoutMs, signal }: WaitLimits, what: string): void {
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.abandon(timeoutError(timeoutMs, what)), timeoutMs)
    }
    if (signal !== undefined) {
      this.#signal = signal
      this.#abort = () => this.abandon(abortedError(signal, what))
      signal.addEventListener('abort', this.#abort)
    }
  }

  /** The participant is done with it. `reply` is `null` where none was wanted. */
  reply(reply: Uint8Array | null): void {
    if (!this.#close()) return
    if (reply !== null || !this.replyRequested) this.#observer.replied(reply)
    else
      this.#observer.failed(new LiminalError('RESPONDER_FAILED', 'The responder took the request but gave no reply.'))
  }

  /** The participant could not do it. */
  fail(error: LiminalError): void {
    if (this.#close()) this.#observer.failed(error)
  }

  /** Nobody waits for it any more: it fails, and the participant is told so by its signal. */
  override abandon(error: LiminalError): void {
    if (!this.#close()) return
    super.abandon(error)
    this.#observer.failed(error)
  }

  #close(): boolean {
    if (!this.#open) return false
    this.#open = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#abort !== null) this.#signal?.removeEventListener('abort', this.#abort)
    this.#timer = null
    this.#signal = null
    this.#abort = null
    this.#keeper.settled(this)
    return true
  }
}
