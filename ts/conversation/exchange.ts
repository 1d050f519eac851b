import { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'
import { abortedError, timeoutError, type WaitLimits } from '../waiting.ts'
import { AbandonableMessage } from './abandonable-message.ts'
import type { MessageFate, ParticipantMessage } from './participant.ts'

/**
 * One message of a conversation until its fate is known. It settles exactly once: by the participant, by its own limits, or by the end of
 * the conversation; what comes later is dropped.
 */
export class Exchange implements MessageFate {
  readonly message: ParticipantMessage
  readonly #message: AbandonableMessage
  readonly #settled: (exchange: Exchange) => void
  readonly #resolve: ((reply: Uint8Array) => void) | null
  readonly #reject: (error: LiminalError) => void
  #open = true
  #timer: NodeJS.Timeout | null = null
  #signal: AbortSignal | null = null
  #abort: (() => void) | null = null

  /**
   * @param resolve Takes the reply; `null` if none is wanted.
   * @param reject Takes what went wrong.
   * @param settled Told when it is settled, before the two above.
   */
  constructor(
    payload: Uint8Array,
    causal: CausalContext,
    resolve: ((reply: Uint8Array) => void) | null,
    reject: (error: LiminalError) => void,
    settled: (exchange: Exchange) => void,
  ) {
    this.#message = new AbandonableMessage(payload, causal, resolve !== null)
    this.message = this.#message
    this.#resolve = resolve
    this.#reject = reject
    this.#settled = settled
  }

  /** Whether it still waits. */
  get open(): boolean {
    return this.#open
  }

  /** Gives up by itself, and tells the participant so, when the limits are reached. `what` as in `waitFor`. */
  limit(limits: WaitLimits, what: string): void {
    const { timeoutMs, signal } = limits
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
    if (this.#resolve === null) return
    if (reply === null)
      this.#reject(new LiminalError('RESPONDER_FAILED', 'The responder took the request but gave no reply.'))
    else this.#resolve(reply)
  }

  /** The participant could not do it. */
  fail(error: LiminalError): void {
    if (this.#close()) this.#reject(error)
  }

  /** Nobody waits for it any more: it fails, and the participant is told so by its signal. */
  abandon(error: LiminalError): void {
    if (!this.#close()) return
    this.#message.abandon(error)
    this.#reject(error)
  }

  #close(): boolean {
    if (!this.#open) return false
    this.#open = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#abort !== null) this.#signal?.removeEventListener('abort', this.#abort)
    this.#timer = null
    this.#signal = null
    this.#abort = null
    this.#settled(this)
    return true
  }
}
