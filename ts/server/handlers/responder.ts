import { checkSubject, MAX_NAME_BYTES } from '../../arguments.ts'
import type { FrameBatch } from '../../codec/index.ts'
import type { ConversationInfo, Participant, ParticipantSource, Registration } from '../../conversation/index.ts'
import { type ErrorCode, LiminalError } from '../../errors.ts'
import { IntegerMap } from '../../integer-map.ts'
import { type ExitReason, exitError } from '../../process/index.ts'
import {
  Capability,
  Column,
  type ConversationClose,
  type ConversationError,
  codeOf,
  HAS_HEAD,
  HEAD_WIDTH,
  HEADER_BYTES,
  IN_PARTS,
  REPLY_REQUESTED,
  ROW_WIDTH,
} from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import { Asks, gone } from '../asks.ts'
import type { SessionContext } from '../context.ts'
import { type ParticipantKeeper, RemoteParticipant } from '../remote-participant.ts'
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

/** What says that a request, or a conversation, was not taken, so that somebody else may have it. */
const UNDONE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['PARTICIPANT_GONE', 'SHUTTING_DOWN'])

/**
 * The subjects that the peer answers (extension `RESPONDERS`): its registrations, and the conversations that the server opened towards it.
 */
export class Responders implements ParticipantKeeper {
  readonly #context: SessionContext
  /** By the id that the peer chose. */
  readonly #registrations = new Map<number | bigint, Registration>()
  readonly #streams = new ServerStreams((streamId) => this.#isOpen(streamId))
  readonly #asks: Asks
  /** By the stream of their conversation. */
  readonly #participants = new IntegerMap<RemoteParticipant>(2)

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

  has(id: number | bigint): boolean {
    return this.#registrations.has(id)
  }

  /** `held` is what the peer has open beside these: its conversations. Returns whether it was registered. */
  offer(streamId: number, id: number | bigint, subject: string, held: number): boolean {
    const { bus, options, output, refusing } = this.#context
    try {
      if (refusing !== null) throw refusing
      checkSubject('subject', subject)
      const most = options.limits.conversationsPerConnection
      if (this.#registrations.size + held >= most) {
        throw new LiminalError(
          'LIMIT_EXCEEDED',
          `A connection may hold ${most} conversations and responders; close one first.`,
        )
      }
      const source: ParticipantSource = { canJoin: () => this.#canJoin(), join: (info) => this.#join(info) }
      this.#registrations.set(id, bus.conversations.register(subject, source, { parent: this.#context.process }))
    } catch (thrown) {
      const refusal = this.#context.refusal(toLiminalError(thrown))
      output.reply({ type: 'ConversationError', flags: 0, streamId, conversationId: BigInt(id), ...refusal })
      return false
    }
    return true
  }

  /** Takes a registration back. Conversations underway go on. */
  withdraw(id: number | bigint): void {
    this.#registrations.get(id)?.withdraw()
    this.#registrations.delete(id)
  }

  withdrawAll(): void {
    for (const registration of this.#registrations.values()) registration.withdraw()
    this.#registrations.clear()
  }

  /** The peer answers a request, or a part of it. An answer that nobody waits for any more is dropped. */
  reply(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const streamId = batch.columns[at + Column.STREAM] >>> 0
    if (this.#asks.participant(streamId)?.number !== batch.key(row)) return
    const flags = batch.columns[at + Column.FLAGS]
    if ((flags & (HAS_HEAD | REPLY_REQUESTED)) === HAS_HEAD && this.#context.granted(Capability.DURABLE)) {
      this.#step(streamId, batch.payload(row))
    } else if ((flags & IN_PARTS) === 0 || !this.#context.granted(Capability.STREAMS)) {
      this.#asks.reply(streamId, batch.payload(row))
    } else if ((flags & REPLY_REQUESTED) === 0) this.#asks.part(streamId, batch.payload(row))
    else this.#asks.reply(streamId, null)
  }

  #step(streamId: number, payload: Uint8Array): void {
    try {
      if (this.#asks.step(streamId, payload)) return
      const text = 'The responder said something of a step, and its request has none.'
      this.#asks.fail(streamId, new LiminalError('RESPONDER_FAILED', text))
    } catch (thrown) {
      this.#asks.fail(streamId, toLiminalError(thrown))
    }
  }

  /** The peer fails one request, or, on the stream of the open, the conversation. */
  fail(frame: ConversationError): void {
    const { streamId } = frame
    const error = errorOf(frame.reasonCode, frame.message)
    const number = Number(frame.conversationId)
    const isUndone = UNDONE.has(error.code)
    if (this.#asks.participant(streamId)?.number === number) {
      if (isUndone) this.#asks.handBack(streamId, error)
      else this.#asks.fail(streamId, error)
      return
    }
    const participant = this.#participantOf(streamId, number)
    if (isUndone) participant?.lost(exitError(error))
    else participant?.leave(error)
  }

  /** The peer leaves a conversation that the server opened, on the stream of the open. */
  leave(frame: ConversationClose): void {
    const { reasonCode, message } = frame
    const error = reasonCode === null ? null : errorOf(reasonCode, message)
    this.#participantOf(frame.streamId, Number(frame.conversationId))?.leave(error)
  }

  /**
   * The connection is over: whoever waits for this peer hears of it at once, or is given to somebody else.
   * @param reason what that means: what this peer had is not done again after a normal end.
   */
  gone(reason: ExitReason): void {
    const participants = this.#participants.values()
    // Before anything else happens: nothing is written to it any more.
    for (const participant of participants) participant.fade()
    this.#asks.gone()
    for (const registration of [...this.#registrations.values()]) registration.exit(reason)
    this.#registrations.clear()
    // Those whose registration was withdrawn before.
    for (const participant of participants) participant.lost(reason)
  }

  #participantOf(streamId: number, number: number): RemoteParticipant | null {
    const participant = this.#participants.get(streamId)
    return participant?.number === number ? participant : null
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
    const streamId = this.#streams.take()
    const { subject } = info
    const number = Number(info.id)
    if (!output.open(streamId, number, subject)) {
      throw new LiminalError(
        'OUTBOX_FULL',
        `The connection of the responder of '${subject}' is too far behind; try again later.`,
      )
    }
    const participant = new RemoteParticipant(this.#context, this.#asks, info, number, streamId, this)
    this.#participants.set(streamId, participant)
    return participant
  }

  /** See ParticipantKeeper. */
  closed({ streamId }: RemoteParticipant): void {
    this.#participants.delete(streamId)
  }

  #isOpen(streamId: number): boolean {
    return this.#participants.has(streamId) || this.#asks.participant(streamId) !== null
  }
}

function errorOf(reasonCode: number, message: string | null): LiminalError {
  const code = codeOf(reasonCode)
  const text = message ?? 'The responder failed and did not say why.'
  return new LiminalError(OWN_WORDS.has(code) ? code : 'RESPONDER_FAILED', text)
}
