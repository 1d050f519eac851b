import { sayRoutingFailed } from './diagnostics.ts'
import type { Dispatch } from './dispatch.ts'
import { Question } from './question.ts'
import type { Roster } from './roster.ts'
import { type Choice, crashed, isThenable, RoutingError, type RoutingFunction } from './routing-function.ts'
import type { RoutingSlot } from './routing-slot.ts'
import type { WaitingLine } from './waiting-line.ts'

/** For whom an {@link Inquiry} is made. */
export interface InquiryOwner {
  readonly roster: Roster
  readonly line: WaitingLine
  /** Whether a dispatch may wait for its answer. One that may not has failed. */
  readonly admit: (dispatch: Dispatch) => boolean
  /** The dispatch has an answer, which may be `null`: nobody. */
  readonly chosen: (dispatch: Dispatch, routing: RoutingFunction, choice: Choice) => void
}

/** Asks the routing function of a group whom a dispatch is for, and the fallback if that fails. A dispatch for which nobody has an answer fails. */
export class Inquiry {
  readonly #slot: RoutingSlot
  readonly #fallback: RoutingFunction | null
  readonly #view: ((message: unknown) => unknown) | null
  readonly #owner: InquiryOwner
  #underway = 0

  /** @param view what routing functions are shown of a message; `null`: the message. */
  constructor(
    slot: RoutingSlot,
    fallback: RoutingFunction | null,
    view: ((message: unknown) => unknown) | null,
    owner: InquiryOwner,
  ) {
    this.#slot = slot
    this.#fallback = fallback
    this.#view = view
    this.#owner = owner
  }

  /** Calls of routing functions that are not settled. */
  get underway(): number {
    return this.#underway
  }

  /** Asks about a dispatch. @param fallback asked instead of the group's routing function. */
  ask(dispatch: Dispatch, fallback: RoutingFunction | null = null): void {
    const { roster, line } = this.#owner
    dispatch.isAsking = true
    dispatch.askedAt = line.openings
    dispatch.askedClock = roster.clock
    const version = fallback === null ? this.#slot.enter() : null
    const routing = fallback ?? this.#slot.current
    const done = (): void => {
      dispatch.isAsking = false
      if (version !== null) this.#slot.leave(version)
    }
    let choice: Choice | Promise<Choice>
    try {
      choice = routing.choose(new Question(dispatch, roster.candidates(dispatch.excluded), this.#view))
    } catch (error) {
      done()
      this.failed(dispatch, routing, error)
      return
    }
    if (!isThenable(choice)) {
      done()
      this.#owner.chosen(dispatch, routing, choice)
      return
    }
    this.#await(dispatch, routing, choice, done)
  }

  /** A routing function threw, or chose in vain. */
  failed(dispatch: Dispatch, routing: RoutingFunction, thrown: unknown): void {
    if (dispatch.isSettled) return
    const error = thrown instanceof RoutingError ? thrown : crashed(routing, thrown)
    sayRoutingFailed(dispatch.group, error)
    if (this.#fallback !== null && routing !== this.#fallback) this.ask(dispatch, this.#fallback)
    else dispatch.fail('ROUTING_FAILED', `could not be routed: ${error.message}`, error)
  }

  #await(dispatch: Dispatch, routing: RoutingFunction, choice: PromiseLike<Choice>, done: () => void): void {
    // The function itself may have aborted it.
    if (dispatch.isSettled || !this.#owner.admit(dispatch)) {
      choice.then(done, done)
      return
    }
    this.#underway++
    const settle = (next: () => void): void => {
      this.#underway--
      done()
      next()
      // There may be room for the next in the queue, which was not asked while this one was.
      this.#owner.line.wake()
    }
    choice.then(
      (chosen) => settle(() => this.#owner.chosen(dispatch, routing, chosen)),
      (error: unknown) => settle(() => this.failed(dispatch, routing, error)),
    )
  }
}
