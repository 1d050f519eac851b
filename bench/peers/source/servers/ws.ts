import { createServer } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import { listen } from './listen.ts'
import type { StartServer } from './server.ts'

const ACKNOWLEDGEMENT = Buffer.alloc(4)

/** What most people write first: a WebSocket server that sends every message on. The path says what a connection is. */
export const start: StartServer = async ({ fail }) => {
  const subscribers = new Set<WebSocket>()
  const askers = new Set<WebSocket>()
  const responders = new Set<WebSocket>()

  const accept = (socket: WebSocket, path: string) => {
    switch (path) {
      case '/publish':
        socket.on('message', sendTo(subscribers))
        break
      case '/publish-acknowledged':
        socket.on('message', sendTo(subscribers)).on('message', () => socket.send(ACKNOWLEDGEMENT))
        break
      case '/subscribe':
        join(socket, subscribers)
        break
      case '/ask':
        join(socket, askers).on('message', sendTo(responders))
        break
      case '/respond':
        join(socket, responders).on('message', sendTo(askers))
        break
      default:
        fail(new Error(`nobody serves ${path}`))
    }
  }

  const server = createServer()
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket, { url }) => {
    socket.on('error', fail)
    accept(socket, url ?? '')
  })
  const port = await listen(server)
  return { port, receivePort: port, about: 'ws, fan-out of our own' }
}

function join(socket: WebSocket, group: Set<WebSocket>): WebSocket {
  group.add(socket)
  return socket.on('close', () => group.delete(socket))
}

function sendTo(group: ReadonlySet<WebSocket>): (message: Buffer) => void {
  return (message) => {
    for (const socket of group) socket.send(message)
  }
}
