import type { Codec } from '../codec/index.ts'
import { type CausalContext, NO_CAUSE, REPLY_REQUESTED } from '../protocol/index.ts'
import type { Connection } from './connection.ts'
import type { Encoded } from './payload-text.ts'
import { aim, PreparedHead } from './prepared-head.ts'

/** Subjects whose opens are kept ready. */
const KEPT_SUBJECTS = 256

/** Writes the frames of conversations from prepared bytes. One for all connections: nothing in it belongs to any. */
export class ConversationFrames {
  readonly #codec: Codec
  readonly #opens = new Map<string, Uint8Array>()
  readonly #close: Uint8Array
  readonly #request: PreparedHead
  readonly #message: PreparedHead

  constructor(codec: Codec) {
    this.#codec = codec
    this.#close = codec.encode({
      type: 'ConversationClose',
      flags: 0,
      streamId: 1,
      conversationId: 0n,
      reasonCode: null,
      message: null,
    })
    this.#request = PreparedHead.message(codec, REPLY_REQUESTED, NO_CAUSE)
    this.#message = PreparedHead.message(codec, 0, NO_CAUSE)
  }

  open(connection: Connection, stream: number, conversationId: bigint, subject: string, flags: number): void {
    this.#write(connection, this.#openOf(subject), stream, conversationId, flags)
  }

  close(connection: Connection, stream: number, conversationId: bigint, flags: number): void {
    this.#write(connection, this.#close, stream, conversationId, flags)
  }

  /** A message that wants a reply, or is one. */
  request(connection: Connection, stream: number, id: bigint, causal: CausalContext | null, payload: Encoded): void {
    this.#send(connection, this.#request, REPLY_REQUESTED, stream, id, causal, payload)
  }

  /** A message that wants no reply. */
  message(connection: Connection, stream: number, id: bigint, causal: CausalContext | null, payload: Encoded): void {
    this.#send(connection, this.#message, 0, stream, id, causal, payload)
  }

  #send(
    connection: Connection,
    prepared: PreparedHead,
    flags: number,
    stream: number,
    id: bigint,
    causal: CausalContext | null,
    payload: Encoded,
  ): void {
    const head = causal === null ? prepared : PreparedHead.message(this.#codec, flags, causal)
    head.aim(stream, id)
    head.write(connection.outbox, payload)
  }

  #write(connection: Connection, frame: Uint8Array, stream: number, conversationId: bigint, flags: number): void {
    frame[1] = flags
    aim(frame, stream, conversationId)
    connection.outbox.append(frame)
  }

  #openOf(subject: string): Uint8Array {
    const kept = this.#opens.get(subject)
    if (kept !== undefined) return kept
    const open = this.#codec.encode({ type: 'ConversationOpen', flags: 0, streamId: 1, conversationId: 0n, subject })
    if (this.#opens.size === KEPT_SUBJECTS) this.#opens.clear()
    this.#opens.set(subject, open)
    return open
  }
}
