import { checkFunction } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload, ownBytes, type PayloadKind } from '../payload.ts'
import type { ExitReason } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import { HandedBackError, isHandedBack } from '../routing/index.ts'
import { isThenable } from '../thenable.ts'
import { asLiminalError, isError, textOf } from '../thrown.ts'
import { sayBehaviourFailed } from './diagnostics.ts'
import { isParts, PartPump } from './part-pump.ts'
import type {
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
  ParticipantSource,
} from './participant.ts'
import { participantGone } from './participant-gone.ts'
import { type StepFunction, StepRunner } from './steps.ts'

/**
 * What answers: called for each message, concurrently. Its result (or what its promise resolves with) is the reply, `undefined` standing for `null` in JSON. An async
 * generator answers in parts, and ends with what it returns, if that is something. A throw becomes `RESPONDER_FAILED` for the asker, which is an answer too; a thrown
 * {@link HandedBackError} gives the message to somebody else.
 */
export type Behaviour<Request = unknown> = (request: Request, context: BehaviourContext) => unknown

/** What answers in conversations of several turns, with something to remember in each. */
export interface TurnBehaviour<Request = unknown> {
  /**
   * Called for each conversation, before its first message. What it returns answers the messages of that conversation. A throw fails the open with `RESPONDER_FAILED`.
   */
  open(conversation: ConversationContext): Behaviour<Request>
}

/** What a behaviour of several turns knows about its conversation. */
export interface ConversationContext {
  readonly subject: string
  readonly conversationId: bigint
  /** Aborted when the conversation is over, for it, however that came about. */
  readonly signal: AbortSignal
  /** Ends the conversation from this side. @param error `undefined`: it is done, and the asker's `closed` resolves. */
  leave(error?: LiminalError): void
}

/** What a behaviour knows about the message beside its value. */
export interface BehaviourContext {
  readonly subject: string
  readonly conversationId: bigint
  /** 1 for the first try. */
  readonly attempt: number
  /** The key of a dispatch, `null` without one. */
  readonly key: string | null
  /** When nobody will wait any more, in milliseconds since the epoch; `null` if nobody said. */
  readonly deadline: number | null
  readonly causal: CausalContext
  /** Aborted when nobody waits for the reply any more: the asker gave up, closed or died. Its reason says which. */
  readonly signal: AbortSignal
  /**
   * Runs a step of this request and keeps what it returns, as JSON. In a durable conversation a step that was completed is never run again, whoever the request goes to afterwards: what it returned
   * is returned once more. It is found by its name, steps of the same name by their order; so the order of those has to be the same each time. A step that throws is not completed, and is run
   * again if it is asked for again. Where the conversation is not durable, each call simply runs.
   *
   * A crash after the effect of a step and before its record runs it again: {@link StepContext.token} tells whoever has the effect.
   *
   * ```ts
   * const charge = await context.step('charge', ({ token }) => payments.charge(order.total, { idempotencyKey: token }))
   * ```
   *
   * @param name 1 to 255 UTF-8 bytes without control characters. At most 10,000 steps a request, 1 MiB of JSON each.
   * @throws what the step throws; LiminalError `PAYLOAD_INVALID` if it returned what has no JSON form, `PAYLOAD_TOO_LARGE`, `LIMIT_EXCEEDED`, `ABORTED` once the request is settled,
   * `SEQUENCE_CONFLICT`, `CLOSED`.
   */
  readonly step: StepFunction
}

/** Puts a behaviour where a participant belongs: one call for each message, and whatever it throws stays there. */
export function participantFromBehaviour<Request>(
  behaviour: Behaviour<Request> | TurnBehaviour<Request>,
  payload: PayloadKind,
  options: SourceOptions = {},
): ParticipantSource {
  const { capacity, tags } = options
  const join =
    typeof behaviour === 'function'
      ? (conversation: ConversationInfo): Participant =>
          new BehaviourParticipant(behaviour, payload, conversation, null)
      : (conversation: ConversationInfo): Participant => openTurns(behaviour, payload, conversation)
  return { capacity, tags, finishes: true, join }
}

/** What the consumer group of a subject goes by. */
export interface SourceOptions {
  readonly capacity?: number | undefined
  readonly tags?: readonly string[] | undefined
}

/** @throws LiminalError `RESPONDER_FAILED`. */
function openTurns<Request>(
  behaviour: TurnBehaviour<Request>,
  payload: PayloadKind,
  conversation: ConversationInfo,
): Participant {
  const over = new AbortController()
  const { subject, id } = conversation
  const context: ConversationContext = {
    subject,
    conversationId: id,
    signal: over.signal,
    leave: (thrown) => {
      const error = thrown === undefined ? null : (asLiminalError(thrown) ?? failureOf(conversation, thrown))
      over.abort(error ?? new LiminalError('CONVERSATION_CLOSED', `The responder for '${subject}' is done.`))
      conversation.leave(error)
    },
  }
  let turns: Behaviour<Request>
  try {
    turns = behaviour.open(context)
    checkFunction('behaviour.open()', turns)
  } catch (cause) {
    const error = failureOf(conversation, cause)
    over.abort(error)
    throw error
  }
  return new BehaviourParticipant(turns, payload, conversation, over)
}

function failureOf({ subject, id }: ConversationInfo, cause: unknown): LiminalError {
  const why = textOf(cause)
  const error = new LiminalError('RESPONDER_FAILED', `The responder for '${subject}' failed: ${why}`, { cause })
  sayBehaviourFailed(subject, id, error)
  return error
}

/** Answers with the request. Byte for byte where it is registered with `payload: 'bytes'`. */
export const echo: Behaviour = (request) => request

class BehaviourParticipant<Request> implements Participant {
  readonly #behaviour: Behaviour<Request>
  readonly #payload: PayloadKind
  readonly #conversation: ConversationInfo
  readonly #over: AbortController | null

  /** @param over aborted when the conversation is. */
  constructor(
    behaviour: Behaviour<Request>,
    payload: PayloadKind,
    conversation: ConversationInfo,
    over: AbortController | null,
  ) {
    this.#behaviour = behaviour
    this.#payload = payload
    this.#conversation = conversation
    this.#over = over
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    let result: unknown
    let later: Promise<unknown> | null
    try {
      const request = this.#decode(message.payload)
      // The responder's type parameter is its word for what requests are.
      result = this.#behaviour(request as Request, new Context(this.#conversation, message))
      // Also to ask whether it is a promise may run code of the behaviour.
      later = isThenable(result) ? Promise.resolve(result) : null
    } catch (thrown) {
      queueMicrotask(() => this.#threw(thrown, done))
      return
    }
    // Who answers at once needs no promise. The answer still comes after what else this turn has brought, as everybody's does.
    if (later !== null) {
      later.then(
        (value) => this.#settle(value, message, done),
        (thrown: unknown) => this.#threw(thrown, done),
      )
    } else queueMicrotask(() => this.#settle(result, message, done))
  }

  close(reason: string | null): void {
    if (this.#over === null) return
    // Messages underway hear of it by their own signals.
    const text = reason ?? `The conversation with '${this.#conversation.subject}' is over.`
    this.#over.abort(new LiminalError('CONVERSATION_CLOSED', text))
  }

  gone(reason: ExitReason): void {
    this.#over?.abort(participantGone(this.#conversation.subject, reason))
  }

  #settle(result: unknown, message: ParticipantMessage, done: MessageFate): void {
    let pump: PartPump | null
    try {
      pump = isParts(result) ? new PartPump(result, message, done) : null
    } catch (thrown) {
      this.#threw(thrown, done)
      return
    }
    if (pump !== null) {
      pump.run((value) => this.#encode(value)).catch((thrown: unknown) => this.#threw(thrown, done))
      return
    }
    if (!message.replyRequested) {
      done.reply(null)
      return
    }
    let reply: Uint8Array
    try {
      reply = this.#encode(result)
    } catch (thrown) {
      this.#threw(thrown, done)
      return
    }
    done.reply(reply)
  }

  #encode(value: unknown): Uint8Array {
    return encodePayload(value === undefined && this.#payload === 'json' ? null : value, this.#payload)
  }

  #threw(thrown: unknown, done: MessageFate): void {
    if (isHandedBack(thrown)) done.handBack(handedBack(thrown))
    else if (isUnreadable(thrown)) done.fail(thrown.error)
    else done.fail(failureOf(this.#conversation, thrown))
  }

  #decode(payload: Uint8Array): unknown {
    try {
      // A behaviour may keep what it was asked.
      return this.#payload === 'bytes' ? ownBytes(payload) : decodePayload(payload, this.#payload)
    } catch (cause) {
      const why = textOf(cause)
      const message = `The responder for '${this.#conversation.subject}' takes JSON. ${why}`
      throw new UnreadableRequest(new LiminalError('PAYLOAD_INVALID', message, { cause }))
    }
  }
}

function handedBack(thrown: Error): HandedBackError {
  const own = asLiminalError(thrown)
  return own instanceof HandedBackError ? own : new HandedBackError(textOf(thrown), { cause: thrown })
}

function isUnreadable(thrown: unknown): thrown is UnreadableRequest {
  return isError(thrown) && thrown instanceof UnreadableRequest
}

/** The request never reached the behaviour. */
class UnreadableRequest extends Error {
  readonly error: LiminalError

  constructor(error: LiminalError) {
    super(error.message)
    this.error = error
  }
}

class Context implements BehaviourContext {
  readonly #conversation: ConversationInfo
  readonly #message: ParticipantMessage
  #steps: StepRunner | null = null

  constructor(conversation: ConversationInfo, message: ParticipantMessage) {
    this.#conversation = conversation
    this.#message = message
  }

  get subject(): string {
    return this.#conversation.subject
  }

  get conversationId(): bigint {
    return this.#conversation.id
  }

  get attempt(): number {
    return this.#message.attempt
  }

  get key(): string | null {
    return this.#message.key
  }

  get deadline(): number | null {
    return this.#message.deadline
  }

  get causal(): CausalContext {
    return this.#message.causal
  }

  get signal(): AbortSignal {
    return this.#message.signal
  }

  /** May be taken out of its context, like all of it. */
  get step(): StepFunction {
    this.#steps ??= new StepRunner(this.#message.steps)
    const steps = this.#steps
    return (name, run) => steps.run(name, run)
  }
}
