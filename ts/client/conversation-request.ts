import type { FrameBatch } from '../codec/index.ts'
import type { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import {
  Capability,
  type CausalContext,
  Column,
  FrameType,
  HEAD_WIDTH,
  ROW_WIDTH,
  reasonOf,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { ConversationLink } from './conversation-link.ts'
import { causalBytes, checkFrame, EMPTY_MESSAGE_BYTES } from './frame-size.ts'
import { type Encoded, keep } from './payload-text.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { readReply } from './reply.ts'
import type { StreamOwner } from './streams.ts'

/** One message of a conversation that waits for its own reply, on a stream of its own: nothing else on the wire could tell two replies apart. */
export class ConversationRequest extends Call implements StreamOwner {
  readonly what: string
  readonly bytes: number
  readonly #core: ClientCore
  readonly #link: ConversationLink
  readonly #kind: PayloadKind
  readonly #causal: CausalContext | null
  readonly #resolve: (reply: unknown) => void
  readonly #reject: (error: LiminalError) => void
  #payload: Encoded
  #connection: Connection | null = null
  #stream = 0
  #settled = false

  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    link: ConversationLink,
    payload: Encoded,
    kind: PayloadKind,
    causal: CausalContext | null,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super()
    this.#core = core
    this.#link = link
    this.#payload = payload
    this.#kind = kind
    this.#causal = causal
    this.#resolve = resolve
    this.#reject = reject
    this.what = `The request to '${link.subject}'`
    this.bytes = checkFrame(this.what, EMPTY_MESSAGE_BYTES + causalBytes(causal), payload, core.settings.frameBytes)
    link.hold(this)
  }

  override park(): void {
    this.#payload = keep(this.#payload)
  }

  /** Conversations end with their connection. */
  override survives(error: LiminalError): boolean {
    this.abandon(lostError(this.what, error))
    return false
  }

  write(connection: Connection): void {
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    this.#core.frames.request(connection, this.#stream, this.#link.id, this.#causal, this.#payload)
    this.#payload = ''
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      this.#leave()
      let reply: unknown
      try {
        reply = readReply(batch, row, this.#kind)
      } catch (thrown) {
        this.#reject(toLiminalError(thrown))
        return
      }
      this.#resolve(reply)
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      this.#leave()
      this.#reject(errorFromPeer(frame))
    }
  }

  /** Nobody waits for the reply any more. */
  abandon(error: LiminalError): void {
    if (this.#settled) return
    this.unpark()
    const connection = this.#connection
    const stream = this.#stream
    this.#leave()
    if (connection?.open && connection.granted(Capability.REASONS) && isOwnDecision(error)) {
      const { id: conversationId } = this.#link
      const reasonCode = reasonOf(error.code)
      connection.write({
        type: 'ConversationError',
        flags: 0,
        streamId: stream,
        conversationId,
        reasonCode,
        message: null,
      })
    }
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
    this.#link.release(this)
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
  }
}

/** The conversation goes on, so the server has to hear that this one request is not waited for. */
function isOwnDecision(error: LiminalError): boolean {
  return error.code === 'TIMEOUT' || error.code === 'ABORTED'
}
