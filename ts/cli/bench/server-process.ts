import { codec } from '../../codec/index.ts'
import { createServer } from '../../server/index.ts'
import { Parent } from '../parent.ts'
import { peakRssBytes, type ServerDown, type ServerUp } from './messages.ts'

// The server of a benchmark, in a process of its own so that its CPU time is its own.
const parent = new Parent<ServerDown, ServerUp>(({ type }) => {
  switch (type) {
    case 'usage': {
      const { user, system } = process.cpuUsage()
      parent.tell({ type: 'usage', cpuMicroseconds: user + system, peakRssBytes: peakRssBytes() })
    }
  }
})

createServer({ port: 0, createChannels: true }).then(
  (server) => parent.tell({ type: 'listening', url: server.url, codec: codec.name }),
  parent.fail,
)
