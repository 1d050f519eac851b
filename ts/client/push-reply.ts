import type { Encoded } from '../payload-text.ts'
import { keep, toBytes } from '../payload-text.ts'
import { HEADER_BYTES } from '../protocol/index.ts'
import { Call } from './backlog.ts'
import type { Connection } from './connection.ts'

/** The stream of pushes and their answers (spec server §8.1). */
export const PUSH_STREAM = 1

/** Bytes of a PushReply frame without its payload. */
export const EMPTY_PUSH_REPLY_BYTES = HEADER_BYTES + 8 + 4

/** Writes a PushReply. */
export function writePushReply(connection: Connection, key: number | bigint, flags: number, payload: Encoded): void {
  const correlationId = BigInt(key)
  connection.write({ type: 'PushReply', flags, streamId: PUSH_STREAM, correlationId, payload: toBytes(payload) })
}

/** The answer to a push that has to wait for room on its way back. It belongs to one connection and is dropped with it. */
export class PushReplyCall extends Call {
  readonly what = 'The reply'
  readonly bytes: number
  readonly #connection: Connection
  readonly #key: number | bigint
  #reply: Encoded

  /** @param bytes of its frame, at most. */
  constructor(connection: Connection, key: number | bigint, reply: Encoded, bytes: number) {
    super()
    this.#connection = connection
    this.#key = key
    this.#reply = reply
    this.bytes = bytes
  }

  override park(): void {
    this.#reply = keep(this.#reply)
  }

  override survives(): boolean {
    return false
  }

  /** The work is done: its process may leave, and the reply goes first (design §7). */
  override owed(connection: Connection): boolean {
    return connection === this.#connection
  }

  write(connection: Connection): void {
    if (connection === this.#connection) writePushReply(connection, this.#key, 0, this.#reply)
  }

  /** The bus is closed, and the push with it: nobody waits. */
  end(): void {}
}
