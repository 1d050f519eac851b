import {
  type AbandonListener,
  type MessageFate,
  type MessageSteps,
  type ParticipantMessage,
  type StepOutcome,
  stepAsked,
  type TakenListener,
} from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { ownBytes } from '../payload.ts'
import { HAS_HEAD, readHead, readStepQuestion, withHead } from '../protocol/index.ts'
import type { SessionContext } from './context.ts'
import type { RemoteParticipant } from './remote-participant.ts'
import type { ServerStreams } from './server-streams.ts'

const NOTHING = new Uint8Array(0)

/** One request that the peer has to answer. */
class Ask implements AbandonListener, TakenListener {
  readonly streamId: number
  readonly participant: RemoteParticipant
  readonly done: MessageFate
  readonly steps: MessageSteps | null
  readonly #asks: Asks

  constructor(
    asks: Asks,
    streamId: number,
    participant: RemoteParticipant,
    done: MessageFate,
    steps: MessageSteps | null,
  ) {
    this.#asks = asks
    this.steps = steps
    this.streamId = streamId
    this.participant = participant
    this.done = done
  }

  abandoned(error: LiminalError): void {
    this.#asks.abandon(this, error)
  }

  taken(count: number): void {
    this.#asks.taken(this, count)
  }
}

/** Requests that the peer has to answer, each on an even stream of its own. */
export class Asks {
  readonly #context: SessionContext
  readonly #streams: ServerStreams
  readonly #byStream = new IntegerMap<Ask>(2)

  constructor(context: SessionContext, streams: ServerStreams) {
    this.#context = context
    this.#streams = streams
  }

  get size(): number {
    return this.#byStream.size
  }

  /** Who waits for an answer on a stream. */
  participant(streamId: number): RemoteParticipant | null {
    return this.#byStream.get(streamId)?.participant ?? null
  }

  /** Sends a request. `done` hears the answer as its frame is taken: `LIMIT_EXCEEDED`, `OUTBOX_FULL`, or what the peer answers. */
  ask(participant: RemoteParticipant, message: ParticipantMessage, done: MessageFate): void {
    const most = this.#context.options.limits.pendingRequestsPerConnection
    if (this.#byStream.size >= most) {
      const text = `The responder of '${participant.subject}' has ${most} requests to answer already; try again later.`
      done.fail(new LiminalError('LIMIT_EXCEEDED', text))
      return
    }
    const streamId = this.#streams.take()
    const ask = new Ask(this, streamId, participant, done, message.steps)
    this.#byStream.set(streamId, ask)
    const failure = participant.transmit(streamId, message)
    if (failure !== null) {
      this.handBack(streamId, failure)
      return
    }
    message.onAbandoned(ask)
    if (message.inParts) message.onTaken(ask)
  }

  /** A part of the answer came. It is good for this call. */
  part(streamId: number, part: Uint8Array): void {
    this.#byStream.get(streamId)?.done.part(part)
  }

  /** Whoever asked has taken parts: the peer may send as many more. */
  taken(ask: Ask, count: number): void {
    const { streamId, participant } = ask
    if (this.#byStream.get(streamId) !== ask || !participant.live) return
    // It waits for room rather than being left out: a producer that is not told stands still for ever.
    this.#context.output.converse({ type: 'Accept', flags: 0, streamId, referencedMessageId: String(count) })
  }

  /** The peer says something of a step of a request. Returns whether it is one. @throws LiminalError `PAYLOAD_INVALID`. */
  step(streamId: number, payload: Uint8Array): boolean {
    const ask = this.#byStream.get(streamId)
    if (ask === undefined || ask.steps === null) return false
    const headed = readHead(payload)
    const question = readStepQuestion(headed)
    if (question === null) return false
    void stepAsked(ask.steps, question, ownBytes(headed.payload)).then((outcome) => {
      if (this.#byStream.get(streamId) !== ask) return
      const { number } = ask.participant
      if (this.#context.output.answerWith(streamId, number, stepAnswer(question.id, outcome), HAS_HEAD)) return
      const text = `The connection of the responder of '${ask.participant.subject}' is too far behind; try again later.`
      this.fail(streamId, new LiminalError('OUTBOX_FULL', text))
    })
    return true
  }

  /** The connection is over, and whoever ran steps with it. */
  gone(): void {
    for (const ask of this.#byStream.values()) ask.steps?.lost()
  }

  /** The answer came. It is good for this call, and `null` where the parts were all. */
  reply(streamId: number, reply: Uint8Array | null): void {
    this.#take(streamId)?.done.reply(reply)
  }

  /** The request failed. */
  fail(streamId: number, error: LiminalError): void {
    this.#take(streamId)?.done.fail(error)
  }

  /** The request is undone, and somebody else may have it. */
  handBack(streamId: number, error: LiminalError): void {
    this.#take(streamId)?.done.handBack(error)
  }

  /** Nobody waits for the answer any more: the peer is told, and an answer that is underway finds nobody on its stream. */
  abandon(ask: Ask, cause: LiminalError): void {
    const { streamId, participant } = ask
    // Answered already, and the stream may be somebody else's by now.
    if (this.#byStream.get(streamId) !== ask) return
    this.#take(streamId)
    const text = `Nobody waits for the reply of '${participant.subject}' any more.`
    const error = new LiminalError('ABORTED', text, { cause })
    const refusal = this.#context.refusal(error)
    // A peer that has left knows. Without room it is left out: the peer then works in vain, and nothing else is lost.
    if (participant.live) {
      const conversationId = BigInt(participant.number)
      this.#context.output.offer({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
    }
  }

  #take(streamId: number): Ask | undefined {
    const ask = this.#byStream.get(streamId)
    if (ask !== undefined) {
      this.#byStream.delete(streamId)
      // It has no way to say any more what became of them.
      ask.steps?.lost()
      this.#context.settled()
    }
    return ask
  }
}

function stepAnswer(id: number, outcome: StepOutcome): Uint8Array {
  if (outcome.is === 'done') return withHead({ step: { id, is: 'done' } }, outcome.output)
  return withHead({ step: { id, ...outcome } }, NOTHING)
}

/** The error of everything that waits for a responder whose connection ended. */
export function gone(subject: string): LiminalError {
  return new LiminalError(
    'PARTICIPANT_GONE',
    `The responder of '${subject}' lost its connection; whether it handled the request is unknown.`,
  )
}
