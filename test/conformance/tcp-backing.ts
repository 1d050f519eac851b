import { type Bus, createBus } from '../../ts/bus/index.ts'
import { type ClientOptions, connect } from '../../ts/client/index.ts'
import { type Codec, nativeCodec } from '../../ts/codec/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { type ServerOptions, serve } from '../../ts/server/index.ts'
import type { BackingFactory } from './backing.ts'

/** The codec over the addon. A machine without it cannot run these tests, and must not pass them. */
export function requireNative(): Codec {
  if (nativeCodec === null)
    throw new Error('The native codec does not load here; build it with `npm run build:native`.')
  return nativeCodec
}

/** A server over TCP on this machine. Every bus is a client with a connection of its own. */
export function tcpBacking(serverOptions: ServerOptions, clientOptions: ClientOptions): BackingFactory {
  return async ({ smallQueues = false, leaseMs, ...busOptions }) => {
    const local = await createBus(busOptions)
    const limits = smallQueues ? { limits: { outboxBytes: 256 * 1024, subscriptionQueueBytes: 64 * 1024 } } : {}
    const workers = leaseMs === undefined ? {} : { workers: { leaseMs } }
    const server = await serve(local, { port: 0, ...serverOptions, ...limits, ...workers })
    const clients: Bus[] = []
    return {
      async bus() {
        // Who is killed stays dead.
        const client = await connect(server.url, { reconnect: false, ...clientOptions })
        clients.push(client)
        return client
      },
      crash(bus) {
        // Connections are counted as they come.
        const session = server.sessions.find(({ id }) => id === clients.indexOf(bus) + 1)
        if (session === undefined) throw new Error('This bus has no connection any more.')
        local.processes.exit(session.pid, exitKilled())
      },
      async settled() {
        // Twice there and back: what one side was told, and what it said to that.
        for (const _ of [1, 2]) await Promise.all(clients.map((client) => client.ask('nobody', null).catch(() => {})))
      },
      conversations: () => local.conversations().length,
      async close() {
        for (const client of clients) await client.close()
        await server.close()
        await local.close()
      },
    }
  }
}
