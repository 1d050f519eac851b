import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Where clients connect while servers come and go behind it: connections that come between two servers are held until the next one listens. */
export class Relay {
  readonly url: string
  readonly #listener: Server
  readonly #held: Socket[] = []
  readonly #passed = new Set<Socket>()
  #target: number | null = null

  private constructor(listener: Server, port: number) {
    this.#listener = listener
    this.url = `liminal://127.0.0.1:${port}`
    listener.on('connection', (socket) => this.#accept(socket))
  }

  static async open(): Promise<Relay> {
    const listener = createServer({ noDelay: true }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    if (address === null || typeof address === 'string') throw new Error('The relay has no port.')
    return new Relay(listener, address.port)
  }

  /** From now on connections go to this port, those that were held first. */
  lead(port: number): void {
    this.#target = port
    for (const socket of this.#held.splice(0)) this.#pass(socket, port)
  }

  /** The server is gone, and with it every connection. */
  cut(): void {
    this.#target = null
    for (const socket of this.#passed) socket.destroy()
    this.#passed.clear()
  }

  async close(): Promise<void> {
    this.cut()
    for (const socket of this.#held.splice(0)) socket.destroy()
    const closed = once(this.#listener, 'close')
    this.#listener.close()
    await closed
  }

  #accept(socket: Socket): void {
    socket.on('error', () => undefined)
    if (this.#target === null) this.#held.push(socket)
    else this.#pass(socket, this.#target)
  }

  #pass(socket: Socket, port: number): void {
    const server = connect({ port, host: '127.0.0.1', noDelay: true })
    server.on('error', () => undefined)
    this.#passed.add(socket).add(server)
    const over = () => {
      for (const each of [socket, server]) {
        each.destroy()
        this.#passed.delete(each)
      }
    }
    socket.once('close', over)
    server.once('close', over)
    socket.pipe(server)
    server.pipe(socket)
  }
}
