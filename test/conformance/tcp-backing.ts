import { type Bus, createBus } from '../../ts/bus/index.ts'
import { type ClientOptions, connect } from '../../ts/client/index.ts'
import { type Codec, nativeCodec } from '../../ts/codec/index.ts'
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
        const client = await connect(server.url, clientOptions)
        clients.push(client)
        return client
      },
      async close() {
        for (const client of clients) await client.close()
        await server.close()
        await local.close()
      },
    }
  }
}
