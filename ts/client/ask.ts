import type { FrameBatch } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { type CausalContext, Column, FrameType, HEAD_WIDTH, HEADER_BYTES, ROW_WIDTH } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { causalBytes, checkFrame, EMPTY_MESSAGE_BYTES } from './frame-size.ts'
import { type Encoded, keep } from './payload-text.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { readReply } from './reply.ts'
import type { StreamOwner } from './streams.ts'

/** What is asked, and how the answer is read. */
export interface Question {
  readonly subject: string
  readonly payload: Encoded
  readonly kind: PayloadKind
  readonly causal: CausalContext | null
}

/**
 * One request with a conversation of its own. Open and message go out in one write and the close follows the answer, so that it costs one round trip. The
 * conversation's id is its stream.
 */
export class Ask extends Call implements StreamOwner {
  readonly what: string
  readonly bytes: number
  readonly #core: ClientCore
  readonly #question: Question
  readonly #resolve: (reply: unknown) => void
  readonly #reject: (error: LiminalError) => void
  #payload: Encoded
  #connection: Connection | null = null
  #stream = 0
  #settled = false

  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    question: Question,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super()
    this.#core = core
    this.#question = question
    this.#payload = question.payload
    this.#resolve = resolve
    this.#reject = reject
    this.what = `The request to '${question.subject}'`
    const others = EMPTY_MESSAGE_BYTES + causalBytes(question.causal)
    const message = checkFrame(this.what, others, question.payload, core.settings.frameBytes)
    this.bytes = message + HEADER_BYTES + 12 + Buffer.byteLength(question.subject)
  }

  override park(): void {
    this.#payload = keep(this.#payload)
  }

  write(connection: Connection): void {
    const { frames } = this.#core
    const { subject, causal } = this.#question
    const stream = connection.streams.open(this)
    this.#connection = connection
    this.#stream = stream
    frames.open(connection, stream, BigInt(stream), subject, 0)
    frames.request(connection, stream, BigInt(stream), causal, this.#payload)
    this.#payload = ''
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      this.#leave()
      let reply: unknown
      try {
        reply = readReply(batch, row, this.#question.kind)
      } catch (thrown) {
        this.#reject(toLiminalError(thrown))
        return
      }
      this.#resolve(reply)
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type === 'ConversationError') this.abandon(errorFromPeer(frame))
    } else if (type === FrameType.ConversationClose) {
      this.abandon(new LiminalError('CONVERSATION_CLOSED', `${this.what} got no reply: the responder left.`))
    }
  }

  /** Nobody waits for the reply any more. The close makes the responder's signal abort. */
  abandon(error: LiminalError): void {
    if (this.#settled) return
    this.unpark()
    this.#leave()
    this.#reject(error)
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.abandon(lostError(this.what, error))
  }

  end(error: LiminalError): void {
    this.abandon(error)
  }

  #leave(): void {
    this.#settled = true
    this.#payload = ''
    const connection = this.#connection
    if (connection === null) return
    this.#connection = null
    connection.streams.close(this.#stream)
    if (connection.open) this.#core.frames.close(connection, this.#stream, BigInt(this.#stream), 0)
  }
}
