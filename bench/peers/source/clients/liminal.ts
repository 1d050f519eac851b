import { connect, LiminalError, type Receipt, type RemoteBus } from '../../../../dist/index.js'
import {
  type AcknowledgedPublisher,
  type Asker,
  CHANNEL,
  type Client,
  type Connecting,
  type Publisher,
  REQUESTS,
} from './client.ts'

const BYTES = { payload: 'bytes' } as const

/** liminal-bus: `send` and a handler; beside them acknowledged `publish` and the async iterator. */
export const client: Client = {
  async publisher({ endpoint }, _subscribers, form): Promise<Publisher> {
    const channel = (await open(endpoint.port)).channel<Uint8Array>(CHANNEL, BYTES)
    let next = 0
    // A key that no other message has, of some twenty bytes.
    const send =
      form === 'keyed'
        ? (payload: Buffer) => channel.send(payload, { idempotencyKey: `bench-message-${next++}` })
        : (payload: Buffer) => channel.send(payload)
    return {
      publish(payload) {
        try {
          send(payload)
          return true
        } catch (error) {
          if (error instanceof LiminalError && error.code === 'OUTBOX_FULL') return false
          throw error
        }
      },
      room() {
        const { failed, lastError } = channel.sendCounts
        if (failed > 0) throw new Error(`${failed} messages were refused`, { cause: lastError })
        return channel.ready()
      },
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged, form): Promise<AcknowledgedPublisher> {
    const channel = (await open(endpoint.port)).channel<Uint8Array>(CHANNEL, BYTES)
    const durable = form === 'durable'
    const one = ({ position }: Receipt) => {
      // A channel that stores nothing acknowledges too.
      if (durable && position === null) fail(new Error('a receipt says that its message is not in a log'))
      acknowledged(1)
    }
    return {
      publish(payload) {
        channel.publish(payload).then(one, fail)
      },
    }
  },

  async subscribe({ endpoint, fail }, take, form) {
    const channel = (await open(endpoint.port)).channel<Uint8Array>(CHANNEL, BYTES)
    if (form === 'iterator') {
      const subscription = channel.subscribe()
      const drain = async () => {
        for await (const { bytes } of subscription) take(bytes, 0, bytes.length)
      }
      drain().catch(fail)
      await subscription.ready()
    } else {
      const subscription = channel.subscribe((deliveries) => {
        for (const { bytes } of deliveries) take(bytes, 0, bytes.length)
      })
      subscription.closed.catch(fail)
      await subscription.ready()
    }
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const bus = await open(endpoint.port)
    return {
      ask(payload, replied) {
        bus.ask<Uint8Array>(REQUESTS, payload, BYTES).then((reply) => replied(reply, 0, reply.length), fail)
      },
    }
  },

  async responder({ endpoint }: Connecting, take) {
    const bus = await open(endpoint.port)
    const responder = bus.respond<Uint8Array>(
      REQUESTS,
      (request) => {
        take(request, 0, request.length)
        return request
      },
      BYTES,
    )
    await responder.ready()
  },

  async read({ endpoint }, take, done) {
    const channel = (await open(endpoint.port)).channel<Uint8Array>(CHANNEL, BYTES)
    const subscription = channel.subscribe(
      (deliveries) => {
        for (const { bytes } of deliveries) take(bytes, 0, bytes.length)
        if (done()) end()
      },
      { from: 'earliest' },
    )
    const end = () => subscription.close()
    await subscription.closed
  },
}

function open(port: number): Promise<RemoteBus> {
  return connect(`liminal://127.0.0.1:${port}`, { reconnect: false })
}
