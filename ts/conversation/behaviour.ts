import { describe } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload, ownBytes, type PayloadKind } from '../payload.ts'
import type { CausalContext } from '../protocol/index.ts'
import { isThenable } from '../thenable.ts'
import { toLiminalError } from '../thrown.ts'
import { sayBehaviourFailed } from './diagnostics.ts'
import type {
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
  ParticipantSource,
} from './participant.ts'

/**
 * What answers: called for each message, concurrently. Its result (or what its promise resolves with) is the reply, `undefined` standing for `null` in JSON; a throw
 * becomes `RESPONDER_FAILED` for the asker.
 */
export type Behaviour<Request = unknown> = (request: Request, context: BehaviourContext) => unknown

/** What a behaviour knows about the message beside its value. */
export interface BehaviourContext {
  readonly subject: string
  readonly conversationId: bigint
  /** 1 for the first try. */
  readonly attempt: number
  readonly causal: CausalContext
  /** Aborted when nobody waits for the reply any more: the asker gave up, closed or died. Its reason says which. */
  readonly signal: AbortSignal
}

/** Puts a behaviour where a participant belongs: one call for each message, and whatever it throws stays there. */
export function participantFromBehaviour<Request>(
  behaviour: Behaviour<Request>,
  payload: PayloadKind,
): ParticipantSource {
  return {
    join: (conversation) => new BehaviourParticipant(behaviour, payload, conversation),
  }
}

/** Answers with the request. Byte for byte where it is registered with `payload: 'bytes'`. */
export const echo: Behaviour = (request) => request

class BehaviourParticipant<Request> implements Participant {
  readonly #behaviour: Behaviour<Request>
  readonly #payload: PayloadKind
  readonly #conversation: ConversationInfo

  constructor(behaviour: Behaviour<Request>, payload: PayloadKind, conversation: ConversationInfo) {
    this.#behaviour = behaviour
    this.#payload = payload
    this.#conversation = conversation
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    let result: unknown
    try {
      result = this.#call(message)
    } catch (thrown) {
      const error = toLiminalError(thrown)
      queueMicrotask(() => done.fail(error))
      return
    }
    // Who answers at once needs no promise. The answer still comes after what else this turn has brought, as everybody's does.
    if (isThenable(result)) {
      Promise.resolve(result).then(
        (value) => this.#settle(value, message, done),
        (cause: unknown) => done.fail(this.#failure(cause)),
      )
    } else queueMicrotask(() => this.#settle(result, message, done))
  }

  close(): void {
    // Messages underway hear of it by their signals; there is nothing else to let go of.
  }

  /** @throws LiminalError `PAYLOAD_INVALID`, `RESPONDER_FAILED`, and nothing else. */
  #call(message: ParticipantMessage): unknown {
    const request = this.#decode(message.payload)
    try {
      // The responder's type parameter is its word for what requests are.
      return this.#behaviour(request as Request, new Context(this.#conversation, message))
    } catch (cause) {
      throw this.#failure(cause)
    }
  }

  #settle(result: unknown, message: ParticipantMessage, done: MessageFate): void {
    if (!message.replyRequested) {
      done.reply(null)
      return
    }
    let reply: Uint8Array
    try {
      reply = encodePayload(result === undefined && this.#payload === 'json' ? null : result, this.#payload)
    } catch (cause) {
      done.fail(this.#failure(cause))
      return
    }
    done.reply(reply)
  }

  #decode(payload: Uint8Array): unknown {
    try {
      // A behaviour may keep what it was asked.
      return this.#payload === 'bytes' ? ownBytes(payload) : decodePayload(payload, this.#payload)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : describe(cause)
      const message = `The responder for '${this.#conversation.subject}' takes JSON. ${why}`
      throw new LiminalError('PAYLOAD_INVALID', message, { cause })
    }
  }

  #failure(cause: unknown): LiminalError {
    const { subject, id } = this.#conversation
    const why = cause instanceof Error ? cause.message : describe(cause)
    const error = new LiminalError('RESPONDER_FAILED', `The responder for '${subject}' failed: ${why}`, { cause })
    sayBehaviourFailed(subject, id, error)
    return error
  }
}

class Context implements BehaviourContext {
  readonly #conversation: ConversationInfo
  readonly #message: ParticipantMessage

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

  get causal(): CausalContext {
    return this.#message.causal
  }

  get signal(): AbortSignal {
    return this.#message.signal
  }
}
