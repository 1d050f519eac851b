import { DeliverPolicy, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { type AcknowledgedPublisher, CHANNEL, type Client } from './client.ts'
import { client as nats, open } from './nats.ts'

const STREAM = 'BENCH'

/** JetStream: publishes are acknowledged by a stream, in memory or in files. Subscribers are those of NATS. */
export const client: Client = {
  async acknowledgedPublisher({ endpoint, fail }, acknowledged, form): Promise<AcknowledgedPublisher> {
    const connection = await open(endpoint.port, fail)
    const manager = await jetstreamManager(connection)
    await manager.streams.add({
      name: STREAM,
      subjects: [CHANNEL],
      storage: form === 'durable' ? StorageType.File : StorageType.Memory,
    })
    const stream = jetstream(connection)
    const one = () => acknowledged(1)
    return {
      publish(payload) {
        stream.publish(CHANNEL, payload, { timeout: 60_000 }).then(one, fail)
      },
    }
  },

  ...(nats.subscribe === undefined ? {} : { subscribe: nats.subscribe }),

  async read({ endpoint, fail }, take, done) {
    const connection = await open(endpoint.port, fail)
    const consumer = await jetstream(connection).consumers.get(STREAM, { deliver_policy: DeliverPolicy.All })
    for await (const { data } of await consumer.consume({ max_messages: 1_000 })) {
      take(data, 0, data.length)
      if (done()) return
    }
  },
}
