import type { FrameBatch } from '../codec/index.ts'
import { messageHeadBytes } from '../conversation/index.ts'
import type { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import {
  type CausalContext,
  Column,
  FrameType,
  HAS_HEAD,
  HEAD_WIDTH,
  NO_CAUSE,
  NO_SCHEMA,
  REPLY_REQUESTED,
  ROW_WIDTH,
  reasonOf,
  withHead,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { DurableLink } from './durable-link.ts'
import { checkFrame } from './frame-size.ts'
import { errorFromPeer } from './peer-error.ts'
import { readReply } from './reply.ts'
import type { StreamOwner } from './streams.ts'

/** What is asked in a durable conversation. */
export interface DurableQuestion {
  readonly requestId: string
  /** Its own. */
  readonly payload: Uint8Array
  readonly kind: PayloadKind
  readonly causal: CausalContext | null
}

/** A request of a durable conversation: written again on each connection until it has its answer. */
export class DurableRequest extends Call implements StreamOwner {
  readonly what: string
  readonly bytes: number
  readonly #link: DurableLink
  readonly #question: DurableQuestion
  readonly #resolve: (reply: unknown) => void
  readonly #reject: (error: LiminalError) => void
  readonly #content: Uint8Array
  #connection: Connection | null = null
  #stream = 0
  #isSettled = false

  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    link: DurableLink,
    question: DurableQuestion,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super()
    this.#link = link
    this.#question = question
    this.#resolve = resolve
    this.#reject = reject
    this.what = `The request to '${link.subject}'`
    this.#content = withHead({ requestId: question.requestId }, question.payload)
    const others = messageHeadBytes(question.causal)
    this.bytes = checkFrame(this.what, others, this.#content, core.settings.frameBytes)
  }

  write(connection: Connection): void {
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    const { causal } = this.#question
    connection.write({
      type: 'ConversationMessage',
      flags: REPLY_REQUESTED | HAS_HEAD,
      streamId: this.#stream,
      conversationId: this.#link.id,
      envelope: { schemaId: NO_SCHEMA, causal: causal ?? NO_CAUSE, payload: this.#content },
    })
  }

  /** Its conversation is opened anew first, which writes it then. */
  override survives(): boolean {
    return false
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      let reply: unknown
      try {
        reply = readReply(batch, row, this.#question.kind)
      } catch (thrown) {
        this.#settle()
        this.#reject(toLiminalError(thrown))
        return
      }
      this.#settle()
      this.#resolve(reply)
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      const error = errorFromPeer(frame)
      // It is asked again when the server is back.
      if (this.#link.isGoingAway(error)) return
      this.#settle()
      this.#reject(error)
    }
  }

  /** Its conversation asks again. */
  lost(_error: LiminalError): void {
    this.#connection = null
  }

  end(error: LiminalError): void {
    this.#giveUp(error)
  }

  /** Nobody waits for it any more; it goes on at the server. */
  abandon(error: LiminalError): void {
    const connection = this.#connection
    if (!this.#isSettled && connection?.open === true) {
      connection.write({
        type: 'ConversationError',
        flags: 0,
        streamId: this.#stream,
        conversationId: this.#link.id,
        reasonCode: reasonOf(error.code),
        message: null,
      })
    }
    this.#giveUp(error)
  }

  #giveUp(error: LiminalError): void {
    if (this.#isSettled) return
    this.#settle()
    this.#reject(error)
  }

  #settle(): void {
    this.#isSettled = true
    this.unpark()
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.#link.release(this)
  }
}
