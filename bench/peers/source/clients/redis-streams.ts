import type { Redis } from 'ioredis'
import { type AcknowledgedPublisher, CHANNEL, type Client, type Take } from './client.ts'
import { open } from './redis.ts'

/** Entries asked for at a time. */
const PAGE = 1_000
const FIELD = Buffer.from('p')

/** What XREAD gives for one stream: its name and its entries, each an id and a list of fields and values. */
type Page = readonly (readonly [name: Buffer, entries: readonly (readonly [id: Buffer, fields: readonly Buffer[]])[]])[]

/** Redis streams: XADD, acknowledged by the id of the entry, and XREAD. */
export const client: Client = {
  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const redis = await open(endpoint.port, fail)
    const one = () => acknowledged(1)
    return {
      publish(payload) {
        redis.xadd(CHANNEL, '*', FIELD, payload).then(one, fail)
      },
    }
  },

  async subscribe({ endpoint, fail }, take) {
    const redis = await open(endpoint.port, fail)
    readFrom(redis, take, () => false).catch(fail)
  },

  async read({ endpoint, fail }, take, done) {
    await readFrom(await open(endpoint.port, fail), take, done)
  },
}

/** Reads from the first entry on, waiting for more at the end. The stream need not exist yet. */
async function readFrom(redis: Redis, take: Take, done: () => boolean): Promise<void> {
  let after: Buffer | string = '0'
  while (!done()) {
    const pages: Page | null = await redis.xreadBuffer('COUNT', PAGE, 'BLOCK', 0, 'STREAMS', CHANNEL, after)
    for (const [id, [, payload]] of pages?.[0]?.[1] ?? []) {
      after = id
      take(payload, 0, payload.length)
    }
  }
}
