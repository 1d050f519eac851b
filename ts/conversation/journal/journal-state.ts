import type { CausalContext } from '../../protocol/index.ts'
import type { ConversationEvent } from '../conversation-history.ts'
import type {
  Attempted,
  Closed,
  JournalEvent,
  Opened,
  RecordedError,
  Requested,
  StepCompleted,
  StepFailed,
} from './journal-event.ts'

/** Replies that are remembered, at most, and their bytes. The latest one is, however large. */
const MOST_ANSWERS = 1_024
const MOST_ANSWER_BYTES = 1024 * 1024
/** Events that are remembered for people. */
const MOST_HISTORY = 64

/** What became of a request. */
export type Answer =
  | { readonly is: 'reply'; readonly reply: Uint8Array }
  | { readonly is: 'error'; readonly error: RecordedError }

/** A step of a request that is not answered. */
export interface StepState {
  readonly step: string
  readonly ordinal: number
  /** `null` until it is completed. */
  output: Uint8Array | null
  failures: number
}

/** A request that is not answered. */
export interface RequestState {
  readonly id: string
  readonly at: number
  readonly replyRequested: boolean
  readonly causal: CausalContext
  readonly payload: Uint8Array
  /** Times that it was handed to a responder. */
  attempts: number
  readonly steps: Map<string, StepState>
}

/** What cannot follow what came before: the end of a sentence. */
export class ImpossibleEvent extends Error {}

/** What a step is found by. */
export function stepKey(step: string, ordinal: number): string {
  return `${ordinal} ${step}`
}

/**
 * Where a durable conversation stands: what its journal adds up to (spec durability §10). Every event is checked against what came before, and what is remembered
 * is bounded.
 */
export class JournalState {
  /** In the order in which they came. */
  readonly pending = new Map<string, RequestState>()
  /** The latest, oldest first. */
  readonly answered = new Map<string, Answer>()
  #answeredBytes = 0
  #opened: Opened | null = null
  #closed: Closed | null = null
  #history: ConversationEvent[] = []

  /** How it began. @throws ImpossibleEvent if it did not. */
  get opened(): Opened {
    if (this.#opened === null) throw new ImpossibleEvent('nothing was opened')
    return this.#opened
  }

  /** How it ended; `null` while it goes on. */
  get closed(): Closed | null {
    return this.#closed
  }

  /** The latest things that happened, oldest first. */
  get history(): readonly ConversationEvent[] {
    return this.#history
  }

  /** @throws ImpossibleEvent for what cannot come now; nothing is changed then. */
  apply(event: JournalEvent): void {
    if (event.is === 'opened') {
      if (this.#opened !== null) throw new ImpossibleEvent('the conversation was opened before')
      this.#opened = event
      return
    }
    if (this.#opened === null) throw new ImpossibleEvent('the conversation was not opened before')
    if (this.#closed !== null) throw new ImpossibleEvent('the conversation was closed before')
    switch (event.is) {
      case 'request':
        this.#requested(event)
        break
      case 'attempt':
        this.#attempted(event)
        break
      case 'step':
        this.#stepped(event)
        break
      case 'step-failed':
        this.#stepFailed(event)
        break
      case 'reply':
        this.#settle(event.request, event.at, { is: 'reply', reply: event.reply })
        break
      case 'error':
        this.#settle(event.request, event.at, { is: 'error', error: event.error })
        break
      case 'remembered':
        this.#history = [...event.history]
        break
      case 'closed':
        this.#close(event)
    }
  }

  /** Events that add up to the same. What was answered is there without its content. */
  *snapshot(): Generator<JournalEvent, void, undefined> {
    const { at } = this.opened
    yield this.opened
    for (const [request, answer] of this.answered) {
      yield { is: 'request', at, request, replyRequested: true, causal: NO_CAUSE, isBegun: true, payload: NOTHING }
      yield { at, request, ...answer }
    }
    for (const request of this.pending.values()) yield* snapshotOf(request)
    yield { is: 'remembered', at, history: this.#history }
    if (this.#closed !== null) yield this.#closed
  }

  #requested({ request: id, at, replyRequested, causal, isBegun, payload }: Requested): void {
    if (this.pending.has(id) || this.answered.has(id)) throw new ImpossibleEvent(`request '${id}' came before`)
    const attempts = isBegun ? 1 : 0
    this.pending.set(id, { id, at, replyRequested, causal, payload, attempts, steps: new Map() })
    this.#note(at, replyRequested ? 'request' : 'message', attempts)
  }

  #attempted({ request, attempt, at }: Attempted): void {
    const pending = this.#pendingOf(request)
    if (attempt <= pending.attempts) throw new ImpossibleEvent(`attempt ${attempt} of '${request}' came before`)
    pending.attempts = attempt
    if (attempt > 1) this.#note(at, 'rerouted', attempt)
  }

  #stepped({ request, step, ordinal, output }: StepCompleted): void {
    const state = this.#stepOf(request, step, ordinal)
    if (state.output !== null)
      throw new ImpossibleEvent(`step '${step}' ${ordinal} of '${request}' was completed before`)
    state.output = output
  }

  #stepFailed({ request, step, ordinal, failures }: StepFailed): void {
    const state = this.#stepOf(request, step, ordinal)
    if (state.output !== null)
      throw new ImpossibleEvent(`step '${step}' ${ordinal} of '${request}' was completed before`)
    state.failures = failures
  }

  #stepOf(request: string, step: string, ordinal: number): StepState {
    const { steps } = this.#pendingOf(request)
    const key = stepKey(step, ordinal)
    let state = steps.get(key)
    if (state === undefined) {
      state = { step, ordinal, output: null, failures: 0 }
      steps.set(key, state)
    }
    return state
  }

  #pendingOf(request: string): RequestState {
    const pending = this.pending.get(request)
    if (pending === undefined) throw new ImpossibleEvent(`request '${request}' is not there, or was answered`)
    return pending
  }

  #settle(request: string, at: number, answer: Answer): void {
    const { replyRequested, attempts } = this.#pendingOf(request)
    this.pending.delete(request)
    this.#note(at, answer.is === 'reply' ? 'reply' : 'failed', attempts)
    if (replyRequested) this.#remember(request, answer)
  }

  #remember(request: string, answer: Answer): void {
    this.answered.set(request, answer)
    this.#answeredBytes += bytesOf(answer)
    for (const [oldest, known] of this.answered) {
      if (this.answered.size === 1) return
      if (this.answered.size <= MOST_ANSWERS && this.#answeredBytes <= MOST_ANSWER_BYTES) return
      this.answered.delete(oldest)
      this.#answeredBytes -= bytesOf(known)
    }
  }

  #close(event: Closed): void {
    const { subject } = this.opened
    const error = event.error ?? {
      code: 'CONVERSATION_CLOSED',
      message: `The conversation with '${subject}' was closed.`,
    }
    for (const { id } of [...this.pending.values()]) this.#settle(id, event.at, { is: 'error', error })
    this.#closed = event
  }

  #note(at: number, is: ConversationEvent['is'], attempt: number): void {
    this.#history.push({ at, is, attempt })
    if (this.#history.length > MOST_HISTORY) this.#history.shift()
  }
}

const NOTHING = new Uint8Array(0)
const NO_CAUSE: CausalContext = { parentId: null, vectorClockEntry: null }

function bytesOf(answer: Answer): number {
  return answer.is === 'reply' ? answer.reply.length : answer.error.message.length
}

function* snapshotOf(state: RequestState): Generator<JournalEvent, void, undefined> {
  const { id: request, at, replyRequested, causal, payload, attempts, steps } = state
  yield { is: 'request', at, request, replyRequested, causal, isBegun: attempts === 1, payload }
  if (attempts > 1) yield { is: 'attempt', at, request, attempt: attempts }
  for (const { step, ordinal, output, failures } of steps.values()) {
    if (failures > 0) yield { is: 'step-failed', at, request, step, ordinal, failures, message: '' }
    if (output !== null) yield { is: 'step', at, request, step, ordinal, output }
  }
}
