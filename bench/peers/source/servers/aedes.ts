import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import { listen } from './listen.ts'
import type { StartServer } from './server.ts'

/** aedes with its defaults: everything in memory. */
export const start: StartServer = async ({ fail }) => {
  const broker = await Aedes.createBroker()
  broker.on('clientError', (_client, error) => fail(error))
  broker.on('connectionError', (_client, error) => fail(error))
  const port = await listen(createServer({ noDelay: true }, broker.handle))
  return { port, receivePort: port, about: 'aedes' }
}
