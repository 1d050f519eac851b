import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'

/** The answer of a behaviour that has to wait for room on its way back. It belongs to one connection and is dropped with it. */
export class InboundReply extends Call {
  readonly what = 'The reply'
  readonly bytes: number
  readonly #core: ClientCore
  readonly #connection: Connection
  readonly #stream: number
  readonly #id: number | bigint
  #reply: Uint8Array

  /** @param bytes of its frame. */
  constructor(
    core: ClientCore,
    connection: Connection,
    stream: number,
    id: number | bigint,
    reply: Uint8Array,
    bytes: number,
  ) {
    super()
    this.#core = core
    this.#connection = connection
    this.#stream = stream
    this.#id = id
    this.#reply = reply
    this.bytes = bytes
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
    if (connection === this.#connection)
      this.#core.frames.request(connection.outbox, this.#stream, this.#id, null, this.#reply)
  }

  /** The bus is closed, and with it the conversation: nobody waits. */
  end(): void {}
}
