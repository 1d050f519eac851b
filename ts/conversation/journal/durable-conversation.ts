import { randomUUID } from 'node:crypto'
import { Deferred } from '../../deferred.ts'
import { LiminalError } from '../../errors.ts'
import { ownBytes } from '../../payload.ts'
import type { CausalContext } from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import { timeoutError, type WaitLimits, waitFor } from '../../waiting.ts'
import type { ConversationCore } from '../conversation-core.ts'
import type { ConversationOwner } from '../conversation-terms.ts'
import { saySendFailed } from '../diagnostics.ts'
import { DurableRequest, errorOf, type RequestKeeper, type RequestWaiter } from './durable-request.ts'
import type { Journal } from './journal.ts'
import type { RecordedError } from './journal-event.ts'
import type { Answer } from './journal-state.ts'

/** Those who wait for one request, at most. */
const MOST_WAITERS = 1_024

/** What a durable conversation needs of its bus. */
export interface DurableKeeper {
  /** Messages underway in one conversation, at most. */
  readonly maxPending: number
  isAnswered(subject: string): boolean
  /** @throws LiminalError `LIMIT_EXCEEDED`. */
  begin(conversation: DurableConversation): ConversationCore
  /** Somebody may answer the subject: requests that wait for that go on, soon. */
  answered(subject: string): void
  /** The request goes on when somebody answers the subject. */
  park(request: DurableRequest, subject: string): void
  left(request: DurableRequest, subject: string): void
  /** It is over, and its journal says so unless `error` says that this journal is somebody else's now. */
  over(conversation: DurableConversation, error: LiminalError | null): void
}

/**
 * A conversation that its journal carries: what was asked is asked until it is answered, across crashes of its responders and of its bus. Any number of handles share it; each
 * request has an id, and whoever asks with an id that was used before gets what became of that one.
 */
export class DurableConversation implements ConversationOwner, RequestKeeper {
  readonly subject: string
  readonly key: string
  readonly journal: Journal
  /** Settles when it is over: resolves if it was closed. */
  readonly closed = new Deferred<void>()
  readonly #keeper: DurableKeeper
  readonly #requests = new Map<string, DurableRequest>()
  #core: ConversationCore | null = null
  #isOpen = true
  /** What keeps it from being used here any more, while its journal goes on. */
  #suspended: LiminalError | null = null
  #reason: string | null = null

  constructor(keeper: DurableKeeper, journal: Journal) {
    this.#keeper = keeper
    this.journal = journal
    this.subject = journal.name.subject
    this.key = journal.name.key
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** See ConversationOwner: requests without an answer. */
  get underway(): number {
    return this.#requests.size
  }

  /** The conversation with whoever answers. @throws Error before it has begun. */
  get core(): ConversationCore {
    if (this.#core === null) throw new Error(`The conversation with '${this.subject}' has not begun.`)
    return this.#core
  }

  /** Its number on this bus; 0 for one that was over before. It has another one after a restart. */
  get id(): bigint {
    return this.#core?.id ?? 0n
  }

  get isAnswered(): boolean {
    return this.#keeper.isAnswered(this.subject)
  }

  /**
   * Goes on where the journal is: what is not answered is handed out again.
   * @throws LiminalError `LIMIT_EXCEEDED`.
   */
  begin(): void {
    const { state } = this.journal
    if (state.closed !== null) {
      this.#isOpen = false
      this.#settle(state.closed.error)
      return
    }
    const { deadline, at } = state.opened
    if (deadline !== null && deadline <= Date.now()) {
      this.ended(timeoutError(deadline - at, `The conversation with '${this.subject}'`))
      return
    }
    this.#core = this.#keeper.begin(this)
    this.#core.remember(state.history)
    for (const id of state.pending.keys()) {
      const request = new DurableRequest(this, id, false)
      this.#requests.set(id, request)
      // Behind all others that wait: after a restart there may be very many.
      this.park(request)
    }
    if (state.pending.size > 0) this.#keeper.answered(this.subject)
  }

  /**
   * Sends a request and waits for its reply. Limits end the wait, not the request.
   * @param id one that was used before gets what became of that request.
   * @throws LiminalError `TIMEOUT`, `ABORTED`, `RESPONDER_FAILED`, `PARTICIPANT_GONE`, `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`, `STORE_FULL`, `STORE_FAILED`, `SEQUENCE_CONFLICT`, `CLOSED`.
   */
  async request(
    id: string | null,
    payload: Uint8Array,
    causal: CausalContext,
    limits: WaitLimits,
  ): Promise<Uint8Array> {
    let stop = (): void => {}
    const reply = new Promise<Uint8Array>((resolve, reject) => {
      stop = this.ask(id, payload, causal, { replied: resolve, failed: reject })
    })
    try {
      return await waitFor(reply, { ...limits, what: `The request to '${this.subject}'` })
    } finally {
      stop()
    }
  }

  /** The same without a promise. Returns what ends the wait. @throws LiminalError `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`, `CLOSED`. */
  ask(id: string | null, payload: Uint8Array, causal: CausalContext, waiter: RequestWaiter): () => void {
    const known = id === null ? undefined : this.journal.state.answered.get(id)
    if (known !== undefined) return answerSoon(known, waiter)
    this.#checkOpen()
    const pending = id === null ? undefined : this.#requests.get(id)
    if (pending !== undefined) {
      if (pending.waiters >= MOST_WAITERS) {
        throw new LiminalError('LIMIT_EXCEEDED', `${MOST_WAITERS} wait for request '${id}' already.`)
      }
      return pending.wait(waiter)
    }
    return this.#add(id ?? randomUUID(), ownBytes(payload), causal, true, waiter)
  }

  /** Sends a message that wants no reply; it is begun until somebody has done it. @throws like {@link ask}. */
  send(payload: Uint8Array, causal: CausalContext): void {
    this.#checkOpen()
    const waiter: RequestWaiter = {
      replied: () => {},
      failed: (error) => saySendFailed(this.subject, this.id, error),
    }
    this.#add(randomUUID(), ownBytes(payload), causal, false, waiter)
  }

  /** Ends it, for all who have it. Resolves once that is stored. @throws LiminalError `SEQUENCE_CONFLICT`, `CLOSED`. */
  async close(reason: string | null): Promise<void> {
    if (this.#suspended !== null) throw this.#suspended
    if (this.#isOpen) {
      this.#reason = reason
      // Its owner, this, hears of the end, and writes it down.
      this.core.close(undefined, reason ?? undefined)
    }
    await this.closed.promise.catch((error: unknown) => {
      if (this.#suspended !== null) throw error
    })
  }

  /** See ConversationOwner: it ended, from whichever side. */
  ended(error: LiminalError | null): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const request of this.#requests.values()) request.stop()
    const recorded = error === null ? null : { code: error.code, message: error.message }
    this.journal.persist({ is: 'closed', at: Date.now(), error: recorded, reason: this.#reason }).then(
      () => {
        this.#settle(recorded)
        this.#keeper.over(this, null)
      },
      (thrown: unknown) => this.broken(toLiminalError(thrown)),
    )
  }

  /** See RequestKeeper. The journal is somebody else's, or the bus is closed. */
  broken(error: LiminalError): void {
    if (this.#suspended !== null) return
    this.suspend(error)
    this.#core?.close(error)
    this.#keeper.over(this, error)
  }

  /** It is not used here any more, while its journal goes on. To be called before its core is closed. */
  suspend(error: LiminalError): void {
    this.#isOpen = false
    this.#suspended = error
    for (const request of this.#requests.values()) {
      request.fail(error)
      this.left(request)
    }
    this.#requests.clear()
    this.closed.reject(error)
  }

  /** See RequestKeeper. */
  park(request: DurableRequest): void {
    this.#keeper.park(request, this.subject)
  }

  /** See RequestKeeper. */
  left(request: DurableRequest): void {
    this.#keeper.left(request, this.subject)
  }

  /** See RequestKeeper. */
  settled(request: DurableRequest): void {
    this.#requests.delete(request.id)
    this.left(request)
  }

  #add(
    id: string,
    payload: Uint8Array,
    causal: CausalContext,
    replyRequested: boolean,
    waiter: RequestWaiter,
  ): () => void {
    const { maxPending } = this.#keeper
    if (this.#requests.size >= maxPending) {
      const message = `The conversation with '${this.subject}' has ${maxPending} messages underway. Await replies before sending more.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    const isBegun = this.isAnswered
    const request = new DurableRequest(this, id, isBegun)
    this.#requests.set(id, request)
    const stop = request.wait(waiter)
    this.journal.append({ is: 'request', at: Date.now(), request: id, replyRequested, causal, isBegun, payload }).then(
      () => request.go(),
      (thrown: unknown) => {
        this.#requests.delete(id)
        const error = toLiminalError(thrown)
        request.fail(error)
        if (error.code === 'SEQUENCE_CONFLICT') this.broken(error)
      },
    )
    return stop
  }

  #checkOpen(): void {
    if (this.#suspended !== null) throw this.#suspended
    if (this.#isOpen) return
    const { closed } = this.journal.state
    if (closed?.error != null) throw errorOf(closed.error)
    const message = `The conversation '${this.key}' with '${this.subject}' is over. Open one with another key.`
    throw new LiminalError('CONVERSATION_CLOSED', message)
  }

  /** Its end is stored. */
  #settle(error: RecordedError | null): void {
    for (const request of this.#requests.values()) {
      const answer = this.journal.state.answered.get(request.id)
      if (answer !== undefined) request.tell(answer)
      else request.fail(error === null ? this.#closedError() : errorOf(error))
      this.left(request)
    }
    this.#requests.clear()
    if (error === null) this.closed.resolve()
    else this.closed.reject(errorOf(error))
  }

  #closedError(): LiminalError {
    return new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' was closed.`)
  }
}

/** Whoever asks is told after they have asked. */
function answerSoon(answer: Answer, waiter: RequestWaiter): () => void {
  let isWanted = true
  queueMicrotask(() => {
    if (!isWanted) return
    if (answer.is === 'reply') waiter.replied(ownBytes(answer.reply))
    else waiter.failed(errorOf(answer.error))
  })
  return () => {
    isWanted = false
  }
}
