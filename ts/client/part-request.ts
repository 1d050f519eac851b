import type { PartSink, PartSource } from '../bus/index.ts'
import type { FrameBatch } from '../codec/index.ts'
import { messageHeadBytes, openBytes, PART_WINDOW } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import {
  type CausalContext,
  Column,
  FrameType,
  HEAD_WIDTH,
  IN_PARTS,
  NO_CAUSE,
  NO_SCHEMA,
  OPEN_REROUTE,
  REPLY_REQUESTED,
  ROW_WIDTH,
  reasonOf,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { ConversationLink } from './conversation-link.ts'
import { checkFrame } from './frame-size.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { requireStreams, requireWork } from './require.ts'
import type { StreamOwner } from './streams.ts'

/** The server is told of every so many parts, and when none is left: so it never waits for a word that is not coming. */
const ACCEPT_EVERY = PART_WINDOW / 4

/** A request whose reply comes in parts. */
export interface PartQuestion {
  readonly subject: string
  readonly payload: Uint8Array
  readonly causal: CausalContext | undefined
  /** Whether another responder gets it if the first one dies before the first part. */
  readonly reroutes: boolean
}

/** A request that takes its reply in parts, in a conversation of its own, whose id is its stream, or in one that goes on. */
export class PartRequest extends Call implements StreamOwner, PartSource {
  readonly what: string
  readonly bytes: number
  readonly #core: ClientCore
  readonly #question: PartQuestion
  readonly #sink: PartSink
  readonly #link: ConversationLink | null
  #connection: Connection | null = null
  #stream = 0
  #received = 0
  #told = 0
  #isSettled = false

  /** @param link the conversation; `null`: one of its own. @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(core: ClientCore, question: PartQuestion, link: ConversationLink | null, sink: PartSink) {
    super()
    this.#core = core
    this.#question = question
    this.#link = link
    this.#sink = sink
    const { subject, payload, causal } = question
    this.what = `The request to '${subject}'`
    const others = messageHeadBytes(causal ?? null) + (link === null ? openBytes(subject) : 0)
    this.bytes = checkFrame(this.what, others, payload, core.settings.frameBytes)
    link?.hold(this)
  }

  override survives(error: LiminalError): boolean {
    // Conversations end with their connection.
    if (this.#link === null) return true
    this.abandon(lostError(this.what, error))
    return false
  }

  write(connection: Connection): void {
    const { subject, payload, causal = NO_CAUSE, reroutes } = this.#question
    try {
      requireStreams(connection, 'A reply in parts')
      if (reroutes) requireWork(connection, 'Giving a request to another responder')
    } catch (thrown) {
      this.abandon(toLiminalError(thrown))
      return
    }
    const stream = connection.streams.open(this)
    this.#stream = stream
    this.#connection = connection
    if (this.#link === null) {
      this.#core.frames.open(connection.outbox, stream, stream, subject, reroutes ? OPEN_REROUTE : 0)
    }
    connection.write({
      type: 'ConversationMessage',
      flags: REPLY_REQUESTED | IN_PARTS,
      streamId: stream,
      conversationId: this.#id,
      envelope: { schemaId: NO_SCHEMA, causal, payload },
    })
  }

  receive(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const type = batch.columns[at + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      this.#message(batch.payload(row), batch.columns[at + Column.FLAGS])
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      this.#leave(false)
      this.#sink.fail(errorFromPeer(frame))
    } else if (type === FrameType.ConversationClose) {
      this.abandon(new LiminalError('CONVERSATION_CLOSED', `${this.what} got no reply: the responder left.`))
    }
  }

  taken(count: number): void {
    const connection = this.#connection
    if (connection === null || !connection.open) return
    if (count < this.#received && count - this.#told < ACCEPT_EVERY) return
    this.#told = count
    connection.write({ type: 'Accept', flags: 0, streamId: this.#stream, referencedMessageId: String(count) })
  }

  stop(error: LiminalError): void {
    this.abandon(error)
  }

  /** Nobody waits for the rest any more. */
  abandon(error: LiminalError): void {
    if (this.#isSettled) return
    this.unpark()
    this.#leave(true)
    this.#sink.fail(error)
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.abandon(lostError(this.what, error))
  }

  end(error: LiminalError): void {
    this.abandon(error)
  }

  get #id(): bigint {
    return this.#link?.id ?? BigInt(this.#stream)
  }

  #message(payload: Uint8Array, flags: number): void {
    const part = (flags & IN_PARTS) !== 0 && (flags & REPLY_REQUESTED) !== 0 ? null : ownBytes(payload)
    if ((flags & REPLY_REQUESTED) !== 0) {
      this.#leave(false)
      this.#sink.end(part)
      return
    }
    if (part === null) return
    if (this.#received >= this.#told + PART_WINDOW) {
      this.abandon(new LiminalError('RESPONDER_FAILED', `${this.what} got more than ${PART_WINDOW} parts unasked.`))
      return
    }
    this.#received++
    this.#sink.push(part)
  }

  /** @param givesUp whether the server has to be told that the rest is not wanted. */
  #leave(givesUp: boolean): void {
    this.#settle()
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    connection.streams.close(this.#stream)
    if (!connection.open) return
    if (this.#link === null) this.#core.frames.close(connection.outbox, this.#stream, this.#stream, 0)
    else if (givesUp) {
      const reasonCode = reasonOf('ABORTED')
      const conversationId = this.#link.id
      connection.write({
        type: 'ConversationError',
        flags: 0,
        streamId: this.#stream,
        conversationId,
        reasonCode,
        message: null,
      })
    }
  }

  #settle(): void {
    this.#isSettled = true
    this.#link?.release(this)
  }
}
