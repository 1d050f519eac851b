import type { FrameBatch } from '../codec/index.ts'
import { causalBytes } from '../conversation/index.ts'
import { Deque } from '../deque.ts'
import type { LiminalError } from '../errors.ts'
import { type Encoded, toBytes } from '../payload-text.ts'
import { fitsKeyedHead, PreparedHead } from '../pressure/index.ts'
import {
  ACK_DELIVERED,
  ACK_DUPLICATE,
  ACK_POSITION,
  Capability,
  type CausalContext,
  Column,
  FrameType,
  HEAD_WIDTH,
  NO_CAUSE,
  NO_POSITION,
  NO_SCHEMA,
  PUBLISH_HAS_KEY,
  ROW_WIDTH,
} from '../protocol/index.ts'
import type { ClientCore, Expiring } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame, emptyPublishBytes, keyBytes } from './frame-size.ts'
import { errorFromPeer } from './peer-error.ts'
import type { PublishRequest } from './publish-request.ts'
import type { StreamOwner } from './streams.ts'

/**
 * The acknowledged publishes of one channel handle. They share a stream, on which the server answers in order: the oldest request underway is the one that
 * the next answer is for.
 */
export class PublishLane implements StreamOwner, Expiring {
  readonly what: string
  readonly #core: ClientCore
  readonly #channel: string
  readonly #emptyBytes: number
  readonly #underway = new Deque<PublishRequest>()
  #connection: Connection | null = null
  #stream = 0
  #head: PreparedHead | null = null
  #keyedHead: PreparedHead | null = null
  /** Where in the log the next acknowledged publish is; `null`: the server has not said, or the channel is not durable. */
  #position: bigint | null = null
  /** Nobody can publish here any more. */
  #abandoned = false

  constructor(core: ClientCore, channel: string) {
    this.#core = core
    this.#channel = channel
    this.#emptyBytes = emptyPublishBytes(channel)
    this.what = `The publish to '${channel}'`
  }

  get maxRetainedBytes(): number {
    return this.#core.maxRetainedBytes
  }

  get timeoutMs(): number {
    return this.#core.settings.requestTimeoutMs
  }

  /** Requests without an answer, those included that nobody waits for any more. */
  get underway(): number {
    return this.#underway.size
  }

  /** Bytes of the frame at most. @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  checkedBytes(payload: Encoded, key: string | null, causal: CausalContext | null): number {
    const others = this.#emptyBytes + keyBytes(key) + causalBytes(causal)
    return checkFrame(this.what, others, payload, this.#core.settings.frameBytes)
  }

  /** Writes a request's frame and waits for its answer. Nothing has changed if it throws. */
  write(connection: Connection, request: PublishRequest, payload: Encoded): void {
    if (this.#connection !== connection) this.#bind(connection)
    const { key, causal } = request
    if (causal === null && key === null) this.#plainHead(connection).write(connection.outbox, payload)
    else if (causal === null && key !== null && fitsKeyedHead(payload)) {
      this.#keyedHead ??= PreparedHead.keyedPublish(connection.settings.codec, this.#stream, 0, this.#channel, NO_CAUSE)
      this.#keyedHead.writeKeyed(connection.outbox, payload, key)
    } else {
      connection.write({
        type: 'Publish',
        flags: key === null ? 0 : PUBLISH_HAS_KEY,
        streamId: this.#stream,
        channel: this.#channel,
        envelope: { schemaId: NO_SCHEMA, causal: causal ?? NO_CAUSE, payload: toBytes(payload) },
        idempotencyKey: key,
      })
    }
    // Answers are told apart by their order alone: what could not be written must not wait for one.
    this.#underway.push(request)
    connection.window.wrote(request.bytes)
  }

  receive(batch: FrameBatch, row: number, count: number): void {
    const connection = this.#connection
    if (connection === null) return
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const type = batch.columns[at + Column.TYPE]
    if (type === FrameType.PublishAck) {
      const flags = batch.columns[at + Column.FLAGS]
      if ((flags & ACK_POSITION) !== 0 && connection.granted(Capability.DURABLE)) {
        this.#position = positionIn(batch.id(row + count - 1))
        return
      }
      const delivered = (flags & ACK_DELIVERED) !== 0
      const duplicate = (flags & ACK_DUPLICATE) !== 0
      let position = this.#position
      for (let offset = 0; offset < count; offset++) {
        const request = this.#answered(connection)
        if (request === undefined) {
          connection.violated(`more answers than publishes to '${this.#channel}' came`)
          return
        }
        if (!request.settled) {
          const messageId = batch.id(row + offset)
          request.accept({ messageId, position, delivered, deliveredTo: delivered ? null : 0, duplicate })
        }
        if (position !== null) position += 1n
      }
      this.#position = position
    } else if (type === FrameType.PublishError) {
      const frame = batch.frame(row)
      const request = this.#answered(connection)
      if (request === undefined) {
        connection.violated(`more answers than publishes to '${this.#channel}' came`)
        return
      }
      if (frame.type === 'PublishError') request.abandon(errorFromPeer(frame))
    }
    this.#core.acknowledged()
    if (this.#abandoned && this.#underway.size === 0) this.#unbind()
  }

  lost(error: LiminalError): void {
    this.#forget()
    for (const request of this.#underway.take()) request.lost(error, (again) => this.#core.retry(again))
  }

  expire(tick: number): boolean {
    let waiting = false
    for (let index = 0; index < this.#underway.size; index++) {
      const request = this.#underway.at(index)
      if (request?.expire(tick)) waiting = true
    }
    return waiting
  }

  /** The handle is gone: gives the stream back as soon as nothing is underway on it. */
  abandon(): void {
    this.#abandoned = true
    if (this.#underway.size === 0) this.#unbind()
  }

  #answered(connection: Connection): PublishRequest | undefined {
    const request = this.#underway.shift()
    if (request === undefined) return undefined
    connection.unacknowledged--
    if (request.key !== null) connection.retainedBytes -= request.bytes
    return request
  }

  #plainHead(connection: Connection): PreparedHead {
    this.#head ??= PreparedHead.publish(connection.settings.codec, this.#stream, 0, this.#channel, NO_CAUSE)
    return this.#head
  }

  #bind(connection: Connection): void {
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    this.#head = null
    this.#keyedHead = null
    this.#core.lanes.add(this)
  }

  #unbind(): void {
    this.#connection?.streams.close(this.#stream)
    this.#forget()
  }

  #forget(): void {
    this.#connection = null
    this.#head = null
    this.#keyedHead = null
    this.#position = null
    this.#core.lanes.delete(this)
  }
}

function positionIn(value: bigint): bigint | null {
  return value === NO_POSITION ? null : value
}
