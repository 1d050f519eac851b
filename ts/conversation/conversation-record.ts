import { LiminalError } from '../errors.ts'
import { type Exit, exitError, exitNormal, type PassiveProcess, type Pid } from '../process/index.ts'
import { type CausalContext, NO_CAUSE } from '../protocol/index.ts'
import { type ConversationEvent, ConversationHistory } from './conversation-history.ts'
import type {
  ConversationDetails,
  ConversationKeeper,
  ConversationLimits,
  ConversationOwner,
  ConversationPhase,
  ConversationTerms,
} from './conversation-terms.ts'
import { type ConversationTimers, timersOf } from './conversation-timers.ts'

const NO_TERMS: ConversationTerms = {}

/**
 * What there is of a conversation beside its messages and its participants: which one it is, its terms, its process, what happened in it, and how it ended. The base of a
 * conversation and no part of it: one object, because there may be very many.
 */
export abstract class ConversationRecord {
  readonly number: number
  readonly subject: string
  /** On the clock of `performance.now()`. */
  readonly openedAt: number
  /** Who opened it, once that is done. */
  owner: ConversationOwner | null = null
  protected readonly terms: ConversationTerms
  protected readonly limits: ConversationLimits
  protected readonly keeper: ConversationKeeper
  protected readonly timers: ConversationTimers | null
  #process: PassiveProcess | null = null
  #history: ConversationHistory | null = null
  #isOpen = true
  #error: LiminalError | null = null

  constructor(
    number: number,
    subject: string,
    keeper: ConversationKeeper,
    limits: ConversationLimits,
    terms: ConversationTerms | null,
  ) {
    this.number = number
    this.subject = subject
    this.keeper = keeper
    this.limits = limits
    this.terms = terms ?? NO_TERMS
    this.openedAt = this.terms.openedAt ?? performance.now()
    this.timers = timersOf(subject, this.terms, this.openedAt, (error) => this.end(error))
  }

  get id(): bigint {
    return BigInt(this.number)
  }

  /** Its process, whose pid is its number. It is made when somebody looks at it: most conversations are over before. */
  get process(): PassiveProcess {
    this.#process ??= this.keeper.adopt(this, (exit) => this.#exited(exit))
    return this.#process
  }

  /** Whether somebody has looked at its process. */
  get isNamed(): boolean {
    return this.#process !== null
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** What it failed with; `null` while it is open or if it was closed. */
  get error(): LiminalError | null {
    return this.#error
  }

  abstract get phase(): ConversationPhase

  /** Messages underway. */
  abstract get pending(): number

  get details(): ConversationDetails {
    const { deadlineMs } = this.terms
    const openedAt = performance.timeOrigin + this.openedAt
    return {
      id: this.id,
      subject: this.subject,
      key: this.terms.key ?? null,
      phase: this.phase,
      pid: this.process.pid,
      participant: this.participant,
      openedAt,
      deadline: deadlineMs === undefined ? null : openedAt + deadlineMs,
      pending: this.pending,
      causal: this.terms.causal ?? NO_CAUSE,
      history: this.#history?.list() ?? [],
    }
  }

  /** Who takes part. */
  protected abstract get participant(): Pid | null

  /** Ends it, from a timer or because its process was ended. Without effect if it is over. */
  protected abstract end(error: LiminalError | null): void

  /** It is over. {@link endProcess} follows, once everybody was told. */
  protected finish(error: LiminalError | null): void {
    this.#isOpen = false
    this.#error = error
    this.timers?.stop()
  }

  protected endProcess(): void {
    this.#process?.end(this.#error === null ? exitNormal() : exitError(this.#error))
  }

  /** What is said to whoever still wants something of it. */
  protected overError(): LiminalError {
    return this.#error ?? new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' is over.`)
  }

  /** What a message has for its cause that says this of itself. */
  protected causalOf(causal: CausalContext): CausalContext {
    const own = this.terms.causal
    return own !== undefined && causal.parentId === null && causal.vectorClockEntry === null ? own : causal
  }

  protected note(is: ConversationEvent['is'], attempt: number, at?: number): void {
    if (this.limits.history === 0) return
    this.#history ??= new ConversationHistory(this.limits.history)
    this.#history.add(is, attempt, at)
  }

  #exited({ reason }: Exit): void {
    if (!this.#isOpen) return
    const message = `The conversation with '${this.subject}' was ended from outside (${reason.is}).`
    this.end(new LiminalError('CONVERSATION_CLOSED', message, { cause: reason }))
  }
}
