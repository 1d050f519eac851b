import { createServer } from '../../server/index.ts'
import { Parent } from '../parent.ts'
import { type DurableServerDown, PAYMENTS, type ServerUp } from './messages.ts'

const parent = new Parent<DurableServerDown, ServerUp>(({ port, dataDir }) => {
  createServer({ port, dataDir, channels: [{ name: PAYMENTS, durable: true }] }).then(
    ({ url }) => parent.tell({ type: 'listening', url }),
    parent.fail,
  )
})
