import { connect, type NatsConnection } from '@nats-io/transport-node'
import { type AcknowledgedPublisher, type Asker, CHANNEL, type Client, type Publisher, REQUESTS } from './client.ts'

/** NATS without streams: `publish` and a callback. Acknowledged: `publish` and the PONG to a `flush` right behind it, since the server confirms nothing else. */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const connection = await open(endpoint.port, fail)
    return {
      publish(payload) {
        connection.publish(CHANNEL, payload)
        return true
      },
      room: () => null,
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const connection = await open(endpoint.port, fail)
    const one = () => acknowledged(1)
    return {
      publish(payload) {
        connection.publish(CHANNEL, payload)
        connection.flush().then(one, fail)
      },
    }
  },

  async subscribe({ endpoint, fail }, take) {
    const connection = await open(endpoint.port, fail)
    connection.subscribe(CHANNEL, {
      callback: (error, { data }) => {
        if (error !== null) fail(error)
        take(data, 0, data.length)
      },
    })
    await connection.flush()
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const connection = await open(endpoint.port, fail)
    return {
      ask(payload, replied) {
        connection
          .request(REQUESTS, payload, { timeout: 60_000 })
          .then(({ data }) => replied(data, 0, data.length), fail)
      },
    }
  },

  async responder({ endpoint, fail }, take) {
    const connection = await open(endpoint.port, fail)
    connection.subscribe(REQUESTS, {
      callback: (error, message) => {
        if (error !== null) fail(error)
        take(message.data, 0, message.data.length)
        message.respond(message.data)
      },
    })
    await connection.flush()
  },
}

/** A connection whose loss ends the run. */
export async function open(port: number, fail: (error: unknown) => void): Promise<NatsConnection> {
  const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false })
  connection.closed().then((error) => fail(error ?? new Error('the NATS connection was closed')), fail)
  return connection
}
