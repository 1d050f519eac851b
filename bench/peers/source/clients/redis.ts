import { Redis } from 'ioredis'
import {
  type AcknowledgedPublisher,
  type Asker,
  CHANNEL,
  type Client,
  type Publisher,
  REPLIES,
  REQUESTS,
} from './client.ts'
import { Correlation } from './correlation.ts'

/** Pipelines on their way, at most. */
const PIPELINES = 4

/**
 * Redis pub/sub. The server replies to every PUBLISH, so nothing is unacknowledged; the fastest form is a pipeline for each burst. With acknowledgements it is
 * one PUBLISH each, which ioredis writes without waiting for the replies of those before.
 */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const redis = await open(endpoint.port, fail)
    let pipeline = redis.pipeline()
    let underway = 0
    let roomy: (() => void) | null = null
    const executed = (replies: [Error | null, unknown][] | null) => {
      const refused = replies?.find(([error]) => error !== null)?.[0]
      if (replies === null || refused !== undefined) fail(refused ?? new Error('a pipeline was dropped'))
      underway -= 1
      roomy?.()
      roomy = null
    }
    return {
      publish(payload) {
        pipeline.publish(CHANNEL, payload)
        return true
      },
      room() {
        underway += 1
        pipeline.exec().then(executed, fail)
        pipeline = redis.pipeline()
        if (underway < PIPELINES) return null
        return new Promise((resolve) => {
          roomy = resolve
        })
      },
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const redis = await open(endpoint.port, fail)
    const one = () => acknowledged(1)
    return {
      publish(payload) {
        redis.publish(CHANNEL, payload).then(one, fail)
      },
    }
  },

  async subscribe({ endpoint, fail }, take) {
    const redis = await open(endpoint.port, fail)
    redis.on('messageBuffer', (_channel: Buffer, message: Buffer) => take(message, 0, message.length))
    await redis.subscribe(CHANNEL)
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const correlation = new Correlation()
    const replies = await open(endpoint.port, fail)
    replies.on('messageBuffer', (_channel: Buffer, message: Buffer) => correlation.reply(message, 0, message.length))
    await replies.subscribe(REPLIES)
    const redis = await open(endpoint.port, fail)
    return {
      ask(payload, replied) {
        redis.publish(REQUESTS, correlation.request(payload, replied)).catch(fail)
      },
    }
  },

  async responder({ endpoint, fail }, take) {
    const replies = await open(endpoint.port, fail)
    const requests = await open(endpoint.port, fail)
    requests.on('messageBuffer', (_channel: Buffer, message: Buffer) => {
      Correlation.take(message, 0, message.length, take)
      replies.publish(REPLIES, message).catch(fail)
    })
    await requests.subscribe(REQUESTS)
  },
}

/** A connection whose loss ends the run. */
export async function open(port: number, fail: (error: unknown) => void): Promise<Redis> {
  const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: () => null })
  redis.on('error', fail)
  redis.on('end', () => fail(new Error('the Redis connection was closed')))
  await redis.connect()
  return redis
}
