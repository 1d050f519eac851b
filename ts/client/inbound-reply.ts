import { NO_CAUSE, NO_SCHEMA } from '../protocol/index.ts'
import { Call } from './backlog.ts'
import type { Connection } from './connection.ts'

/** The answer of a behaviour, or a part of it, that may have to wait for room on its way back. It belongs to one connection and is dropped with it. */
export class InboundReply extends Call {
  readonly what = 'The reply'
  readonly bytes: number
  readonly #connection: Connection
  readonly #stream: number
  readonly #id: number | bigint
  readonly #flags: number
  #reply: Uint8Array

  /** @param bytes of its frame. @param flags of it. */
  constructor(
    connection: Connection,
    stream: number,
    id: number | bigint,
    reply: Uint8Array,
    bytes: number,
    flags: number,
  ) {
    super()
    this.#connection = connection
    this.#stream = stream
    this.#id = id
    this.#reply = reply
    this.bytes = bytes
    this.#flags = flags
  }

  override park(): void {
    this.#reply = new Uint8Array(this.#reply)
  }

  override survives(): boolean {
    return false
  }

  /** The behaviour has answered: its process may leave, and the reply goes first (design §7). */
  override owed(connection: Connection): boolean {
    return connection === this.#connection
  }

  write(connection: Connection): void {
    if (connection !== this.#connection) return
    connection.write({
      type: 'ConversationMessage',
      flags: this.#flags,
      streamId: this.#stream,
      conversationId: BigInt(this.#id),
      envelope: { schemaId: NO_SCHEMA, causal: NO_CAUSE, payload: this.#reply },
    })
  }

  /** The bus is closed, and with it the conversation: nobody waits. */
  end(): void {}
}
