import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { LiminalError } from '../errors.ts'
import { sayAcceptFailed } from './diagnostics.ts'

/** Listens, and hands over every connection. */
export class Listener {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** Resolves once connections are accepted. @throws LiminalError `LISTEN_FAILED` that names the address. */
  static open(host: string, port: number, onConnection: (socket: Socket) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      // Half-open: a peer that has sent its last request still gets the answers. Keep-alive: the system notices a machine that is gone.
      const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, onConnection)
      const failed = (cause: Error): void => reject(listenFailed(host, port, cause))
      server.once('error', failed)
      server.listen({ host, port }, () => {
        server.off('error', failed)
        // Out of descriptors, say. That connection is lost; the listener goes on.
        server.on('error', (error) => sayAcceptFailed({ error }))
        resolve(new Listener(server))
      })
    })
  }

  get address(): AddressInfo {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') {
      throw new LiminalError('CLOSED', 'The server does not listen any more; it has no address.')
    }
    return address
  }

  /** Accepts no more. Connections accepted before live on; resolves when the last of them is closed. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      // An error says that it was closed before, which is as good.
      this.#server.close(() => resolve())
    })
  }
}

function listenFailed(host: string, port: number, cause: Error & { code?: string }): LiminalError {
  const hints: Record<string, string> = {
    EADDRINUSE: 'another process listens there already; choose another port, or 0 for a free one',
    EACCES: 'this user may not listen there; choose a port from 1024 up',
    EADDRNOTAVAIL: 'this machine does not have that address',
    ENOTFOUND: 'the host name is not known',
  }
  const hint = hints[cause.code ?? ''] ?? cause.message
  return new LiminalError('LISTEN_FAILED', `The server cannot listen on ${host}:${port}: ${hint}.`, { cause })
}
