/**
 * A server in a process of its own: prints its address, and answers questions on stdin: `memory` (after a collection), `sessions`, and `quiet N`, once no more
 * than N connections are left.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createInterface } from 'node:readline'
import { createServer, SESSION_CLOSED, type ServerOptions } from '../../ts/server/index.ts'

const options: ServerOptions & { channels?: { name: string }[] } = JSON.parse(process.argv[2] ?? '{}')
const server = await createServer({ port: 0, createChannels: false, ...options })
await server.bus.respond('honest', (request) => request, { payload: 'bytes' }).ready()

const say = (value: object): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Resolves when there are at most `most` connections. */
function quiet(most: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (server.sessions.length > most) return
      unsubscribe(SESSION_CLOSED, look)
      resolve()
    }
    subscribe(SESSION_CLOSED, look)
    look()
  })
}

say({ address: server.address })
for await (const line of createInterface({ input: process.stdin })) {
  const [question, most] = line.split(' ')
  if (question === 'memory') {
    globalThis.gc?.()
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
    say({ rss, heapUsed, arrayBuffers })
  } else {
    if (question === 'quiet') await quiet(Number(most))
    say({ sessions: server.sessions.length })
  }
}
await server.close({ graceMs: 0 })
