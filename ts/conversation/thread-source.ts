import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload, type PayloadKind } from '../payload.ts'
import type {
  ExitReason,
  Thread,
  ThreadCall,
  ThreadCallObserver,
  ThreadRequest,
  ThreadStep,
  ThreadStepAnswer,
  ThrownInThread,
} from '../process/index.ts'
import { thrownInThread } from '../process/index.ts'
import { HandedBackError } from '../routing/index.ts'
import { textOf, toLiminalError } from '../thrown.ts'
import { stepAsked } from './asked-step.ts'
import { sayBehaviourFailed } from './diagnostics.ts'
import type {
  AbandonListener,
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
  ParticipantSource,
  TakenListener,
} from './participant.ts'
import type { MessageSteps } from './steps.ts'

/** Messages that wait for a thread, at most. */
const MOST_WAITING = 1_024

/** Threads that answer a subject together. What none of them has room for waits, also while a lost one is replaced. */
export class ThreadSource implements ParticipantSource {
  readonly capacity: number
  readonly payload: PayloadKind
  readonly #concurrency: number
  readonly #threads = new Set<Thread>()
  readonly #waiting = new Deque<ThreadDelivery>()
  /** Of those that wait, how many nobody waits for any more. */
  #abandoned = 0

  /** @param concurrency messages that one thread is at, at a time. */
  constructor(threads: number, concurrency: number, payload: PayloadKind) {
    this.capacity = threads * concurrency
    this.payload = payload
    this.#concurrency = concurrency
  }

  /** A thread is ready. */
  add(thread: Thread): void {
    this.#threads.add(thread)
    this.advance()
  }

  /** A thread is gone. */
  remove(thread: Thread): void {
    this.#threads.delete(thread)
  }

  join(conversation: ConversationInfo): Participant {
    return new ThreadParticipant(this, conversation)
  }

  /** Gives a message to a thread, now or as soon as one has room. */
  run(delivery: ThreadDelivery): void {
    if (this.#waiting.size - this.#abandoned >= MOST_WAITING) {
      const text = `${MOST_WAITING} messages wait for a thread already; ask more slowly, or give the responder more threads.`
      delivery.refuse(new LiminalError('LIMIT_EXCEEDED', text))
      return
    }
    delivery.isWaiting = true
    this.#waiting.push(delivery)
    this.advance()
  }

  /** Nobody waits for a message that waits for a thread. */
  forget(): void {
    this.#abandoned++
    if (this.#waiting.size < 2 * MOST_WAITING) return
    // Bounded: what is left has somebody who waits.
    for (const delivery of this.#waiting.take()) if (!delivery.isAbandoned) this.#waiting.push(delivery)
    this.#abandoned = 0
  }

  /** A thread may have room. */
  advance(): void {
    while (this.#waiting.size > 0) {
      const thread = this.#free()
      if (thread === null) return
      const delivery = this.#waiting.shift()
      if (delivery === undefined) return
      if (delivery.isAbandoned) this.#abandoned--
      else delivery.start(thread)
    }
  }

  /** The thread with the least to do, if it has room. */
  #free(): Thread | null {
    let best: Thread | null = null
    for (const thread of this.#threads) {
      if (!thread.isFree || thread.calls >= this.#concurrency) continue
      if (best === null || thread.calls < best.calls) best = thread
    }
    return best
  }
}

/** The threads in one conversation: each message may be in another one. */
class ThreadParticipant implements Participant {
  readonly #source: ThreadSource
  readonly #conversation: ConversationInfo

  constructor(source: ThreadSource, conversation: ConversationInfo) {
    this.#source = source
    this.#conversation = conversation
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    const { payload } = this.#source
    const { subject, id: conversationId } = this.#conversation
    let request: unknown
    try {
      // Bytes in memory of their own: the thread gets a copy of all the memory that a view is of.
      request = payload === 'bytes' ? new Uint8Array(message.payload) : decodePayload(message.payload, payload)
    } catch (cause) {
      const text = `The responder for '${subject}' takes JSON. ${textOf(cause)}`
      done.fail(new LiminalError('PAYLOAD_INVALID', text, { cause }))
      return
    }
    const { attempt, key, deadline, causal, inParts, replyRequested: resultWanted, steps } = message
    const context = { subject, conversationId, attempt, key, deadline, causal: { ...causal } }
    const asked = { request, context, inParts, resultWanted, recordsSteps: steps !== null }
    const delivery = new ThreadDelivery(this.#source, this.#conversation, message, done, asked)
    message.onAbandoned(delivery)
    if (delivery.isAbandoned) return
    if (inParts) message.onTaken(delivery)
    this.#source.run(delivery)
  }

  close(): void {
    // Messages underway hear of it by themselves.
  }
}

/** One message that is in a thread, or waits for one. */
class ThreadDelivery implements ThreadCallObserver, AbandonListener, TakenListener {
  isAbandoned = false
  /** Whether it is in the line for a thread. */
  isWaiting = false
  readonly #source: ThreadSource
  readonly #conversation: ConversationInfo
  readonly #replyRequested: boolean
  readonly #steps: MessageSteps | null
  readonly #done: MessageFate
  readonly #request: ThreadRequest
  #call: ThreadCall | null = null

  constructor(
    source: ThreadSource,
    conversation: ConversationInfo,
    { replyRequested, steps }: ParticipantMessage,
    done: MessageFate,
    request: ThreadRequest,
  ) {
    this.#source = source
    this.#conversation = conversation
    this.#replyRequested = replyRequested
    this.#steps = steps
    this.#done = done
    this.#request = request
  }

  start(thread: Thread): void {
    this.isWaiting = false
    try {
      this.#call = thread.call(this.#request, this)
    } catch (thrown) {
      this.#done.fail(toLiminalError(thrown))
    }
  }

  /** It does not even wait. */
  refuse(error: LiminalError): void {
    this.isAbandoned = true
    this.#done.fail(error)
  }

  returned(value: unknown): void {
    this.#steps?.lost()
    if (this.#replyRequested) this.#reply(value)
    else this.#done.reply(null)
    this.#source.advance()
  }

  ended(value: unknown): void {
    if (value === undefined) this.#done.reply(null)
    else this.#reply(value)
    this.#source.advance()
  }

  part(value: unknown): void {
    const part = this.#encoded(value)
    if (part !== null) this.#done.part(part)
  }

  inParts(): void {
    const text = 'The responder answered in parts, and one reply was asked for. Ask with stream().'
    this.#done.fail(new LiminalError('RESPONDER_FAILED', text))
    this.#source.advance()
  }

  threw(thrown: ThrownInThread): void {
    // What it left running has nobody to tell.
    this.#steps?.lost()
    const cause = thrownInThread(thrown)
    if (thrown.name === 'HandedBackError') this.#done.handBack(new HandedBackError(thrown.message, { cause }))
    else this.#fail(cause)
    this.#source.advance()
  }

  lost(reason: ExitReason): void {
    // Whoever gets the message next need not wait for what this thread was at.
    this.#steps?.lost()
    this.#done.crash(reason)
  }

  step({ output = '', ...step }: ThreadStep, answer: (answer: ThreadStepAnswer) => void): void {
    if (this.#steps === null) return
    void stepAsked(this.#steps, step, Buffer.from(output)).then((outcome) => {
      answer(outcome.is === 'done' ? { is: 'done', output: Buffer.from(outcome.output).toString() } : outcome)
    })
  }

  abandoned(error: LiminalError): void {
    if (this.isAbandoned) return
    this.isAbandoned = true
    this.#steps?.lost()
    if (this.isWaiting) this.#source.forget()
    else if (this.#call !== null) {
      this.#call.abandon(error)
      // It has room again as soon as it says that it lives.
      this.#source.advance()
    }
  }

  taken(count: number): void {
    this.#call?.take(count)
  }

  #reply(value: unknown): void {
    const reply = this.#encoded(value)
    if (reply !== null) this.#done.reply(reply)
  }

  /** What the thread sent as bytes: JSON text, or bytes if they are. */
  #encoded(value: unknown): Uint8Array | null {
    if (this.#source.payload === 'json' && typeof value === 'string') return Buffer.from(value)
    try {
      return encodePayload(value, 'bytes')
    } catch (thrown) {
      const error = toLiminalError(thrown)
      this.#call?.abandon(error)
      this.#fail(error)
      return null
    }
  }

  #fail(cause: Error): void {
    const { subject, id } = this.#conversation
    const text = `The responder for '${subject}' failed: ${cause.message}`
    const error = new LiminalError('RESPONDER_FAILED', text, { cause })
    sayBehaviourFailed(subject, id, error)
    this.#done.fail(error)
  }
}
