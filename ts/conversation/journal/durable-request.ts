import { type ErrorCode, LiminalError } from '../../errors.ts'
import { ownBytes } from '../../payload.ts'
import { toLiminalError } from '../../thrown.ts'
import type { MessageTerms } from '../abandonable-message.ts'
import type { ConversationCore } from '../conversation-core.ts'
import type { Exchange, ExchangeObserver } from '../exchange.ts'
import type { SourceRegistration } from '../source-registration.ts'
import type { Journal } from './journal.ts'
import type { RecordedError } from './journal-event.ts'
import type { Answer, RequestState } from './journal-state.ts'
import { RequestSteps } from './request-steps.ts'

/** Attempts that follow each other at once: who goes on after one crash should do so within a millisecond. */
const QUICK_ATTEMPTS = 3
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 10_000
const NOTHING = new Uint8Array(0)

/** Hears what became of a durable request: one call of either. */
export interface RequestWaiter {
  /** @param reply its own from then on. */
  replied(reply: Uint8Array): void
  failed(error: LiminalError): void
}

/** What a request needs of its conversation. */
export interface RequestKeeper {
  readonly subject: string
  readonly journal: Journal
  readonly isOpen: boolean
  readonly core: ConversationCore
  /** Whether anybody answers the subject now. */
  readonly isAnswered: boolean
  /** Nobody does: it goes on, by {@link DurableRequest.go}, when somebody comes. */
  park(request: DurableRequest): void
  /** It is not at anybody's any more, after it was parked. */
  left(request: DurableRequest): void
  /** Its answer is stored. */
  settled(request: DurableRequest): void
  /** Its conversation cannot be kept any more: somebody else has it. */
  broken(error: LiminalError): void
}

/** A request of a durable conversation, from its record to the record of its answer: handed to one responder after the other until one answers. */
export class DurableRequest implements ExchangeObserver {
  readonly id: string
  readonly #keeper: RequestKeeper
  readonly #steps: RequestSteps
  readonly #waiters = new Set<RequestWaiter>()
  /** Sources that gave it back. */
  #shunned: Set<SourceRegistration> | null = null
  #exchange: Exchange | null = null
  /** Whether its next attempt is in the journal. */
  #isArmed: boolean
  #isSettled = false
  #timer: NodeJS.Timeout | null = null
  #lastError: LiminalError | null = null

  /** @param isArmed whether its record says that it is begun. */
  constructor(keeper: RequestKeeper, id: string, isArmed: boolean) {
    this.#keeper = keeper
    this.id = id
    this.#steps = new RequestSteps(keeper.journal, id)
    this.#isArmed = isArmed
  }

  get waiters(): number {
    return this.#waiters.size
  }

  /** Adds somebody who waits. Returns what takes them back: the request goes on. */
  wait(waiter: RequestWaiter): () => void {
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  /** Hands it to a responder, or waits for one. */
  go(): void {
    if (this.#isOver) return
    if (this.#keeper.isAnswered) void this.#hand()
    else this.#keeper.park(this)
  }

  /** It is answered, and this is stored. */
  tell(answer: Answer): void {
    this.stop()
    for (const waiter of this.#waiters) {
      if (answer.is === 'reply') waiter.replied(ownBytes(answer.reply))
      else waiter.failed(errorOf(answer.error))
    }
    this.#waiters.clear()
  }

  /** Nobody here hears of its answer any more. */
  fail(error: LiminalError): void {
    this.stop()
    for (const waiter of this.#waiters) waiter.failed(error)
    this.#waiters.clear()
  }

  /** Nothing is done about it any more. */
  stop(): void {
    this.#isSettled = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#steps.end()
  }

  /** See ExchangeObserver. */
  replied(reply: Uint8Array | null): void {
    this.#exchange = null
    this.#record({ is: 'reply', reply: ownBytes(reply ?? NOTHING) })
  }

  /** See ExchangeObserver. */
  failed(error: LiminalError): void {
    const shunned = this.#exchange?.shunned ?? null
    this.#exchange = null
    // The end of the conversation has its own record.
    if (this.#isOver) return
    this.#keeper.left(this)
    if (this.#keeper.journal.state.opened.onCrash === 'route-to-next' && UNANSWERED.has(error.code)) {
      this.#shunned = shunned
      this.#again(error)
    } else this.#record({ is: 'error', error: { code: error.code, message: error.message } })
  }

  get #isOver(): boolean {
    return this.#isSettled || !this.#keeper.isOpen
  }

  get #state(): RequestState | undefined {
    return this.#keeper.journal.state.pending.get(this.id)
  }

  async #hand(): Promise<void> {
    try {
      if (!this.#isArmed && !(await this.#arm())) return
    } catch (thrown) {
      this.#keeper.broken(toLiminalError(thrown))
      return
    }
    const state = this.#state
    if (this.#isOver || state === undefined) return
    const { core, journal } = this.#keeper
    const { deadline } = journal.state.opened
    const { payload, causal, attempts: attempt, replyRequested } = state
    const terms: MessageTerms = { attempt, deadline, replyRequested, steps: this.#steps.run() }
    this.#isArmed = false
    try {
      const exchange = core.ask(payload, causal, null, this, terms, this.#shunned)
      if (exchange.open) this.#exchange = exchange
    } catch (thrown) {
      // Nobody has seen it: the attempt that was recorded is still to be made.
      this.#isArmed = true
      this.#notTaken(toLiminalError(thrown))
    }
  }

  /** Records the next attempt, before anybody can see it. Returns whether there may be one. */
  async #arm(): Promise<boolean> {
    const { journal } = this.#keeper
    const { maxAttempts } = journal.state.opened
    const attempts = this.#state?.attempts ?? 0
    if (attempts >= maxAttempts) {
      this.#record({ is: 'error', error: { code: 'RESPONDER_FAILED', message: this.#tooOften(attempts) } })
      return false
    }
    await journal.persist({ is: 'attempt', at: Date.now(), request: this.id, attempt: attempts + 1 })
    this.#isArmed = true
    return true
  }

  #tooOften(attempts: number): string {
    const last = this.#lastError === null ? '' : ` The last time: ${this.#lastError.message}`
    return `The request to '${this.#keeper.subject}' was begun ${attempts} times, and nobody lived to answer it. It may be what kills its responders.${last}`
  }

  #notTaken(error: LiminalError): void {
    if (this.#isOver) return
    this.#keeper.left(this)
    // Who joins may throw too, which is an answer.
    if (error.code === 'RESPONDER_FAILED') {
      this.#record({ is: 'error', error: { code: error.code, message: error.message } })
      return
    }
    // All of them gave it back: whoever comes next may take it, be it one of those.
    if (this.#shunned !== null) {
      this.#shunned = null
      this.#later(FIRST_WAIT_MS)
    } else if (this.#keeper.isAnswered) this.#later(LONGEST_WAIT_MS / 10)
    else this.#keeper.park(this)
  }

  #again(error: LiminalError): void {
    this.#lastError = error
    const attempts = this.#state?.attempts ?? 0
    if (attempts < QUICK_ATTEMPTS) this.go()
    else this.#later(Math.min(FIRST_WAIT_MS * 2 ** (attempts - QUICK_ATTEMPTS), LONGEST_WAIT_MS))
  }

  #later(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.go()
    }, milliseconds)
  }

  #record(answer: Answer): void {
    if (this.#isOver) return
    this.#isSettled = true
    this.#steps.end()
    this.#keeper.journal.persist({ at: Date.now(), request: this.id, ...answer }).then(
      () => {
        this.#keeper.settled(this)
        this.tell(answer)
      },
      (thrown: unknown) => this.#keeper.broken(toLiminalError(thrown)),
    )
  }
}

/** What says that nobody has answered: somebody else, or somebody later, may. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'PARTICIPANT_GONE',
  'OUTBOX_FULL',
  'LIMIT_EXCEEDED',
  'CONNECTION_LOST',
  'CONVERSATION_NOT_FOUND',
])

/** An error that was recorded, for whoever asks for it. */
export function errorOf({ code, message }: RecordedError): LiminalError {
  return new LiminalError(code, message)
}
