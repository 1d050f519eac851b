import type { Take } from './client.ts'

/** Bytes before the payload of every request and reply. */
const HEAD_BYTES = 4

/** Requests and replies for systems that only know messages: a number in front of the payload says which reply belongs to which request. */
export class Correlation {
  readonly #waiting = new Map<number, Take>()
  #last = 0

  /** The message to send for a request. */
  request(payload: Buffer, replied: Take): Buffer {
    this.#last = (this.#last + 1) >>> 0
    this.#waiting.set(this.#last, replied)
    const message = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
    message.writeUInt32LE(this.#last)
    payload.copy(message, HEAD_BYTES)
    return message
  }

  /** Hands a reply to whoever waits for it. @throws Error if nobody does. */
  reply(bytes: Uint8Array, offset: number, length: number): void {
    const id = new DataView(bytes.buffer, bytes.byteOffset + offset, HEAD_BYTES).getUint32(0, true)
    const replied = this.#waiting.get(id)
    if (replied === undefined) throw new Error(`a reply came that nobody waits for (request ${id})`)
    this.#waiting.delete(id)
    replied(bytes, offset + HEAD_BYTES, length - HEAD_BYTES)
  }

  /** The payload of a request, as the responder sees it. */
  static take(bytes: Uint8Array, offset: number, length: number, take: Take): void {
    take(bytes, offset + HEAD_BYTES, length - HEAD_BYTES)
  }
}
