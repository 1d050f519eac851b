import type { ConversationInfo, MessageFate, Participant, ParticipantMessage } from '../conversation/index.ts'
import { messageHeadBytes } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import {
  Capability,
  HAS_HEAD,
  IN_PARTS,
  NO_SCHEMA,
  REPLY_REQUESTED,
  type RequestHead,
  withHead,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
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
    else if (message.replyRequested || message.steps !== null) this.#asks.ask(this, message, done)
    else {
      const failure = this.transmit(this.streamId, message)
      if (failure === null) done.reply(null)
      else done.fail(failure)
    }
  }

  /** Writes a message to the peer and returns what kept it from being sent, or `null`. */
  transmit(streamId: number, message: ParticipantMessage): LiminalError | null {
    const { options, output } = this.#context
    const isUsual = message.attempt === 1 && message.deadline === null && message.key === null
    const isPlain = isUsual && !message.inParts && message.steps === null
    let payload: Uint8Array
    let flags: number
    try {
      flags = isPlain ? 0 : this.#flagsOf(message)
      payload = (flags & HAS_HEAD) === 0 ? message.payload : withHead(this.#headOf(message), message.payload)
    } catch (thrown) {
      return toLiminalError(thrown)
    }
    const most = options.limits.frameBytes
    if (messageHeadBytes(message.causal) + payload.length > most) {
      const text = `The request has ${payload.length} bytes; a frame of this server carries ${most} at most, header and all.`
      return new LiminalError('LIMIT_EXCEEDED', text)
    }
    const isSent = isPlain
      ? output.message(streamId, this.number, message)
      : output.offer({
          type: 'ConversationMessage',
          flags,
          streamId,
          conversationId: BigInt(this.number),
          envelope: { schemaId: NO_SCHEMA, causal: message.causal, payload },
        })
    if (isSent) return null
    const text = `The connection of the responder of '${this.subject}' is too far behind; try again later.`
    return output.closed ? gone(this.subject) : new LiminalError('OUTBOX_FULL', text)
  }

  /** What the peer is told beside the content, as far as it understands that. */
  #flagsOf({ attempt, deadline, key, inParts, replyRequested, steps }: ParticipantMessage): number {
    // What is recorded is done when the peer says so, whether or not anybody wants the result.
    let flags = replyRequested || steps !== null ? REPLY_REQUESTED : 0
    // A peer that knows nothing of parts gives one reply, which is a stream too.
    if (inParts && this.#context.granted(Capability.STREAMS)) flags |= IN_PARTS
    const isUsual = attempt === 1 && deadline === null && key === null && (steps === null || !this.#recordsSteps)
    return isUsual || !this.#context.granted(Capability.WORK) ? flags : flags | HAS_HEAD
  }

  get #recordsSteps(): boolean {
    return this.#context.granted(Capability.DURABLE)
  }

  #headOf({ attempt, deadline, key, steps }: ParticipantMessage): RequestHead {
    return {
      attempt: attempt === 1 ? undefined : attempt,
      deadline: deadline ?? undefined,
      key: key ?? undefined,
      steps: steps !== null && this.#recordsSteps ? true : undefined,
    }
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
