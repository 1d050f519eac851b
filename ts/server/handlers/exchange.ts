import { LiminalError, ProtocolError } from '../../errors.ts'
import type {
  ConversationClose,
  ConversationError,
  ConversationMessage,
  ConversationOpen,
} from '../../protocol/index.ts'
import { Capability, OPEN_OFFER, ReasonCode } from '../../protocol/index.ts'
import type { SessionContext } from '../context.ts'
import { Conversations } from './conversation.ts'
import { Responders } from './responder.ts'

/**
 * The conversation frames of a session, in both directions. What the peer opened, conversations and registrations, lives on odd streams under ids of the
 * peer's choice; what the server opened towards it lives on even streams under ids of the bus. The parity of the stream tells the two apart, whatever
 * the ids. A peer without the extension `RESPONDERS` has nothing but its own conversations, on streams as it likes.
 */
export class Exchange {
  readonly conversations: Conversations
  readonly responders: Responders
  readonly #context: SessionContext

  constructor(context: SessionContext) {
    this.#context = context
    this.conversations = new Conversations(context)
    this.responders = new Responders(context)
  }

  /** Requests without an answer yet, in both directions. */
  get pending(): number {
    return this.conversations.pending + this.responders.pending
  }

  open(frame: ConversationOpen): void {
    const { flags, streamId, conversationId } = frame
    if (this.#isServers(streamId)) {
      const text = `Stream ${streamId} is even, and even streams are the server's to open; use an odd one.`
      this.#refuse(frame, new ProtocolError('InvalidStream', ReasonCode.InvalidStream, text))
    } else if (this.conversations.has(conversationId) || this.responders.has(conversationId)) {
      const text = `Conversation ${conversationId} is open on this connection already; use an id of its own.`
      this.#refuse(frame, new LiminalError('CONVERSATION_EXISTS', text))
    } else if ((flags & OPEN_OFFER) !== 0 && this.#context.granted(Capability.RESPONDERS)) {
      this.responders.offer(frame, this.conversations.size)
    } else {
      this.conversations.open(frame, this.responders.size)
    }
  }

  message(frame: ConversationMessage): void {
    if (this.#isServers(frame.streamId)) this.responders.reply(frame)
    else this.conversations.message(frame)
  }

  /** In 1.0 only a server sends it; it is skipped then. */
  fail(frame: ConversationError): void {
    if (this.#isServers(frame.streamId)) this.responders.fail(frame)
    else if (this.#context.capabilities !== 0) this.conversations.withdraw(frame)
  }

  close(frame: ConversationClose): void {
    if (this.#isServers(frame.streamId)) this.responders.leave(frame)
    else if (this.responders.has(frame.conversationId)) this.responders.withdraw(frame)
    else this.conversations.close(frame)
  }

  /** The connection is over, for both sides of every conversation. */
  gone(): void {
    this.conversations.closeAll(new LiminalError('CONNECTION_LOST', 'The connection of the asking side ended.'))
    this.responders.gone()
  }

  #isServers(streamId: number): boolean {
    return streamId % 2 === 0 && this.#context.granted(Capability.RESPONDERS)
  }

  #refuse({ streamId, conversationId }: ConversationOpen, error: LiminalError): void {
    const refusal = this.#context.refusal(error)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}
