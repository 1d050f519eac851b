import type { Socket } from 'node:net'
import type { Codec } from '../codec/index.ts'
import type { LiminalError } from '../errors.ts'
import { sayConnectionRefused } from './diagnostics.ts'
import { refusalOf } from './refusals.ts'

/** Milliseconds for the refusal to reach the peer (spec post-0.2.1 §5.2). */
const LINGER_MS = 250
/** Refused connections that are told why at once. More are closed without a word, so that refusals cannot use up the descriptors. */
const MOST_AT_ONCE = 256

/** Connections that are not taken: each is told why, and closed. */
export class Refused {
  readonly #sockets = new Set<Socket>()

  refuse(socket: Socket, codec: Codec, error: LiminalError): void {
    sayConnectionRefused({ remoteAddress: `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`, error })
    if (this.#sockets.size >= MOST_AT_ONCE) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    timer.unref()
    // A peer that is gone before it reads this has lost nothing: its `close` follows.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
    })
    // Unread bytes would turn the close into a reset, and the refusal would be lost.
    socket.resume()
    socket.end(codec.encode({ type: 'ConnectError', flags: 0, streamId: 0, ...refusalOf(error, 0) }))
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}
