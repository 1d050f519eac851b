// A liminal server with a durable channel.
import { createServer } from '../../../dist/index.js'
import { answer } from '../process.mjs'
import { durableOptions } from '../systems/liminal.mjs'

answer({
  async serve({ directory }) {
    const startedAt = performance.now()
    const server = await createServer({ port: 0, ...durableOptions(directory) })
    return { url: server.url, readyMs: performance.now() - startedAt, sinceStartMs: performance.now() }
  },
  usage() {
    const { user, system } = process.cpuUsage()
    return { cpuUs: user + system }
  },
})
