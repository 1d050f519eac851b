import { createServer } from '../../server/index.ts'
import type { Message } from '../child.ts'
import { Parent } from '../parent.ts'
import { ORDERS, type ServerUp } from './messages.ts'

const parent = new Parent<Message, ServerUp>(() => undefined)

createServer({ port: 0, channels: [{ name: ORDERS }] }).then(
  ({ url }) => parent.tell({ type: 'listening', url }),
  parent.fail,
)
