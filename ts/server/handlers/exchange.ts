import type { FrameBatch } from '../../codec/index.ts'
import { LiminalError, ProtocolError } from '../../errors.ts'
import { LastText } from '../../last-text.ts'
import type { ExitReason } from '../../process/index.ts'
import {
  Capability,
  Column,
  HEAD_WIDTH,
  HEADER_BYTES,
  OPEN_DURABLE,
  OPEN_OFFER,
  ReasonCode,
  ROW_WIDTH,
} from '../../protocol/index.ts'
import { asLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'
import { Conversations } from './conversation.ts'
import { DurableConversations } from './durable-conversation.ts'
import { Responders } from './responder.ts'

/** Offset of the subject's length in a ConversationOpen frame. */
const SUBJECT_AT = HEADER_BYTES + 8
/** Bytes of a ConversationClose with neither reason nor text. */
const EMPTY_CLOSE_BYTES = HEADER_BYTES + 8 + 2

/**
 * The conversation frames of a session, in both directions. What the peer opened, conversations and registrations, lives on odd streams under ids of the
 * peer's choice; what the server opened towards it lives on even streams under ids of the bus. The parity of the stream tells the two apart, whatever
 * the ids. A peer without the extension `RESPONDERS` has nothing but its own conversations, on streams as it likes.
 *
 * Frames are taken as rows: a request is four of them, and objects for each would cost more than everything else that is done for it.
 */
export class Exchange {
  readonly conversations: Conversations
  readonly responders: Responders
  /** `null` until the peer has one in hand: most have none. */
  #durable: DurableConversations | null = null
  readonly #context: SessionContext
  readonly #subject = new LastText()

  constructor(context: SessionContext) {
    this.#context = context
    this.conversations = new Conversations(context)
    this.responders = new Responders(context)
  }

  /** Requests without an answer yet, in both directions. */
  get pending(): number {
    return this.conversations.pending + this.responders.pending
  }

  open(batch: FrameBatch, row: number): void {
    const { bytes, columns } = batch
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const streamId = columns[at + Column.STREAM] >>> 0
    const id = batch.key(row)
    if (this.#isServers(streamId)) {
      const text = `Stream ${streamId} is even, and even streams are the server's to open; use an odd one.`
      this.#refuse(streamId, id, new ProtocolError('InvalidStream', ReasonCode.InvalidStream, text))
      return
    }
    if (this.conversations.has(id) || this.responders.has(id) || this.#durable?.has(id) === true) {
      const text = `Conversation ${id} is open on this connection already; use an id of its own.`
      this.#refuse(streamId, id, new LiminalError('CONVERSATION_EXISTS', text))
      return
    }
    const lengthAt = columns[at + Column.START] + SUBJECT_AT
    const length = columns[at + Column.LENGTH] - SUBJECT_AT - 4
    const subject = this.#subject.read(bytes, lengthAt + 4, length)
    const flags = columns[at + Column.FLAGS]
    if ((flags & OPEN_DURABLE) !== 0 && this.#context.granted(Capability.DURABLE)) {
      this.#durable ??= new DurableConversations(this.#context)
      this.#durable.open(streamId, id, subject, flags, this.conversations.size + this.responders.size)
      return
    }
    const isOffer = (flags & OPEN_OFFER) !== 0 && this.#context.granted(Capability.RESPONDERS)
    const opened = isOffer
      ? this.responders.offer(streamId, id, subject, this.conversations.size + (this.#durable?.size ?? 0))
      : this.conversations.open(streamId, id, subject, flags, this.responders.size + (this.#durable?.size ?? 0))
    if (opened) this.#context.confirm(batch, row)
  }

  message(batch: FrameBatch, row: number): void {
    if (this.#isServers(streamOf(batch, row))) this.responders.reply(batch, row)
    else if (this.#durable?.has(batch.key(row)) === true) this.#durable.message(batch, row)
    else this.conversations.message(batch, row)
  }

  /** In 1.0 only a server sends it; it is skipped then. */
  fail(batch: FrameBatch, row: number): void {
    const streamId = streamOf(batch, row)
    if (!this.#isServers(streamId)) {
      if (this.#context.capabilities === 0) return
      const id = batch.key(row)
      if (this.#durable?.has(id) === true) this.#durable.withdraw(streamId, id)
      else this.conversations.withdraw(streamId, id)
      return
    }
    const frame = batch.frame(row)
    if (frame.type === 'ConversationError') this.responders.fail(frame)
  }

  close(batch: FrameBatch, row: number): void {
    const id = batch.key(row)
    if (this.#isServers(streamOf(batch, row))) {
      const frame = batch.frame(row)
      if (frame.type === 'ConversationClose') this.responders.leave(frame)
    } else if (this.#durable?.has(id) === true) {
      const flags = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.FLAGS]
      this.#durable.close(id, reasonOf(batch, row), streamOf(batch, row), flags)
      return
    } else if (this.responders.has(id)) this.responders.withdraw(id)
    else this.conversations.close(id, reasonOf(batch, row))
    this.#context.confirm(batch, row)
    this.#context.settled()
  }

  /** The connection is over, for both sides of every conversation. @param reason what that means to those who wait for this peer. */
  gone(reason: ExitReason): void {
    this.responders.gone(reason)
    this.conversations.closeAll(askingSideGone(reason))
    this.#durable?.leaveAll()
  }

  #isServers(streamId: number): boolean {
    return streamId % 2 === 0 && this.#context.granted(Capability.RESPONDERS)
  }

  #refuse(streamId: number, id: number | bigint, error: LiminalError): void {
    const refusal = this.#context.refusal(error)
    const conversationId = BigInt(id)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}

/** What becomes of the requests of a peer whose connection ends for this reason. The peer still hears it if it is the server that ends it. */
function askingSideGone({ cause }: ExitReason): LiminalError {
  if (asLiminalError(cause)?.code !== 'SHUTTING_DOWN') {
    return new LiminalError('CONNECTION_LOST', 'The connection of the asking side ended.')
  }
  const text =
    'The server shuts down, and the request was not answered in the time that was left; whether it had an effect is unknown.'
  return new LiminalError('SHUTTING_DOWN', text, { cause })
}

/** What the peer says to its close, `null` if nothing. */
function reasonOf(batch: FrameBatch, row: number): string | null {
  // Mostly it says nothing, and no object has to be made for that.
  if (batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.LENGTH] <= EMPTY_CLOSE_BYTES) return null
  const frame = batch.frame(row)
  return frame.type === 'ConversationClose' ? frame.message : null
}

function streamOf({ columns }: FrameBatch, row: number): number {
  return columns[HEAD_WIDTH + row * ROW_WIDTH + Column.STREAM] >>> 0
}
