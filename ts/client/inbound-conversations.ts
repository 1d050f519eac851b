import type { FrameBatch } from '../codec/index.ts'
import type { AbandonableMessage } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { LastText } from '../last-text.ts'
import {
  Capability,
  Column,
  FrameType,
  HAS_HEAD,
  HEAD_WIDTH,
  HEADER_BYTES,
  REPLY_REQUESTED,
  ReasonCode,
  ROW_WIDTH,
  readHead,
  reasonOf,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { InboundConversation } from './inbound-conversation.ts'
import type { InboundSteps } from './inbound-steps.ts'
import type { StreamOwner } from './streams.ts'
import { wireText } from './wire-text.ts'

/** Conversations that a server may hold open towards one connection. */
const MAX_CONVERSATIONS = 65_536
/** Offset of the subject in a ConversationOpen frame. */
const SUBJECT_AT = HEADER_BYTES + 8 + 4

/** The conversations that the server opens towards this connection, on even streams (extension `RESPONDERS`). */
export class InboundConversations implements StreamOwner {
  readonly #core: ClientCore
  readonly #connection: Connection
  readonly #conversations = new IntegerMap<InboundConversation>()
  /** Requests whose replies go out in parts, by their streams. */
  readonly #streaming = new Map<number, AbandonableMessage>()
  /** Requests whose steps are recorded, by their streams. */
  readonly #recording = new Map<number, InboundSteps>()
  readonly #subject = new LastText()
  /** What ends the bus. */
  #leaving: LiminalError | null = null

  constructor(core: ClientCore, connection: Connection) {
    this.#core = core
    this.#connection = connection
  }

  /** Conversations open now. */
  get size(): number {
    return this.#conversations.size
  }

  receive(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const { columns } = batch
    const stream = columns[at + Column.STREAM] >>> 0
    switch (columns[at + Column.TYPE]) {
      case FrameType.ConversationOpen: {
        const subjectAt = columns[at + Column.START] + SUBJECT_AT
        const length = columns[at + Column.LENGTH] - SUBJECT_AT
        this.#open(batch.key(row), this.#subject.read(batch.bytes, subjectAt, length), stream)
        break
      }
      case FrameType.ConversationMessage:
        this.#message(batch, row, stream, columns[at + Column.FLAGS])
        break
      case FrameType.ConversationClose:
        this.#closed(batch, row)
        break
      case FrameType.Accept:
        this.#taken(batch, row, stream)
        break
      case FrameType.ConversationError:
        this.#withdrawn(batch.key(row), stream)
        break
    }
  }

  lost(_error: LiminalError): void {
    const conversations = this.#conversations.values()
    this.#conversations.clear()
    for (const conversation of conversations) conversation.close(false, null)
  }

  /** The bus says goodbye: what is underway is aborted, and what still comes is refused as undone. Returns whether anything may come. */
  leave(error: LiminalError): boolean {
    const mayCome = this.#conversations.size > 0 || this.#core.responders.size > 0
    this.#leaving = error
    this.lost(error)
    return mayCome
  }

  /** Tells the server what became of a request, or of a conversation on the stream of its open. */
  refuse(stream: number, key: number | bigint, error: LiminalError): void {
    const connection = this.#connection
    if (!connection.open) return
    const reasonCode = connection.granted(Capability.REASONS) ? reasonOf(error.code) : ReasonCode.ServerError
    connection.write({
      type: 'ConversationError',
      flags: 0,
      streamId: stream,
      conversationId: BigInt(key),
      reasonCode,
      message: wireText(error.message),
    })
  }

  #open(id: number | bigint, subject: string, stream: number): void {
    const responder = this.#leaving === null ? this.#core.responders.next(subject) : undefined
    if (responder === undefined) {
      const text = `Nobody answers '${subject}' on this connection any more.`
      this.refuse(stream, id, new LiminalError('PARTICIPANT_GONE', text))
      return
    }
    if (this.#conversations.size >= MAX_CONVERSATIONS || this.#conversations.has(id)) {
      const text = `The responder of '${subject}' cannot take conversation ${id}: it has ${this.#conversations.size} open.`
      this.refuse(stream, id, new LiminalError('LIMIT_EXCEEDED', text))
      return
    }
    const conversation = new InboundConversation(this.#core, this.#connection, this, responder, id, stream)
    try {
      const left = conversation.join()
      if (left === undefined) this.#conversations.set(id, conversation)
      else this.#sayLeft(conversation, left)
    } catch (thrown) {
      this.refuse(stream, id, toLiminalError(thrown))
    }
  }

  #message(batch: FrameBatch, row: number, stream: number, flags: number): void {
    const id = batch.key(row)
    const isAnswer = (flags & (HAS_HEAD | REPLY_REQUESTED)) === HAS_HEAD
    const recording = isAnswer ? this.#recording.get(stream) : undefined
    if (recording !== undefined) {
      this.#recorded(recording, batch.payload(row))
      return
    }
    const conversation = this.#conversations.get(id)
    if (conversation !== undefined) conversation.message(batch, row, stream, flags)
    else if ((flags & REPLY_REQUESTED) === 0) return
    else if (this.#leaving !== null) {
      const text = `Request ${stream} was not begun: the bus of the responder was closed.`
      this.refuse(stream, id, new LiminalError('PARTICIPANT_GONE', text))
    } else {
      const text = `No conversation ${id} is open towards this connection.`
      this.refuse(stream, id, new LiminalError('CONVERSATION_NOT_FOUND', text))
    }
  }

  /** Mostly it is said without a reason, and no object has to be made for that. */
  #closed(batch: FrameBatch, row: number): void {
    const { closeBytes } = this.#core.frames
    const isSilent = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.LENGTH] === closeBytes
    const frame = isSilent ? null : batch.frame(row)
    this.#end(batch.key(row), true, frame?.type === 'ConversationClose' ? frame.message : null)
  }

  /** The asking side has taken so many parts of a reply. */
  #taken(batch: FrameBatch, row: number, stream: number): void {
    const frame = batch.frame(row)
    if (frame.type !== 'Accept' || !/^\d{1,15}$/.test(frame.referencedMessageId)) return
    this.#streaming.get(stream)?.take(Number(frame.referencedMessageId))
  }

  #recorded(steps: InboundSteps, payload: Uint8Array): void {
    try {
      steps.answered(readHead(payload))
    } catch (thrown) {
      steps.end(toLiminalError(thrown))
    }
  }

  /** See InboundConversation: the steps of a request are recorded, or not any more. */
  records(stream: number, steps: InboundSteps | null): void {
    if (steps === null) this.#recording.delete(stream)
    else this.#recording.set(stream, steps)
  }

  /** See InboundConversation: a reply in parts begins, or ends. */
  streams(stream: number, message: AbandonableMessage | null): void {
    if (message === null) this.#streaming.delete(stream)
    else this.#streaming.set(stream, message)
  }

  /** The asking side gave up: one request, or on the stream of the open all of it. */
  #withdrawn(id: number | bigint, stream: number): void {
    const conversation = this.#conversations.get(id)
    if (conversation?.stream === stream) this.#end(id, false, null)
    else conversation?.withdraw(stream)
  }

  /** See InboundConversation. The participant leaves. */
  left(conversation: InboundConversation, error: LiminalError | null): void {
    if (this.#end(conversation.key, error === null, null)) this.#sayLeft(conversation, error)
  }

  #sayLeft({ key, stream }: InboundConversation, error: LiminalError | null): void {
    if (error !== null) this.refuse(stream, key, error)
    else if (this.#connection.open) this.#core.frames.close(this.#connection.outbox, stream, key, 0)
  }

  #end(id: number | bigint, well: boolean, reason: string | null): boolean {
    const conversation = this.#conversations.get(id)
    if (conversation === undefined) return false
    this.#conversations.delete(id)
    conversation.close(well, reason)
    return true
  }
}
