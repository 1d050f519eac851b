import type { FrameBatch } from '../codec/index.ts'
import {
  AbandonableMessage,
  type ConversationInfo,
  type MessageFate,
  messageHeadBytes,
  type Participant,
  participantGone,
} from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { type Few, hasItem, itemsOf, withItem, withoutItem } from '../few.ts'
import type { ExitReason } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame } from './frame-size.ts'
import type { InboundConversations } from './inbound-conversations.ts'
import { InboundReply } from './inbound-reply.ts'
import type { ResponderLink } from './responder-link.ts'

/** One message that is being worked on here, and what becomes of it. */
class InboundMessage extends AbandonableMessage implements MessageFate {
  /** Of a request: its own, where the answer goes. */
  readonly stream: number
  readonly #conversation: InboundConversation

  constructor(
    conversation: InboundConversation,
    stream: number,
    payload: Uint8Array,
    causal: CausalContext,
    replyRequested: boolean,
  ) {
    super(payload, causal, replyRequested)
    this.stream = stream
    this.#conversation = conversation
  }

  reply(reply: Uint8Array | null): void {
    this.#conversation.answer(this, reply)
  }

  part(part: Uint8Array): void {
    this.#conversation.part(this, part)
  }

  fail(error: LiminalError): void {
    this.#conversation.fail(this, error)
  }

  /** `PARTICIPANT_GONE` on a request's stream says that it is undone. */
  handBack(error: LiminalError): void {
    this.#conversation.fail(this, new LiminalError('PARTICIPANT_GONE', error.message, { cause: error }))
  }
}

/** One conversation that the server opened towards this connection, and who answers it here. */
export class InboundConversation implements ConversationInfo {
  /** The id that the server chose. */
  readonly key: number | bigint
  readonly subject: string
  /** The stream of the open. */
  readonly stream: number
  readonly #core: ClientCore
  readonly #connection: Connection
  readonly #inbound: InboundConversations
  readonly #participant: Participant
  /** Messages being worked on. */
  #underway: Few<InboundMessage> = null
  #open = true

  constructor(
    core: ClientCore,
    connection: Connection,
    inbound: InboundConversations,
    responder: ResponderLink,
    key: number | bigint,
    stream: number,
  ) {
    this.#core = core
    this.#connection = connection
    this.#inbound = inbound
    this.key = key
    this.subject = responder.subject
    this.stream = stream
    this.#participant = responder.source.join(this)
  }

  get id(): bigint {
    return BigInt(this.key)
  }

  /** See ConversationInfo. */
  leave(error: LiminalError | null): void {
    this.#inbound.left(this, error)
  }

  /** See ConversationInfo. Towards the server it is the same as leaving with that error. */
  lost(reason: ExitReason): void {
    this.leave(participantGone(this.subject, reason))
  }

  message(batch: FrameBatch, row: number, stream: number, replyRequested: boolean): void {
    const message = new InboundMessage(this, stream, batch.payload(row), batch.causal(row), replyRequested)
    this.#underway = withItem(this.#underway, message)
    try {
      this.#participant.receive(message, message)
    } catch (thrown) {
      message.fail(toLiminalError(thrown))
    }
    message.release()
  }

  /** The asking side gave one request up. It may have been answered a moment ago. */
  withdraw(stream: number): void {
    for (const message of itemsOf(this.#underway)) {
      if (message.stream === stream && message.replyRequested && this.#take(message)) message.abandon(nobodyWaits())
    }
  }

  /**
   * The conversation is over, and whoever works for it hears that nobody waits any more.
   *
   * @param well Whether it was closed; messages that want no reply are then left to finish.
   */
  close(well: boolean): void {
    if (!this.#open) return
    this.#open = false
    const underway = itemsOf(this.#underway)
    this.#underway = null
    for (const message of underway) if (!well || message.replyRequested) message.abandon(nobodyWaits())
    this.#participant.close(null)
  }

  /** See InboundMessage. */
  answer(message: InboundMessage, reply: Uint8Array | null): void {
    if (!this.#take(message) || reply === null) return
    const { stream } = message
    const connection = this.#connection
    if (!connection.open) return
    try {
      const bytes = checkFrame('The reply', messageHeadBytes(null), reply, this.#core.settings.frameBytes)
      // Mostly there is room, and it need not wait for any.
      if (this.#core.hasRoom(connection, bytes))
        this.#core.frames.request(connection.outbox, stream, this.key, null, reply)
      else this.#core.submit(new InboundReply(this.#core, connection, stream, this.key, reply, bytes))
    } catch (thrown) {
      const error = toLiminalError(thrown)
      const text = `The reply could not be sent: ${error.message}`
      this.#inbound.refuse(stream, this.key, new LiminalError('RESPONDER_FAILED', text, { cause: error }))
    }
  }

  /** See InboundMessage. */
  part(message: InboundMessage, _part: Uint8Array): void {
    this.fail(message, new LiminalError('NOT_SUPPORTED', 'Replies in parts do not go over this connection.'))
  }

  /** See InboundMessage. A message without a reply has nobody to tell: the behaviour's runner has reported it. */
  fail(message: InboundMessage, error: LiminalError): void {
    if (this.#take(message) && message.replyRequested) this.#inbound.refuse(message.stream, this.key, error)
  }

  /** Whether somebody still waited for what became of it. */
  #take(message: InboundMessage): boolean {
    if (!hasItem(this.#underway, message)) return false
    this.#underway = withoutItem(this.#underway, message)
    return true
  }
}

function nobodyWaits(): LiminalError {
  return new LiminalError('ABORTED', 'Nobody waits for the reply any more: the asking side gave up, closed or is gone.')
}
