import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

/**
 * A shell command that tells when it starts and when it dies, and does not end by itself: it holds a connection to us, and prints what we send on it.
 */
export class HangingCommand {
  readonly #server: Server
  readonly line: string
  /** Resolves once it runs. */
  readonly started: Promise<void>
  /** Resolves once it has died. */
  readonly died: Promise<void>
  readonly #connected: Promise<Socket>

  private constructor(server: Server, port: number) {
    this.#server = server
    this.line = `"${process.execPath}" -e "require('net').connect(${port}, '127.0.0.1').pipe(process.stdout)"`
    const connected = once(server, 'connection').then(([socket]: Socket[]) => socket)
    this.#connected = connected
    this.started = connected.then(() => undefined)
    this.died = connected.then(
      (socket) =>
        new Promise((resolve) => {
          // A killed process may reset the connection; that it is closed is what counts.
          socket.on('error', () => undefined)
          socket.on('close', () => resolve())
          socket.resume()
        }),
    )
  }

  static async create(): Promise<HangingCommand> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('not a TCP server')
    return new HangingCommand(server, address.port)
  }

  /** Lets it print its output and end. */
  async finish(output: string): Promise<void> {
    const socket = await this.#connected
    socket.end(output)
  }

  close(): void {
    this.#server.close()
  }
}
