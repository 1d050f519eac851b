import type { MessageLike, Writable } from 'zeromq'

/** A ZeroMQ socket takes one send at a time and says only by its promise whether it took it at once: the others queue here. */
export class Sender<Message extends MessageLike | MessageLike[]> {
  readonly #socket: Writable<Message>
  readonly #fail: (error: unknown) => void
  #queue: Message[] = []
  #sending: Promise<void> | null = null

  constructor(socket: Writable<Message>, fail: (error: unknown) => void) {
    this.#socket = socket
    this.#fail = fail
  }

  send(message: Message): void {
    this.#queue.push(message)
    this.#sending ??= this.#drain().catch(this.#fail)
  }

  /** Resolves when the socket has taken everything; null if it has. */
  sent(): Promise<void> | null {
    return this.#sending
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const messages = this.#queue
      this.#queue = []
      for (const message of messages) await this.#socket.send(message)
    }
    this.#sending = null
  }
}
