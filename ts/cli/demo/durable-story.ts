import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Delivery } from '../../bus/index.ts'
import { LiminalError } from '../../errors.ts'
import type { Cast } from './cast.ts'
import { type DurableServerDown, PAYMENTS, type Payment, type ServerUp } from './messages.ts'
import type { Narrator } from './story.ts'

const PAYMENT_COUNT = 10
/** Payments that the cursor accepts before the server is killed. */
const BEFORE_KILL = 4
const CURSOR = 'billing'

/** A server that is killed without warning, and a cursor that goes on where it was. */
export async function loseServer(cast: Cast, narrate: Narrator): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'liminal-demo-'))
  try {
    await play(cast, narrate, dataDir)
  } finally {
    await cast.dismissServers()
    await rm(dataDir, { recursive: true })
  }
}

async function play(cast: Cast, narrate: Narrator, dataDir: string): Promise<void> {
  const start = async (port: number) => {
    const server = cast.startServer<DurableServerDown, ServerUp>('durable server', './durable-server-process.js')
    const { url } = await server.request({ type: 'start', port, dataDir }, 'listening')
    return { server, url }
  }
  const first = await start(0)
  narrate('server 2', `process ${first.server.pid} stores the channel "${PAYMENTS}" in a directory`)
  const bus = await cast.connect(first.url)
  const payments: Channel<Payment> = bus.channel(PAYMENTS)
  for (let id = 1; id <= PAYMENT_COUNT; id++) await payments.publish({ id }, { idempotencyKey: `payment-${id}` })
  narrate('we', `publish ${PAYMENT_COUNT} payments; each is on disk before it is acknowledged`)

  const taken: number[] = []
  const before = payments.subscribe({ cursor: CURSOR, from: 'earliest', accept: 'explicit' })
  for await (const delivery of before) {
    taken.push(delivery.value.id)
    delivery.accept()
    if (taken.length < BEFORE_KILL) continue
    await before.checkpoint()
    break
  }
  narrate('cursor', `"${CURSOR}" has accepted payments ${taken.join(', ')}`)

  const killedAt = performance.now()
  process.kill(first.server.pid, 'SIGKILL')
  await first.server.exited
  narrate('server 2', 'is killed with SIGKILL')
  const second = await start(Number(new URL(first.url).port))
  narrate('server 2', `is started again, as process ${second.server.pid}, on the same directory`)

  const rest = await accepted(payments.subscribe({ cursor: CURSOR }), PAYMENT_COUNT - BEFORE_KILL)
  const milliseconds = (performance.now() - killedAt).toFixed(0)
  taken.push(...rest)
  narrate('cursor', `goes on where it was, with payments ${rest.join(', ')}, ${milliseconds} ms after the kill`)
  const { duplicate, position } = await payments.publish({ id: 1 }, { idempotencyKey: 'payment-1' })
  narrate(
    'we',
    `publish payment 1 once more; the server remembers its key: ${duplicate ? `it is a duplicate of position ${position}` : 'not'}`,
  )
  const complete = Array.from({ length: PAYMENT_COUNT }, (_, index) => index + 1)
  if (taken.join() !== complete.join() || !duplicate) {
    throw new LiminalError(
      'INTERNAL',
      `the cursor saw payments ${taken.join(', ')} instead of 1 to ${PAYMENT_COUNT} once each`,
    )
  }
}

/** So many payments of a cursor, each accepted when the next one is asked for, the last one when the loop is left. */
async function accepted(deliveries: AsyncIterable<Delivery<Payment>>, count: number): Promise<number[]> {
  const taken: number[] = []
  for await (const delivery of deliveries) {
    taken.push(delivery.value.id)
    delivery.accept()
    if (taken.length === count) break
  }
  return taken
}
