import { createServer, type Server, type Socket } from 'node:net'

/** Listens on a free port of 127.0.0.1 and gives that port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return address.port
}

/** Accepts TCP connections without Nagle's algorithm; an error of one ends the run. */
export function acceptor(fail: (error: unknown) => void, accept: (socket: Socket) => void): Promise<number> {
  return listen(
    createServer({ noDelay: true }, (socket) => {
      socket.on('error', fail)
      accept(socket)
    }),
  )
}
