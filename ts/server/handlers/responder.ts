import { MAX_NAME_BYTES } from '../../arguments.ts'
import type { ConversationInfo, Participant, ParticipantSource, Registration } from '../../conversation/index.ts'
import { type ErrorCode, LiminalError } from '../../errors.ts'
import type {
  ConversationClose,
  ConversationError,
  ConversationMessage,
  ConversationOpen,
} from '../../protocol/index.ts'
import { codeOf, HEADER_BYTES } from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import { Asks, gone } from '../asks.ts'
import type { SessionContext } from '../context.ts'
import { RemoteParticipant } from '../remote-participant.ts'
import { ServerStreams } from '../server-streams.ts'

/** Bytes of a ConversationOpen, at most. */
const LARGEST_OPEN_BYTES = HEADER_BYTES + 8 + 4 + MAX_NAME_BYTES

/** What a responder may say of a request in its own words. Everything else is its failure. */
const OWN_WORDS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'RESPONDER_FAILED',
  'PARTICIPANT_GONE',
  'PAYLOAD_INVALID',
  'CONVERSATION_NOT_FOUND',
  'CONVERSATION_CLOSED',
  'LIMIT_EXCEEDED',
  'SHUTTING_DOWN',
  'NOT_SUPPORTED',
])

/**
 * The subjects that the peer answers (extension `RESPONDERS`): its registrations, and the conversations that the server opened towards it.
 */
export class Responders {
  readonly #context: SessionContext
  readonly #registrations = new Map<bigint, Registration>()
  readonly #streams = new ServerStreams()
  readonly #asks: Asks
  readonly #participants = new Map<bigint, RemoteParticipant>()

  constructor(context: SessionContext) {
    this.#context = context
    this.#asks = new Asks(context, this.#streams)
  }

  /** Subjects registered. */
  get size(): number {
    return this.#registrations.size
  }

  /** Requests that the peer has to answer. */
  get pending(): number {
    return this.#asks.size
  }

  has(id: bigint): boolean {
    return this.#registrations.has(id)
  }

  /** `held` is what the peer has open beside these: its conversations. */
  offer(frame: ConversationOpen, held: number): void {
    const { bus, options, output, refusing } = this.#context
    try {
      if (refusing !== null) throw refusing
      const most = options.limits.conversationsPerConnection
      if (this.#registrations.size + held >= most) {
        throw new LiminalError(
          'LIMIT_EXCEEDED',
          `A connection may hold ${most} conversations and responders; close one first.`,
        )
      }
      const source: ParticipantSource = { canJoin: () => this.#canJoin(), join: (info) => this.#join(info) }
      this.#registrations.set(frame.conversationId, bus.conversations.register(frame.subject, source))
    } catch (thrown) {
      const { streamId, conversationId } = frame
      const refusal = this.#context.refusal(toLiminalError(thrown))
      output.reply({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
      return
    }
    this.#context.confirm(frame)
  }

  /** Takes a registration back. Conversations underway go on. */
  withdraw(frame: ConversationClose): void {
    this.#registrations.get(frame.conversationId)?.withdraw()
    this.#registrations.delete(frame.conversationId)
    this.#context.confirm(frame)
  }

  withdrawAll(): void {
    for (const registration of this.#registrations.values()) registration.withdraw()
    this.#registrations.clear()
  }

  /** The peer answers a request. An answer that nobody waits for any more is dropped. */
  reply(frame: ConversationMessage): void {
    if (this.#asks.participant(frame.streamId)?.id !== frame.conversationId) return
    this.#asks.reply(frame.streamId, new Uint8Array(frame.envelope.payload))
  }

  /** The peer fails one request, or, on the stream of the open, the conversation. */
  fail(frame: ConversationError): void {
    const error = errorOf(frame.reasonCode, frame.message)
    if (this.#asks.participant(frame.streamId)?.id === frame.conversationId) {
      this.#asks.fail(frame.streamId, error)
      return
    }
    const participant = this.#participants.get(frame.conversationId)
    if (participant?.streamId === frame.streamId) participant.leave(error)
  }

  /** The peer leaves a conversation that the server opened. */
  leave(frame: ConversationClose): void {
    const error = frame.reasonCode === null ? null : errorOf(frame.reasonCode, frame.message)
    this.#participants.get(frame.conversationId)?.leave(error)
    this.#context.confirm(frame)
  }

  /** The connection is over: whoever waits for this peer hears of it at once. */
  gone(): void {
    this.withdrawAll()
    this.#asks.gone()
    for (const participant of [...this.#participants.values()]) participant.leave(gone(participant.subject))
  }

  #canJoin(): boolean {
    const { options, output } = this.#context
    return this.#participants.size < options.limits.conversationsPerConnection && output.hasRoom(LARGEST_OPEN_BYTES)
  }

  #join(info: ConversationInfo): Participant {
    const { options, output } = this.#context
    if (output.closed) throw gone(info.subject)
    const most = options.limits.conversationsPerConnection
    if (this.#participants.size >= most) {
      throw new LiminalError(
        'LIMIT_EXCEEDED',
        `The responder of '${info.subject}' takes part in ${most} conversations already.`,
      )
    }
    const streamId = this.#streams.open()
    const { id: conversationId, subject } = info
    if (!output.offer({ type: 'ConversationOpen', flags: 0, streamId, conversationId, subject })) {
      this.#streams.close(streamId)
      throw new LiminalError(
        'OUTBOX_FULL',
        `The connection of the responder of '${subject}' is too far behind; try again later.`,
      )
    }
    const participant = new RemoteParticipant(this.#context, this.#asks, info, streamId, (closed) => {
      this.#participants.delete(closed.id)
      this.#streams.close(closed.streamId)
    })
    this.#participants.set(info.id, participant)
    return participant
  }
}

function errorOf(reasonCode: number, message: string | null): LiminalError {
  const code = codeOf(reasonCode)
  const text = message ?? 'The responder failed and did not say why.'
  return new LiminalError(OWN_WORDS.has(code) ? code : 'RESPONDER_FAILED', text)
}
