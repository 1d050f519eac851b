import type { FrameBatch } from '../codec/index.ts'
import { messageHeadBytes } from '../conversation/index.ts'
import type { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { type Encoded, keep } from '../payload-text.ts'
import { type CausalContext, Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { timeoutError } from '../waiting.ts'
import { Call } from './backlog.ts'
import { type ClientCore, DEFAULT_REPLY_TIMEOUT_MS } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame } from './frame-size.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { readReply } from './reply.ts'
import type { StreamOwner } from './streams.ts'

/** What is asked, and how the answer is read. */
export interface Question {
  readonly subject: string
  readonly payload: Encoded
  readonly kind: PayloadKind
  readonly causal: CausalContext | null
  /** Flags of the open, if there is one: what is done if the participant dies. Default: 0. */
  readonly openFlags?: number
}

/** A message that waits for its own reply, on a stream of its own: nothing else on the wire could tell two replies apart. */
export abstract class Request extends Call implements StreamOwner {
  readonly bytes: number
  protected readonly core: ClientCore
  protected readonly question: Question
  protected stream = 0
  readonly #resolve: (reply: unknown) => void
  readonly #reject: (error: LiminalError) => void
  #payload: Encoded
  /** A tick of the coarse clock, `Infinity` where the caller watches the time. */
  readonly #deadline: number
  #connection: Connection | null = null
  #settled = false

  /**
   * @param moreBytes of the frames that go with the message.
   * @param deadline a tick of the coarse clock, `Infinity` where the caller watches the time.
   * @throws LiminalError `PAYLOAD_TOO_LARGE`.
   */
  constructor(
    core: ClientCore,
    question: Question,
    moreBytes: number,
    deadline: number,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super()
    this.core = core
    this.question = question
    this.#payload = question.payload
    this.#resolve = resolve
    this.#reject = reject
    this.#deadline = deadline
    const others = messageHeadBytes(question.causal)
    this.bytes = checkFrame(this.what, others, question.payload, core.settings.frameBytes) + moreBytes
  }

  get what(): string {
    return `The request to '${this.question.subject}'`
  }

  override expire(tick: number): boolean {
    if (this.#settled) return false
    if (this.#deadline > tick) return this.#deadline !== Number.POSITIVE_INFINITY
    this.abandon(timeoutError(DEFAULT_REPLY_TIMEOUT_MS, this.what))
    return false
  }

  override park(): void {
    this.#payload = keep(this.#payload)
  }

  write(connection: Connection): void {
    this.stream = connection.streams.open(this)
    this.#connection = connection
    this.send(connection, this.#payload)
    this.#payload = ''
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      this.#leave(null)
      let reply: unknown
      try {
        reply = readReply(batch, row, this.question.kind)
      } catch (thrown) {
        this.#reject(toLiminalError(thrown))
        return
      }
      this.#resolve(reply)
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      this.#leave(null)
      this.#reject(errorFromPeer(frame))
    }
  }

  /** Nobody waits for the reply any more. */
  abandon(error: LiminalError): void {
    if (this.#settled) return
    this.unpark()
    this.#leave(error)
    this.#reject(error)
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.abandon(lostError(this.what, error))
  }

  end(error: LiminalError): void {
    this.abandon(error)
  }

  /** Writes the message, and what goes with it, on {@link stream}. */
  protected abstract send(connection: Connection, payload: Encoded): void

  /**
   * It is settled, and its stream is given back.
   * @param connection where it was written, if that still takes frames.
   * @param givenUp why nobody waits for it any more; `null` if it was answered.
   */
  protected abstract over(connection: Connection | null, givenUp: LiminalError | null): void

  #leave(givenUp: LiminalError | null): void {
    this.#settled = true
    this.#payload = ''
    const connection = this.#connection
    this.#connection = null
    connection?.streams.close(this.stream)
    this.over(connection?.open ? connection : null, givenUp)
  }
}
