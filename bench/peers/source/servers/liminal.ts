import { codecInfo } from '../../../../dist/codec/index.js'
import { createServer } from '../../../../dist/index.js'
import type { StartServer } from './server.ts'

/** A server with its defaults, but for the number of connections: the idle ones are more than the default allows. */
export const start: StartServer = async () => {
  const { address } = await createServer({ port: 0, limits: { connections: 4_096 } })
  return { port: address.port, receivePort: address.port, about: `${codecInfo().codec} codec` }
}
