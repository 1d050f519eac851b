import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib'
import { type AcknowledgedPublisher, type Asker, CHANNEL, type Client, type Publisher, REQUESTS } from './client.ts'

const DIRECT_REPLIES = 'amq.rabbitmq.reply-to'

/**
 * RabbitMQ: a fan-out exchange with one queue for each subscriber, no acknowledgements from consumers. Acknowledged publishes are publisher confirms; durable
 * ones go to a durable queue as persistent messages. Replies are direct replies.
 */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const channel = await (await open(endpoint.port, fail)).createChannel()
    let full = false
    return {
      publish(payload) {
        full = !channel.publish(CHANNEL, '', payload)
        return true
      },
      room() {
        if (!full) return null
        full = false
        return new Promise((resolve) => {
          channel.once('drain', resolve)
        })
      },
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged, form): Promise<AcknowledgedPublisher> {
    const channel = await (await open(endpoint.port, fail)).createConfirmChannel()
    const one = (error: unknown) => {
      if (error) fail(error)
      acknowledged(1)
    }
    if (form !== 'durable') return { publish: (payload) => channel.publish(CHANNEL, '', payload, {}, one) }
    await channel.assertQueue(CHANNEL, { durable: true })
    return { publish: (payload) => channel.sendToQueue(CHANNEL, payload, { persistent: true }, one) }
  },

  async subscribe({ endpoint, fail }, take) {
    const channel = await (await open(endpoint.port, fail)).createChannel()
    await channel.assertExchange(CHANNEL, 'fanout', { durable: false })
    const { queue } = await channel.assertQueue('', { exclusive: true, durable: false })
    await channel.bindQueue(queue, CHANNEL, '')
    await consume(channel, queue, fail, ({ content }) => take(content, 0, content.length))
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const channel = await (await open(endpoint.port, fail)).createChannel()
    const waiting = new Map<string, (content: Buffer) => void>()
    let last = 0
    await consume(channel, DIRECT_REPLIES, fail, ({ content, properties }) => {
      const id: unknown = properties.correlationId
      const replied = typeof id === 'string' ? waiting.get(id) : undefined
      if (typeof id !== 'string' || replied === undefined) throw new Error('a reply came that nobody waits for')
      waiting.delete(id)
      replied(content)
    })
    return {
      ask(payload, replied) {
        last += 1
        const correlationId = String(last)
        waiting.set(correlationId, (content) => replied(content, 0, content.length))
        channel.sendToQueue(REQUESTS, payload, { correlationId, replyTo: DIRECT_REPLIES })
      },
    }
  },

  async responder({ endpoint, fail }, take) {
    const channel = await (await open(endpoint.port, fail)).createChannel()
    await channel.assertQueue(REQUESTS, { durable: false })
    await consume(channel, REQUESTS, fail, ({ content, properties: { replyTo, correlationId } }) => {
      take(content, 0, content.length)
      channel.sendToQueue(replyTo, content, { correlationId })
    })
  },

  async read({ endpoint, fail }, take, done) {
    const channel = await (await open(endpoint.port, fail)).createChannel()
    await new Promise<void>((resolve, reject) => {
      consume(channel, CHANNEL, fail, ({ content }) => {
        take(content, 0, content.length)
        if (done()) resolve()
      }).catch(reject)
    })
  },
}

async function consume(
  channel: Channel,
  queue: string,
  fail: (error: unknown) => void,
  take: (message: ConsumeMessage) => void,
): Promise<void> {
  await channel.consume(
    queue,
    (message) => {
      if (message === null) fail(new Error(`the queue ${queue} was deleted`))
      else take(message)
    },
    { noAck: true },
  )
}

/** A connection whose loss ends the run. */
async function open(port: number, fail: (error: unknown) => void): Promise<ChannelModel> {
  const connection = await connect(`amqp://127.0.0.1:${port}`, { noDelay: true })
  connection.on('error', fail)
  connection.on('close', () => fail(new Error('the AMQP connection was closed')))
  return connection
}
