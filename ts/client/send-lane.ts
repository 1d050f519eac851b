import type { SendCounts } from '../bus/index.ts'
import type { FrameBatch } from '../codec/index.ts'
import { causalBytes } from '../conversation/index.ts'
import type { LiminalError } from '../errors.ts'
import { type Encoded, toBytes } from '../payload-text.ts'
import { fitsKeyedHead, PreparedHead } from '../pressure/index.ts'
import {
  ACK_POSITION,
  Capability,
  type CausalContext,
  Column,
  FrameType,
  HEAD_WIDTH,
  NO_CAUSE,
  NO_SCHEMA,
  PUBLISH_HAS_KEY,
  PUBLISH_NO_ACK,
  ROW_WIDTH,
} from '../protocol/index.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame, emptyPublishBytes, keyBytes } from './frame-size.ts'
import { errorFromPeer } from './peer-error.ts'
import type { Confirmable } from './send-confirmation.ts'
import type { StreamOwner } from './streams.ts'

/**
 * The unacknowledged publishes of one channel handle, on a stream of their own. Where the server granted it they ask for no acknowledgement; otherwise the
 * acknowledgements are counted and dropped.
 */
export class SendLane implements StreamOwner, Confirmable {
  readonly #core: ClientCore
  readonly #channel: string
  readonly #what: string
  readonly #emptyBytes: number
  #connection: Connection | null = null
  #stream = 0
  #flags = 0
  #head: PreparedHead | null = null
  #keyedHead: PreparedHead | null = null
  #sent = 0
  #failed = 0
  #lastError: LiminalError | null = null
  /** Sent on this connection, and not known to have reached the server. */
  #unconfirmed = 0
  /** How many of these the Ping underway is about. */
  #marked = 0
  #abandoned = false

  constructor(core: ClientCore, channel: string) {
    this.#core = core
    this.#channel = channel
    this.#what = `The message to '${channel}'`
    this.#emptyBytes = emptyPublishBytes(channel)
  }

  get counts(): SendCounts {
    return { sent: this.#sent, failed: this.#failed, lastError: this.#lastError }
  }

  /** @throws LiminalError `OUTBOX_FULL`, `CLOSED`, `PAYLOAD_TOO_LARGE`. */
  send(payload: Encoded, causal: CausalContext | null, key: string | null): void {
    const { frameBytes } = this.#core.settings
    const others = this.#emptyBytes + causalBytes(causal) + keyBytes(key)
    const bytes = checkFrame(this.#what, others, payload, frameBytes)
    const connection = this.#core.claimRoom(bytes, this.#what)
    if (this.#connection !== connection) this.#bind(connection)
    if (key !== null) this.#writeKeyed(connection, payload, causal, key)
    else {
      const head = causal === null ? this.#head : null
      ;(head ?? this.#makeHead(connection, causal)).write(connection.outbox, payload)
    }
    connection.window.wrote(bytes)
    this.#sent++
    if (this.#unconfirmed++ === 0 && this.#flags !== 0) connection.confirmation.watch(this)
  }

  receive(batch: FrameBatch, row: number, count: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.PublishAck) {
      const isAnswer = (batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.FLAGS] & ACK_POSITION) === 0
      if (isAnswer) this.#answered(count)
    } else if (type === FrameType.PublishError) {
      this.#answered(1)
      const frame = batch.frame(row)
      if (frame.type === 'PublishError') this.#lastError = errorFromPeer(frame)
      this.#failed++
    }
    if (this.#abandoned && this.#unconfirmed === 0) this.#unbind()
  }

  lost(error: LiminalError): void {
    this.#failed += this.#unconfirmed
    if (this.#unconfirmed > 0) this.#lastError = error
    this.#forget()
  }

  mark(): void {
    this.#marked = this.#unconfirmed
  }

  confirm(): boolean {
    this.#unconfirmed -= this.#marked
    this.#marked = 0
    if (this.#abandoned && this.#unconfirmed === 0) this.#unbind()
    return this.#unconfirmed > 0
  }

  /** The handle is gone: gives the stream back once nothing is underway on it. */
  abandon(): void {
    this.#abandoned = true
    if (this.#unconfirmed === 0) this.#unbind()
  }

  #writeKeyed(connection: Connection, payload: Encoded, causal: CausalContext | null, key: string): void {
    const { codec } = connection.settings
    if (causal === null && fitsKeyedHead(payload)) {
      this.#keyedHead ??= PreparedHead.keyedPublish(codec, this.#stream, this.#flags, this.#channel, NO_CAUSE)
      this.#keyedHead.writeKeyed(connection.outbox, payload, key)
      return
    }
    connection.write({
      type: 'Publish',
      flags: this.#flags | PUBLISH_HAS_KEY,
      streamId: this.#stream,
      channel: this.#channel,
      envelope: { schemaId: NO_SCHEMA, causal: causal ?? NO_CAUSE, payload: toBytes(payload) },
      idempotencyKey: key,
    })
  }

  #answered(count: number): void {
    this.#unconfirmed = Math.max(0, this.#unconfirmed - count)
    // The server answers in order: this one was among those that the Ping underway is about, if there is one.
    this.#marked = Math.max(0, this.#marked - count)
  }

  #bind(connection: Connection): void {
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    this.#flags = connection.granted(Capability.UNACKNOWLEDGED_PUBLISH) ? PUBLISH_NO_ACK : 0
    this.#head = this.#makeHead(connection, null)
    this.#keyedHead = null
  }

  #makeHead(connection: Connection, causal: CausalContext | null): PreparedHead {
    return PreparedHead.publish(connection.settings.codec, this.#stream, this.#flags, this.#channel, causal ?? NO_CAUSE)
  }

  #unbind(): void {
    this.#connection?.streams.close(this.#stream)
    this.#forget()
  }

  #forget(): void {
    this.#connection?.confirmation.forget(this)
    this.#connection = null
    this.#head = null
    this.#keyedHead = null
    this.#unconfirmed = 0
    this.#marked = 0
  }
}
