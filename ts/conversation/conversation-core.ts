import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { countOf, type Few, hasItem, itemsOf, withItem, withoutItem } from '../few.ts'
import { ownBytes } from '../payload.ts'
import { type ExitReason, exitError, exitNormal, type Pid } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import { HandedBackError } from '../routing/index.ts'
import { asLiminalError, textOf } from '../thrown.ts'
import { throwIfAborted, type WaitLimits } from '../waiting.ts'
import type { MessageTerms } from './abandonable-message.ts'
import type { ConversationEvent } from './conversation-history.ts'
import { ConversationRecord } from './conversation-record.ts'
import type { ConversationPhase } from './conversation-terms.ts'
import { sayAnswerRefused, sayRerouted, saySendFailed } from './diagnostics.ts'
import { Exchange, type ExchangeKeeper, type ExchangeObserver, type LaterAttempt } from './exchange.ts'
import { participantGone } from './participant-gone.ts'
import type { Seat, SeatOwner } from './seat.ts'
import type { SourceRegistration } from './source-registration.ts'

const MAX_ATTEMPTS = 3

/**
 * One exchange with a subject, seen from the asking side: any number of messages, each with its own reply, in any order.
 *
 * It is a process. It ends once: by {@link close}, by its deadline, because its participant left, or because the participant crashed and the crash policy says so.
 * Everything that waits is settled in the same turn.
 */
export class ConversationCore extends ConversationRecord implements ExchangeKeeper, SeatOwner {
  #pending: Few<Exchange> = null
  #seat: Seat | null = null
  /** Participants that handed something back and still work on something else. */
  #former: Few<Seat> = null
  #settledAll: Deferred<void> | null = null
  #isUsed = false
  #reason: string | null = null

  override get phase(): ConversationPhase {
    if (this.isOpen) return this.#isUsed || this.pending > 0 ? 'active' : 'created'
    if (this.error !== null) return 'failed'
    return this.#pending === null ? 'closed' : 'completing'
  }

  override get pending(): number {
    return this.owner?.underway ?? countOf(this.#pending)
  }

  protected override get participant(): Pid | null {
    return this.#seat?.registration.process.pid ?? null
  }

  /** Brings a participant in. The registry calls it, once, before anything is sent. @throws what keeps everybody from joining; it is over then. */
  begin(): void {
    try {
      this.#sit(null)
    } catch (error) {
      this.finish(this.error)
      this.endProcess()
      throw error
    }
  }

  /** What happened before it came back. */
  remember(history: readonly ConversationEvent[]): void {
    this.#isUsed ||= history.length > 0
    for (const { is, attempt, at } of history) this.note(is, attempt, at)
  }

  /**
   * Sends a message and waits for its own reply.
   * @throws LiminalError `TIMEOUT`, `ABORTED`, `RESPONDER_FAILED`, `PARTICIPANT_GONE`, `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`.
   */
  request(payload: Uint8Array, causal: CausalContext, limits: WaitLimits): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      throwIfAborted(limits.signal, `The request to '${this.subject}'`)
      const replied = (reply: Uint8Array | null): void => resolve(ownBytes(reply ?? new Uint8Array(0)))
      const { timeoutMs } = limits
      const terms = timeoutMs === undefined ? null : { deadline: Date.now() + timeoutMs }
      this.ask(payload, causal, limits, { replied, failed: reject }, terms)
    })
  }

  /**
   * The same for who has thousands of them: no promise, and an exchange that can be abandoned without a signal.
   * @param terms what the participant is told beside the content.
   * @param shunned sources that do not get it.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`, or why nobody can take part any more.
   */
  ask(
    payload: Uint8Array,
    causal: CausalContext,
    limits: WaitLimits | null,
    observer: ExchangeObserver,
    terms: MessageTerms | null = null,
    shunned: Set<SourceRegistration> | null = null,
  ): Exchange {
    const seat = this.#admit(shunned)
    const replyRequested = terms?.replyRequested ?? true
    const exchange = new Exchange(payload, this.causalOf(causal), replyRequested, observer, this, terms)
    exchange.shunned = shunned
    if (limits !== null) exchange.limit(limits, `The request to '${this.subject}'`)
    this.#hand(seat, exchange)
    return exchange
  }

  /**
   * Sends a message that wants no reply. What goes wrong later is said on the diagnostics channel `SEND_FAILED`. `settled` is called once the participant is done with it.
   * @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`, or why nobody can take part any more.
   */
  send(payload: Uint8Array, causal: CausalContext, settled?: () => void): void {
    const seat = this.#admit(null)
    const observer: ExchangeObserver = {
      replied: () => settled?.(),
      failed: (error) => {
        settled?.()
        saySendFailed(this.subject, this.id, error)
      },
    }
    this.#hand(seat, new Exchange(payload, this.causalOf(causal), false, observer, this))
  }

  /**
   * Ends it: requests underway reject with `CONVERSATION_CLOSED` (or `error`), the participant is told, and so is the owner. Messages that want no reply are left to
   * finish, unless it ends with an error. Idempotent.
   *
   * @param reason for people, said to the participant. Default: the error's message.
   */
  close(error?: LiminalError, reason?: string): void {
    if (!this.isOpen) return
    this.#reason = reason ?? error?.message ?? null
    this.end(error ?? null)
  }

  /** Resolves once nothing is underway. */
  settledAll(): Promise<void> {
    this.#settledAll ??= new Deferred()
    if (this.#pending === null) this.#settledAll.resolve()
    return this.#settledAll.promise
  }

  /** See ExchangeKeeper. */
  settled(exchange: Exchange, well: boolean): void {
    this.#pending = withoutItem(this.#pending, exchange)
    if (this.#pending === null) this.#settledAll?.resolve()
    this.note(well ? 'reply' : 'failed', exchange.attempts)
    this.timers?.active()
    const { seat } = exchange
    if (seat === null) return
    seat.pending--
    if (seat.pending === 0 && seat !== this.#seat) this.#dismiss(seat)
  }

  /** See ExchangeKeeper. */
  progressed(): void {
    this.timers?.active()
  }

  /** See ExchangeKeeper. */
  handedBack(exchange: Exchange, error: LiminalError): void {
    this.note('handed-back', exchange.attempts)
    const { seat } = exchange
    if (seat === null || !this.isOpen || this.terms.onCrash !== 'route-to-next') {
      exchange.settleUndone(error)
      return
    }
    exchange.shunned ??= new Set()
    exchange.shunned.add(seat.registration)
    if (this.#seat === seat) {
      this.#seat = null
      this.#former = withItem(this.#former, seat)
    }
    seat.pending--
    exchange.seat = null
    this.#reroute(exchange, handedBackError(error), performance.now())
    if (seat.pending === 0 && seat !== this.#seat) this.#dismiss(seat)
  }

  /** See ExchangeKeeper. */
  crashed(exchange: Exchange, reason: ExitReason): void {
    const observedAt = performance.now()
    this.note('crashed', exchange.attempts)
    const gone = participantGone(this.subject, reason)
    const { seat } = exchange
    if (seat === null || reason.is === 'normal' || this.terms.onCrash !== 'route-to-next') {
      exchange.settleCrashed(gone, reason)
      return
    }
    seat.pending--
    exchange.seat = null
    this.#reroute(exchange, gone, observedAt)
    if (seat.pending === 0 && seat !== this.#seat) this.#dismiss(seat)
  }

  /** See ExchangeKeeper. */
  refused(_exchange: Exchange, attempt: number): void {
    sayAnswerRefused(this.subject, this.id, attempt)
  }

  /** See SeatOwner: the participant is no more. */
  vacated(seat: Seat, reason: ExitReason): void {
    const observedAt = performance.now()
    seat.release()
    if (!this.isOpen) {
      this.#abandonAt(seat, reason)
      return
    }
    const wasCurrent = this.#seat === seat
    // It may be told twice, by its source and by itself.
    if (!wasCurrent && !hasItem(this.#former, seat)) return
    this.#former = withoutItem(this.#former, seat)
    if (wasCurrent) this.#seat = null
    this.note(reason.is === 'normal' ? 'left' : 'crashed', 0)
    if (this.terms.onCrash === 'route-to-next') this.#rerouteFrom(seat, reason, observedAt)
    else if (reason.is !== 'normal') this.end(participantGone(this.subject, reason))
    else {
      // Not a crash: it is done with the conversation, and may have done what it was at.
      this.#abandonAt(seat, reason)
      this.end(null)
    }
  }

  #rerouteFrom(seat: Seat, reason: ExitReason, observedAt: number): void {
    for (const exchange of itemsOf(this.#pending)) {
      if (exchange.seat !== seat || !exchange.open) continue
      exchange.seat = null
      const gone = participantGone(this.subject, reason)
      if (reason.is === 'normal') exchange.abandon(gone)
      else this.#reroute(exchange, gone, observedAt)
    }
  }

  /** The participant of a seat ends the conversation. */
  left(seat: Seat, error: LiminalError | null): void {
    if (hasItem(this.#former, seat)) this.vacated(seat, error === null ? exitNormal() : exitError(error))
    if (this.#seat !== seat) return
    // It knows already. What it still finishes keeps the seat.
    seat.participant = null
    this.#seat = null
    this.end(error)
    if (seat.pending === 0) seat.release()
  }

  #admit(shunned: ReadonlySet<SourceRegistration> | null): Seat {
    if (!this.isOpen) throw this.overError()
    const { maxPending } = this.limits
    if (countOf(this.#pending) >= maxPending) {
      const message = `The conversation with '${this.subject}' has ${maxPending} messages underway. Await replies before sending more.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    return this.#fit(shunned) ?? this.#sit(shunned)
  }

  /** The participant, if a message may go to it. */
  #fit(shunned: ReadonlySet<SourceRegistration> | null): Seat | null {
    const seat = this.#seat
    if (seat === null || this.terms.onCrash !== 'route-to-next') return seat
    // One that is over has not been told so yet.
    return seat.registration.isOver || shunned?.has(seat.registration) ? null : seat
  }

  /** Brings the next participant in. @param shunned sources that are not to be tried. */
  #sit(shunned: ReadonlySet<SourceRegistration> | null): Seat {
    const seat = this.keeper.seat(this, shunned)
    // Joining runs code of the participant, which may have ended the conversation, or begun with somebody else.
    const before = this.#seat
    if (!this.isOpen) {
      this.#dismiss(seat)
      throw this.overError()
    }
    this.#seat = seat
    if (before !== null) this.#retire(before)
    this.note('joined', 0)
    return seat
  }

  /** New messages go to somebody else. */
  #retire(seat: Seat): void {
    if (seat.pending === 0) this.#dismiss(seat)
    else this.#former = withItem(this.#former, seat)
  }

  #hand(seat: Seat, exchange: Exchange): void {
    // Its limits were reached before it began.
    if (!exchange.open) return
    this.#isUsed = true
    this.note(exchange.replyRequested ? 'request' : 'message', exchange.attempt)
    this.timers?.active()
    this.#pending = withItem(this.#pending, exchange)
    if (this.terms.onCrash === 'route-to-next' && this.terms.maxAttempts !== 1) exchange.keep()
    exchange.seat = seat
    seat.pending++
    this.#deliver(seat, exchange)
  }

  /** Gives a request whose participant is out to another one. */
  #reroute(exchange: Exchange, why: LiminalError, observedAt: number): void {
    const { maxAttempts = MAX_ATTEMPTS } = this.terms
    if (!exchange.repeatable || exchange.attempts >= maxAttempts) {
      exchange.settleWith(why)
      return
    }
    let seat: Seat
    try {
      seat = this.#fit(exchange.shunned) ?? this.#sit(exchange.shunned)
    } catch (cause) {
      const message = `${why.message} Nobody else can take it over.`
      exchange.settleWith(new LiminalError('PARTICIPANT_GONE', message, { cause }))
      return
    }
    if (!exchange.open) return
    const from = exchange.attempts
    exchange.seat = seat
    seat.pending++
    const attempt = exchange.again(new LiminalError('ABORTED', 'Another participant has this request now.'))
    const startedAt = performance.now()
    sayRerouted({ subject: this.subject, conversationId: this.id, attempt: from, error: why, observedAt, startedAt })
    this.note('rerouted', attempt.attempt)
    // Whoever had it before was told so, and may have ended this or that in answer.
    if (exchange.awaits(attempt)) this.#deliver(seat, attempt)
  }

  #deliver({ participant, registration }: Seat, message: Exchange | LaterAttempt): void {
    // Of one that is over it will be told: what is given to it now goes to somebody else then, and is not to be begun twice.
    if (!registration.isOver) {
      try {
        if (participant === null) throw this.overError()
        participant.receive(message, message)
      } catch (error) {
        message.fail(asFailure(error, this.subject))
      }
    }
    message.release()
  }

  protected override end(error: LiminalError | null): void {
    if (!this.isOpen) return
    this.finish(error)
    const seat = this.#seat
    this.#seat = null
    this.#abandonPending(error)
    if (seat !== null) this.#dismiss(seat)
    for (const former of itemsOf(this.#former)) this.#dismiss(former)
    this.keeper.over(this, error)
    this.endProcess()
  }

  /** Nothing more is sent to the participant of a seat. What it is at keeps the seat, so that its crash is heard of. */
  #dismiss(seat: Seat): void {
    this.#former = withoutItem(this.#former, seat)
    const { participant } = seat
    seat.participant = null
    if (seat.pending === 0) seat.release()
    try {
      participant?.close(this.#reason)
    } catch (failure) {
      saySendFailed(this.subject, this.id, asFailure(failure, this.subject))
    }
  }

  /** An error is made only if somebody waits for it: most conversations end with nothing underway. */
  #abandonPending(error: LiminalError | null): void {
    if (this.#pending === null) return
    const why = error ?? new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' was closed.`)
    for (const exchange of itemsOf(this.#pending)) {
      if (error !== null || exchange.replyRequested) exchange.abandon(why)
    }
  }

  /** What a participant was at that is no more, and that nobody else is to do. */
  #abandonAt(seat: Seat, reason: ExitReason): void {
    for (const exchange of itemsOf(this.#pending)) {
      if (exchange.seat === seat) exchange.abandon(participantGone(this.subject, reason))
    }
  }
}

function handedBackError(error: LiminalError): HandedBackError {
  return error instanceof HandedBackError ? error : new HandedBackError(error.message, { cause: error })
}

function asFailure(error: unknown, subject: string): LiminalError {
  return (
    asLiminalError(error) ??
    new LiminalError('RESPONDER_FAILED', `The responder for '${subject}' failed: ${textOf(error)}`, { cause: error })
  )
}
