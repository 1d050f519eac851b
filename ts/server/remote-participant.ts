import type { ConversationInfo, MessageFate, Participant, ParticipantMessage } from '../conversation/index.ts'
import { messageHeadBytes } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import { Capability, HAS_HEAD, IN_PARTS, NO_SCHEMA, REPLY_REQUESTED, withHead } from '../protocol/index.ts'
import { type Asks, gone } from './asks.ts'
import type { SessionContext } from './context.ts'

/** Told once when a participant's part in its conversation is over. */
export interface ParticipantKeeper {
  closed(participant: RemoteParticipant): void
}

/** A participant behind a connection: the peer answers one conversation that the server opened towards it. */
export class RemoteParticipant implements Participant {
  readonly subject: string
  /** The id of its conversation; those of the bus stay below 2^53. */
  readonly number: number
  /** The even stream of the ConversationOpen; messages without a reply and the close go there too. */
  readonly streamId: number
  readonly #context: SessionContext
  readonly #asks: Asks
  readonly #info: ConversationInfo
  readonly #keeper: ParticipantKeeper
  #live = true

  constructor(
    context: SessionContext,
    asks: Asks,
    info: ConversationInfo,
    number: number,
    streamId: number,
    keeper: ParticipantKeeper,
  ) {
    this.subject = info.subject
    this.number = number
    this.streamId = streamId
    this.#context = context
    this.#asks = asks
    this.#info = info
    this.#keeper = keeper
  }

  /** Whether the conversation goes on. */
  get live(): boolean {
    return this.#live
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    if (!this.#live) done.fail(gone(this.subject))
    else if (message.replyRequested) this.#asks.ask(this, message, done)
    else {
      const failure = this.transmit(this.streamId, message)
      if (failure === null) done.reply(null)
      else done.fail(failure)
    }
  }

  /** Writes a message to the peer and returns what kept it from being sent, or `null`. */
  transmit(streamId: number, message: ParticipantMessage): LiminalError | null {
    const { options, output } = this.#context
    const most = options.limits.frameBytes
    if (messageHeadBytes(message.causal) + message.payload.length > most) {
      const text = `The request has ${message.payload.length} bytes; a frame of this server carries ${most} at most, header and all.`
      return new LiminalError('LIMIT_EXCEEDED', text)
    }
    const isPlain = !message.inParts && message.attempt === 1 && message.deadline === null && message.key === null
    const isSent = isPlain ? output.message(streamId, this.number, message) : this.#offer(streamId, message)
    if (isSent) return null
    const text = `The connection of the responder of '${this.subject}' is too far behind; try again later.`
    return output.closed ? gone(this.subject) : new LiminalError('OUTBOX_FULL', text)
  }

  /** The same with what the peer is told beside the content, as far as it understands that. */
  #offer(streamId: number, message: ParticipantMessage): boolean {
    const { attempt, deadline, key, causal, inParts, replyRequested } = message
    let { payload } = message
    let flags = replyRequested ? REPLY_REQUESTED : 0
    if (inParts && this.#context.granted(Capability.STREAMS)) flags |= IN_PARTS
    if (this.#context.granted(Capability.WORK) && (attempt > 1 || deadline !== null || key !== null)) {
      payload = withHead({ attempt, deadline: deadline ?? undefined, key: key ?? undefined }, payload)
      flags |= HAS_HEAD
    }
    const conversationId = BigInt(this.number)
    const envelope = { schemaId: NO_SCHEMA, causal, payload }
    return this.#context.output.offer({ type: 'ConversationMessage', flags, streamId, conversationId, envelope })
  }

  /** The asking side is done. The peer is told. */
  close(reason: string | null): void {
    if (!this.#live) return
    this.#live = false
    this.#keeper.closed(this)
    this.#context.output.closeConversation(this.streamId, this.number, reason)
  }

  /** The connection ends: nothing is written to the peer any more. */
  fade(): void {
    this.#live = false
  }

  /** The peer is no more, or never took the conversation: the crash policy decides. Idempotent. */
  lost(reason: ExitReason): void {
    this.#live = false
    this.#keeper.closed(this)
    this.#info.lost(reason)
  }

  /** The peer is done. The conversation ends with it, requests underway included. */
  leave(error: LiminalError | null): void {
    if (!this.#live) return
    this.#live = false
    this.#keeper.closed(this)
    this.#info.leave(error)
  }
}
