import { codecInfo } from '../../../../dist/codec/index.js'
import { createServer } from '../../../../dist/index.js'
import { CHANNEL } from '../clients/client.ts'
import type { StartServer } from './server.ts'

/** A server with its defaults, but for the number of connections: the idle ones are more than the default allows. With W5 the channel is durable. */
export const start: StartServer = async ({ workload, directory }) => {
  const durable = workload === 'W5' ? { dataDir: directory, channels: [{ name: CHANNEL, durable: true }] } : {}
  const { address } = await createServer({ port: 0, limits: { connections: 4_096 }, ...durable })
  return { port: address.port, receivePort: address.port, about: `${codecInfo().codec} codec` }
}
