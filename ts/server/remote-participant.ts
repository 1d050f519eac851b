import type { ConversationInfo, MessageFate, Participant, ParticipantMessage } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { ConversationMessage } from '../protocol/index.ts'
import { NO_SCHEMA, REPLY_REQUESTED } from '../protocol/index.ts'
import { type Asks, gone } from './asks.ts'
import type { SessionContext } from './context.ts'

/** A participant behind a connection: the peer answers one conversation that the server opened towards it. */
export class RemoteParticipant implements Participant {
  readonly id: bigint
  readonly subject: string
  /** The even stream of the ConversationOpen; messages without a reply and the close go there too. */
  readonly streamId: number
  readonly #context: SessionContext
  readonly #asks: Asks
  readonly #info: ConversationInfo
  readonly #onClosed: (participant: RemoteParticipant) => void
  #live = true

  constructor(
    context: SessionContext,
    asks: Asks,
    info: ConversationInfo,
    streamId: number,
    onClosed: (participant: RemoteParticipant) => void,
  ) {
    this.id = info.id
    this.subject = info.subject
    this.streamId = streamId
    this.#context = context
    this.#asks = asks
    this.#info = info
    this.#onClosed = onClosed
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
    const frame: ConversationMessage = {
      type: 'ConversationMessage',
      flags: message.replyRequested ? REPLY_REQUESTED : 0,
      streamId,
      conversationId: this.id,
      envelope: { schemaId: NO_SCHEMA, causal: message.causal, payload: message.payload },
    }
    const most = options.limits.frameBytes
    if (options.codec.encodedLength(frame) > most) {
      const text = `The request has ${message.payload.length} bytes; a frame of this server carries ${most} at most, header and all.`
      return new LiminalError('LIMIT_EXCEEDED', text)
    }
    if (output.offer(frame)) return null
    const text = `The connection of the responder of '${this.subject}' is too far behind; try again later.`
    return output.closed ? gone(this.subject) : new LiminalError('OUTBOX_FULL', text)
  }

  /** The asking side is done. The peer is told. */
  close(): void {
    if (!this.#live) return
    this.#live = false
    this.#onClosed(this)
    const { streamId, id: conversationId } = this
    const frame = {
      type: 'ConversationClose',
      flags: 0,
      streamId,
      conversationId,
      reasonCode: null,
      message: null,
    } as const
    this.#context.output.reply(frame)
  }

  /** The peer is done, or gone. The conversation ends with it, requests underway included. */
  leave(error: LiminalError | null): void {
    if (!this.#live) return
    this.#live = false
    this.#onClosed(this)
    this.#info.leave(error)
  }
}
