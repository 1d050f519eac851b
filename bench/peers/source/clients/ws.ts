import { WebSocket } from 'ws'
import type { AcknowledgedPublisher, Asker, Client, Publisher } from './client.ts'
import { Correlation } from './correlation.ts'

/** Bytes that may wait in the client. */
const UNSENT = 1024 * 1024

/** WebSockets against a server of ours that fans out (`servers/ws.ts`): the path says what a connection is. */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const socket = await open(endpoint.port, 'publish', fail)
    let last: Promise<void> | null = null
    return {
      publish(payload) {
        socket.send(payload)
        return true
      },
      room() {
        if (socket.bufferedAmount < UNSENT) return null
        // Resolves once everything before it is written.
        last ??= new Promise((resolve, reject) => {
          socket.ping(undefined, undefined, (error) => {
            last = null
            if (error) reject(error)
            else resolve()
          })
        })
        return last
      },
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const socket = await open(endpoint.port, 'publish-acknowledged', fail)
    socket.on('message', () => acknowledged(1))
    return {
      publish(payload) {
        socket.send(payload)
      },
    }
  },

  async subscribe({ endpoint, fail }, take) {
    const socket = await open(endpoint.port, 'subscribe', fail)
    onBinary(socket, (message) => take(message, 0, message.length))
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const socket = await open(endpoint.port, 'ask', fail)
    const correlation = new Correlation()
    onBinary(socket, (message) => correlation.reply(message, 0, message.length))
    return {
      ask(payload, replied) {
        socket.send(correlation.request(payload, replied))
      },
    }
  },

  async responder({ endpoint, fail }, take) {
    const socket = await open(endpoint.port, 'respond', fail)
    onBinary(socket, (message) => {
      Correlation.take(message, 0, message.length, take)
      socket.send(message)
    })
  },
}

function onBinary(socket: WebSocket, take: (message: Buffer) => void): void {
  // The default binary type of `ws` is a Buffer.
  socket.on('message', (message) => take(message as Buffer))
}

/** A connection that the server has taken note of. Its loss ends the run. */
async function open(port: number, path: string, fail: (error: unknown) => void): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${path}`, { perMessageDeflate: false })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve).once('error', reject)
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the WebSocket was closed')))
  return socket
}
