import { Deferred } from '../deferred.ts'
import { afterSettled } from './after-settled.ts'
import { ConsumerCrashError, ConsumerEndedError, type ConsumerExit, isHandedBack } from './consumer.ts'
import { sayAnswerRefused, sayConsumerEnded, sayDispatchRerouted } from './diagnostics.ts'
import { type Attempt, Dispatch, type DispatchTerms } from './dispatch.ts'
import type { DispatchOutcome, Reroute } from './dispatch-outcome.ts'
import { Inquiry } from './inquiry.ts'
import { LinkedList } from './linked-list.ts'
import type { Member } from './member.ts'
import { Roster } from './roster.ts'
import { type Choice, RoutingError, type RoutingFunction } from './routing-function.ts'
import type { RoutingSlot } from './routing-slot.ts'
import { WaitingLine } from './waiting-line.ts'

/**
 * Brings the messages of one group to its consumers (spec routing §9). A dispatch seeks a consumer, is delivered, and ends on the completion. If the consumer ends
 * first, it seeks again. While none has room it waits, and is woken by room, by a consumer that joins and by a new routing function; nothing polls.
 */
export class Dispatcher {
  readonly roster = new Roster()
  readonly #name: string
  readonly #maxWaiting: number
  readonly #line: WaitingLine
  readonly #inquiry: Inquiry
  /**
   * A `Set` that 100,000 dispatches a second pass through leaves tables behind, each of which keeps the next one and what was in it: the garbage grew old, and its collection took
   * two fifths of the time.
   */
  readonly #open = new LinkedList<Dispatch>()
  readonly #waiting = new Set<Dispatch>()
  #inFlight = 0
  #refusedAnswers = 0
  #isClosing = false
  #idle: Deferred<void> | null = null

  /** @param view what routing functions are shown of a message; `null`: the message. */
  constructor(
    name: string,
    slot: RoutingSlot,
    fallback: RoutingFunction | null,
    maxWaiting: number,
    view: ((message: unknown) => unknown) | null,
  ) {
    this.#name = name
    this.#maxWaiting = maxWaiting
    this.#line = new WaitingLine({
      hasRoom: () => this.roster.room > this.#inquiry.underway,
      ask: (dispatch) => this.#inquiry.ask(dispatch),
    })
    this.#inquiry = new Inquiry(slot, fallback, view, {
      roster: this.roster,
      line: this.#line,
      admit: this.#admit,
      chosen: this.#chosen,
    })
  }

  /** Dispatches that have no consumer yet. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Messages that consumers are at. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Answers that came to dispatches which were settled or had gone on to another consumer. */
  get refusedAnswers(): number {
    return this.#refusedAnswers
  }

  dispatch(message: unknown, terms: DispatchTerms): Promise<DispatchOutcome> {
    return new Promise((resolve, reject) => {
      const dispatch = new Dispatch(this.#name, message, terms, resolve, reject, this.#settled)
      this.#open.append(dispatch.openLink)
      this.#inquiry.ask(dispatch)
    })
  }

  join(member: Member): void {
    this.roster.add(member)
    this.#line.open()
  }

  /** The member gets no more messages. @returns what resolves once it has none any more. */
  leave(member: Member): Promise<void> {
    this.#withdraw(member, 'leaving')
    this.#forgetIfDone(member)
    return member.drained()
  }

  resize(member: Member, capacity: number): void {
    const before = member.available
    member.capacity = capacity
    if (member.state === 'joined') this.#changed(member, before)
  }

  /** The member has ended: it leaves at once, and what it had goes elsewhere. */
  exit(member: Member, exit: ConsumerExit, observedAt: number): void {
    if (member.state === 'gone') return
    sayConsumerEnded({ group: this.#name, consumer: member.id, exit, inFlight: member.inFlight })
    this.#withdraw(member, 'gone')
    member.settleDrained()
    // What it completed just before it ended is on its way through promises: it counts, and must not be run twice.
    if (member.inFlight > 0) afterSettled(() => this.#takeBack(member, exit, observedAt))
  }

  /** A new routing function is there: who waits is asked about again. */
  redeployed(): void {
    this.roster.tick()
    this.#line.open()
  }

  /** Lets go of the dispatches that wait, and of those that come to wait. @returns what resolves once none is open. */
  drain(): Promise<void> {
    this.#isClosing = true
    for (const dispatch of [...this.#waiting]) this.#refuse(dispatch)
    this.#idle ??= new Deferred()
    if (this.#open.size === 0) this.#idle.resolve()
    return this.#idle.promise
  }

  /** Ends what is still open, and forgets the members. */
  stop(): void {
    for (const dispatch of this.#open.values()) this.#refuse(dispatch)
    for (const { id } of [...this.roster.views()]) {
      const member = this.roster.get(id)
      if (member === undefined) continue
      this.#withdraw(member, 'leaving')
      this.#forgetIfDone(member)
    }
  }

  readonly #chosen = (dispatch: Dispatch, routing: RoutingFunction, choice: Choice): void => {
    if (dispatch.isSettled) return
    if (choice === null) {
      // Something may have opened while the function was at it; nobody would wake this one for that any more.
      if (dispatch.askedAt !== this.#line.openings) this.#inquiry.ask(dispatch)
      else this.#park(dispatch, this.#line.list)
      return
    }
    const member = this.roster.get(choice)
    if (member === undefined || dispatch.excluded?.has(member)) {
      if (this.roster.lastRemoval > dispatch.askedClock) {
        this.#inquiry.ask(dispatch)
      } else {
        const what = `chose '${choice}', which is not among the candidates.`
        this.#inquiry.failed(dispatch, routing, new RoutingError('unknown-consumer', routing, what))
      }
    } else if (member.available > 0) {
      this.#deliver(dispatch, member)
    } else if (member.fullSince > dispatch.askedClock) {
      // It had room when the function looked.
      this.#inquiry.ask(dispatch)
    } else {
      this.#park(dispatch, member.waiting)
    }
  }

  #park(dispatch: Dispatch, list: LinkedList<Dispatch>): void {
    if (this.#isClosing) {
      this.#refuse(dispatch)
    } else if (dispatch.terms.whenUnavailable === 'fail') {
      const { size } = this.roster
      const why = size === 0 ? 'the group has no consumer' : `none of its ${size} consumers can take it`
      dispatch.fail('NO_RESPONDER', `went to nobody: ${why}`)
    } else if (dispatch.link.list !== list && this.#admit(dispatch)) {
      // One that was asked again in vain keeps its place in the queue.
      dispatch.link.list?.remove(dispatch.link)
      list.append(dispatch.link)
      dispatch.startWaiting()
    }
  }

  /** Counts a dispatch that has to wait. Those that were delivered before are not turned away. */
  readonly #admit = (dispatch: Dispatch): boolean => {
    if (dispatch.attempts === 0 && !this.#waiting.has(dispatch) && this.#waiting.size >= this.#maxWaiting) {
      dispatch.fail(
        'LIMIT_EXCEEDED',
        `was not let in: ${this.#waiting.size} wait already. Dispatch more slowly, or add consumers`,
      )
      return false
    }
    this.#waiting.add(dispatch)
    return true
  }

  #deliver(dispatch: Dispatch, member: Member): void {
    this.#stopWaiting(dispatch)
    const before = member.available
    const attempt = dispatch.begin(member)
    member.attempts.append(attempt.link)
    this.#inFlight++
    this.roster.chosen(member, before)
    let completion: Promise<unknown>
    try {
      completion = Promise.resolve(member.consumer.deliver(dispatch.message, attempt))
    } catch (error) {
      this.#rejected(attempt, error)
      return
    }
    completion.then(
      (value) => this.#completed(attempt, value),
      (error: unknown) => this.#rejected(attempt, error),
    )
  }

  #completed(attempt: Attempt, value: unknown): void {
    const { dispatch, member, state } = attempt
    if (state === 'open') {
      const now = performance.now()
      member.complete(now - attempt.deliveredAt)
      attempt.state = 'over'
      dispatch.complete(attempt, value, now)
    } else {
      this.#refuseAnswer(attempt, undefined)
    }
    this.#release(attempt)
  }

  #rejected(attempt: Attempt, error: unknown): void {
    const { dispatch, member, state } = attempt
    attempt.state = 'over'
    if (state !== 'open') {
      this.#refuseAnswer(attempt, error)
      this.#release(attempt)
    } else if (isHandedBack(error)) {
      const observedAt = performance.now()
      this.#release(attempt)
      this.#reroute(attempt, 'handed-back', error, observedAt)
    } else if (error instanceof ConsumerCrashError) {
      this.#release(attempt)
      this.#reroute(attempt, error.reason, error, error.observedAt, false)
    } else if (error instanceof ConsumerEndedError) {
      dispatch.fail('PARTICIPANT_GONE', endedNormally(member), error.cause)
      this.#release(attempt)
    } else {
      member.failed++
      dispatch.fail('RESPONDER_FAILED', `was rejected by the consumer '${member.id}'`, error)
      this.#release(attempt)
    }
  }

  #refuseAnswer(attempt: Attempt, error: unknown): void {
    this.#refusedAnswers++
    sayAnswerRefused(this.#name, attempt.member.id, attempt.attempt, error)
  }

  /** @param excludes whether this consumer is left out from now on. */
  #reroute(
    attempt: Attempt,
    reason: Reroute['reason'],
    cause: unknown,
    observedAt: number,
    excludes: boolean = true,
  ): void {
    const { dispatch, member } = attempt
    if (dispatch.attempts >= dispatch.terms.maxAttempts) {
      const what = reason === 'handed-back' ? 'handed it back' : 'ended'
      dispatch.fail(
        'PARTICIPANT_GONE',
        `is given up after ${dispatch.attempts} attempts: the consumer '${member.id}' ${what}`,
        cause,
      )
      return
    }
    sayDispatchRerouted(this.#name, dispatch.reroute(attempt, reason, cause, observedAt, excludes))
    this.#inquiry.ask(dispatch)
  }

  #takeBack(member: Member, exit: ConsumerExit, observedAt: number): void {
    for (const attempt of member.attempts.values()) {
      const { state } = attempt
      attempt.state = 'over'
      this.#release(attempt)
      if (state !== 'open') continue
      if (exit.is === 'normal') {
        // It was not killed: it may have done the work, so nobody else is to do it again.
        attempt.dispatch.fail('PARTICIPANT_GONE', endedNormally(member), exit.cause)
      } else {
        this.#reroute(attempt, exit.is, exit.cause, observedAt)
      }
    }
  }

  /** The consumer has a place free again, unless it has left. */
  #release(attempt: Attempt): void {
    const { member } = attempt
    const before = member.available
    if (attempt.link.list === null) return
    member.attempts.remove(attempt.link)
    this.#inFlight--
    if (member.state === 'joined') this.#changed(member, before)
    member.settleDrained()
    this.#forgetIfDone(member)
  }

  #changed(member: Member, before: number): void {
    this.roster.changed(member, before)
    // The function chose this very consumer for these.
    while (member.available > 0) {
      const waiting = member.waiting.shift()
      if (waiting === undefined) break
      this.#deliver(waiting, member)
    }
    if (member.available > 0) this.#line.open()
    else member.fullSince = this.roster.clock
  }

  #withdraw(member: Member, state: 'leaving' | 'gone'): void {
    const { available, state: before } = member
    member.state = state
    if (before !== 'joined') return
    this.roster.remove(member, available)
    for (let waiting = member.waiting.shift(); waiting !== undefined; waiting = member.waiting.shift()) {
      this.#inquiry.ask(waiting)
    }
  }

  #forgetIfDone(member: Member): void {
    if (member.state !== 'leaving' || member.inFlight > 0) return
    member.state = 'gone'
    member.forget()
  }

  #stopWaiting(dispatch: Dispatch): void {
    dispatch.link.list?.remove(dispatch.link)
    this.#waiting.delete(dispatch)
  }

  #refuse(dispatch: Dispatch): void {
    dispatch.fail('SHUTTING_DOWN', 'was not done: the group is closed')
  }

  readonly #settled = (dispatch: Dispatch): void => {
    this.#stopWaiting(dispatch)
    this.#open.remove(dispatch.openLink)
    if (this.#open.size === 0) this.#idle?.resolve()
  }
}

function endedNormally({ id }: Member): string {
  return `was not completed: the consumer '${id}' ended normally before`
}
