import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { ALL_CAPABILITIES } from '../../ts/protocol/index.ts'
import { keep } from './harness.ts'

/** A server that shakes hands, reads everything and answers nothing. */
async function silentServer(): Promise<{ url: string; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => {
      const selectedVersion = { major: 1, minor: 0 }
      const capabilities = ALL_CAPABILITIES
      socket.write(typescriptCodec.encode({ type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion, capabilities }))
      socket.resume()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  keep({
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return { url: `liminal://127.0.0.1:${address.port}`, sockets }
}

it('ends every request when the connection is lost, however many there are', async () => {
  const { url, sockets } = await silentServer()
  const bus = keep(await connect(url, { reconnect: false }))
  // More than the arguments of one call may be, beside those that have slots in the table of streams.
  const count = 200_000
  const codes = new Map<string, number>()
  const asks: Promise<void>[] = []
  while (asks.length < count) {
    for (let index = 0; index < 5_000; index++) {
      asks.push(
        bus.ask('nobody', null).then(
          () => undefined,
          (error: unknown) => {
            const code = error instanceof LiminalError ? error.code : String(error)
            codes.set(code, (codes.get(code) ?? 0) + 1)
          },
        ),
      )
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const socket of sockets) socket.destroy()
  await Promise.all(asks)
  // On a busy machine the first ones may have waited too long already.
  expect((codes.get('CONNECTION_LOST') ?? 0) + (codes.get('TIMEOUT') ?? 0)).toBe(count)
  expect(codes.get('CONNECTION_LOST')).toBeGreaterThan(0)
})
