import { onAbort } from '../abort-watch.ts'
import { LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import type { ExitReason } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import { abortedError, timeoutError, type WaitLimits } from '../waiting.ts'
import { AbandonableMessage, type MessageTerms } from './abandonable-message.ts'
import { type MessageFate, PART_WINDOW } from './participant.ts'
import type { Seat } from './seat.ts'
import type { SourceRegistration } from './source-registration.ts'

/** Hears what became of an exchange: one call of either, unless it goes out of its way to listen twice. */
export interface ExchangeObserver {
  /** The participant is done. `reply` is good for this call, and `null` where none was wanted or the parts were all. */
  replied(reply: Uint8Array | null): void
  failed(error: LiminalError): void
  /** The participant gave it back undone, and nobody else is asked. Default: it failed with that error. */
  handedBack?(error: LiminalError): void
  /** What was at it died, and nobody else is asked. Default: it failed with that error. */
  crashed?(error: LiminalError, reason: ExitReason): void
  /** A part of the reply, good for this call. Called only if the exchange was begun in parts. */
  part?(part: Uint8Array): void
}

/** Told of what concerns more than the exchange itself. */
export interface ExchangeKeeper {
  /** It is settled; called before its observer. @param well whether it was answered. */
  settled(exchange: Exchange, well: boolean): void
  /** Its participant gives it back undone. */
  handedBack(exchange: Exchange, error: LiminalError): void
  /** What was at it died, while its participant goes on. */
  crashed(exchange: Exchange, reason: ExitReason): void
  /** A part of its reply came. */
  progressed(): void
  /** An answer came from an attempt that is not the latest any more, or nobody waits for it. */
  refused(exchange: Exchange, attempt: number): void
}

/**
 * One message of a conversation until its fate is known, and what its first participant is told of it: one object, because there may be very many. It settles exactly
 * once: by the participant, by its own limits, or by the end of the conversation; what comes later is dropped, and so is what an older attempt answers.
 */
export class Exchange extends AbandonableMessage implements MessageFate {
  /** Where it is being worked on; the conversation sets it. */
  seat: Seat | null = null
  /** Sources that gave it back: they do not get it again. */
  shunned: Set<SourceRegistration> | null = null
  readonly #keeper: ExchangeKeeper
  readonly #observer: ExchangeObserver
  #open = true
  #parts = 0
  #latest: LaterAttempt | null = null
  #kept: Uint8Array | null = null
  #timer: NodeJS.Timeout | null = null
  #stopWatching: (() => void) | null = null

  constructor(
    payload: Uint8Array,
    causal: CausalContext,
    replyRequested: boolean,
    observer: ExchangeObserver,
    keeper: ExchangeKeeper,
    terms: MessageTerms | null = null,
  ) {
    super(payload, causal, replyRequested, terms)
    this.#observer = observer
    this.#keeper = keeper
  }

  /** Whether it still waits. */
  get open(): boolean {
    return this.#open
  }

  /** The attempt that is underway. */
  get attempts(): number {
    return this.#latest?.attempt ?? this.attempt
  }

  /** Whether another participant may still begin it: nothing of its reply has been handed on, and its content is here. */
  get repeatable(): boolean {
    return this.#parts === 0 && this.#kept !== null
  }

  /** Keeps its content for another attempt. To be called before it is handed out. */
  keep(): void {
    this.#kept = ownBytes(this.payload)
  }

  /** Whether this attempt is the one that is waited for. */
  awaits(attempt: LaterAttempt): boolean {
    return this.#open && this.#latest === attempt
  }

  /** Begins another attempt: who was at it before is told that nobody waits for it there. */
  again(why: LiminalError): LaterAttempt {
    const before = this.#latest
    this.#latest = new LaterAttempt(this, this.#kept ?? new Uint8Array(0), this.attempts + 1)
    if (before === null) this.tellAbandoned(why)
    else before.abandon(why)
    return this.#latest
  }

  /** Gives up by itself, and tells the participant so, when the limits are reached. `what` as in `waitFor`. */
  limit({ timeoutMs, signal }: WaitLimits, what: string): void {
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.abandon(timeoutError(timeoutMs, what)), timeoutMs)
    }
    if (signal !== undefined) {
      const abort = (): void => this.abandon(abortedError(signal, what))
      this.#stopWatching = onAbort(signal, abort)
      // An aborted signal tells nobody any more; it may have been aborted by a participant that joined.
      if (signal.aborted) abort()
    }
  }

  /** The participant is done with it. `reply` is `null` where none was wanted, or where there were only parts. */
  reply(reply: Uint8Array | null): void {
    this.answered(null, reply)
  }

  part(part: Uint8Array): void {
    this.partCame(null, part)
  }

  /** The participant could not do it, or its conversation cannot. */
  fail(error: LiminalError): void {
    this.failed(null, error)
  }

  handBack(error: LiminalError): void {
    this.givenBack(null, error)
  }

  crash(reason: ExitReason): void {
    if (this.#latest === null) this.died(null, reason)
  }

  /** Settles it with an error, whichever attempt is underway. */
  settleWith(error: LiminalError): void {
    if (this.#close(false)) this.#observer.failed(error)
  }

  /** Its participant gave it back, and nobody else is asked. */
  settleUndone(error: LiminalError): void {
    if (!this.#close(false)) return
    if (this.#observer.handedBack === undefined) this.#observer.failed(error)
    else this.#observer.handedBack(error)
  }

  /** What was at it died, and nobody else is asked. */
  settleCrashed(error: LiminalError, reason: ExitReason): void {
    if (!this.#close(false)) return
    if (this.#observer.crashed === undefined) this.#observer.failed(error)
    else this.#observer.crashed(error, reason)
  }

  /** Nobody waits for it any more: it fails, and the participant is told so by its signal. */
  override abandon(error: LiminalError): void {
    if (!this.#close(false)) return
    if (this.#latest === null) this.tellAbandoned(error)
    else this.#latest.abandon(error)
    this.#observer.failed(error)
  }

  /** Nobody waits for it any more and the participant is told so, but it stays open until the participant is done with it. */
  cancel(error: LiminalError): void {
    if (!this.#open) return
    if (this.#latest === null) this.tellAbandoned(error)
    else this.#latest.abandon(error)
  }

  /** Whoever asked has taken so many parts of the reply. */
  override take(count: number): void {
    const most = Math.min(count, this.#parts)
    if (this.#latest === null) super.take(most)
    else this.#latest.take(most)
  }

  /** @param attempt which one says so; `null`: the first. */
  answered(attempt: LaterAttempt | null, reply: Uint8Array | null): void {
    if (attempt !== this.#latest || !this.#close(true)) {
      this.#keeper.refused(this, attempt?.attempt ?? this.attempt)
      return
    }
    if (reply !== null || !this.replyRequested || this.inParts) this.#observer.replied(reply)
    else
      this.#observer.failed(new LiminalError('RESPONDER_FAILED', 'The responder took the request but gave no reply.'))
  }

  partCame(attempt: LaterAttempt | null, part: Uint8Array): void {
    if (attempt !== this.#latest || !this.#open) return
    const taken = this.#latest?.taken ?? this.taken
    if (!this.inParts || this.#parts >= taken + PART_WINDOW) {
      const text = this.inParts
        ? `The responder sent more than ${PART_WINDOW} parts that nobody has taken.`
        : 'The responder answered in parts, and one reply was asked for. Ask with stream().'
      this.abandon(new LiminalError('RESPONDER_FAILED', text))
      return
    }
    this.#parts++
    this.#keeper.progressed()
    this.#observer.part?.(part)
  }

  failed(attempt: LaterAttempt | null, error: LiminalError): void {
    if (attempt === this.#latest && this.#open) this.settleWith(error)
    else this.#keeper.refused(this, attempt?.attempt ?? this.attempt)
  }

  givenBack(attempt: LaterAttempt | null, error: LiminalError): void {
    if (attempt === this.#latest && this.#open) this.#keeper.handedBack(this, error)
  }

  died(attempt: LaterAttempt | null, reason: ExitReason): void {
    if (attempt === this.#latest && this.#open) this.#keeper.crashed(this, reason)
  }

  #close(well: boolean): boolean {
    if (!this.#open) return false
    this.#open = false
    this.#kept = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#stopWatching?.()
    this.#timer = null
    this.#stopWatching = null
    this.#keeper.settled(this, well)
    return true
  }
}

/** The same message in front of another participant. */
export class LaterAttempt extends AbandonableMessage implements MessageFate {
  readonly #exchange: Exchange

  constructor(exchange: Exchange, payload: Uint8Array, attempt: number) {
    const { causal, replyRequested, deadline, key, inParts, steps } = exchange
    super(payload, causal, replyRequested, { attempt, deadline, key, inParts, steps })
    this.#exchange = exchange
  }

  reply(reply: Uint8Array | null): void {
    this.#exchange.answered(this, reply)
  }

  part(part: Uint8Array): void {
    this.#exchange.partCame(this, part)
  }

  fail(error: LiminalError): void {
    this.#exchange.failed(this, error)
  }

  handBack(error: LiminalError): void {
    this.#exchange.givenBack(this, error)
  }

  crash(reason: ExitReason): void {
    this.#exchange.died(this, reason)
  }
}
