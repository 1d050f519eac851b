import { connect, type Socket } from 'node:net'

const READ_BYTES = 64 * 1024

/** A raw connection whose loss ends the run. */
export function open(port: number, fail: (error: unknown) => void): Promise<Socket> {
  return opened(connect({ host: '127.0.0.1', port, noDelay: true }), fail)
}

/** As {@link open}, but everything is read into the same memory, which is valid until `read` returns. */
export function openInPlace(
  port: number,
  fail: (error: unknown) => void,
  read: (chunk: Buffer, length: number) => void,
): Promise<Socket> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  const callback = (length: number) => {
    read(buffer, length)
    return true
  }
  return opened(connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer, callback } }), fail)
}

async function opened(socket: Socket, fail: (error: unknown) => void): Promise<Socket> {
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject)
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the raw connection was closed')))
  return socket
}

/** The empty frame by which the server says that a connection counts as a receiver. */
export class Greeting {
  readonly awaited: Promise<void>
  #resolve: () => void = () => undefined

  constructor() {
    this.awaited = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  came(): void {
    this.#resolve()
  }
}
