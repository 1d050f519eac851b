import { connectAsync, type MqttClient } from 'mqtt'
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

/** Messages that the client has not written to its socket yet, at most. */
const UNWRITTEN = 256

/** MQTT 3.1.1, which both brokers speak. Unacknowledged is QoS 0; acknowledged is QoS 1 from the publisher, QoS 0 to subscribers. */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const mqtt = await open(endpoint.port, fail)
    let unwritten = 0
    let roomy: (() => void) | null = null
    const written = (error?: Error | null) => {
      if (error) fail(error)
      unwritten -= 1
      if (unwritten < UNWRITTEN && roomy !== null) {
        roomy()
        roomy = null
      }
    }
    return {
      publish(payload) {
        unwritten += 1
        mqtt.publish(CHANNEL, payload, { qos: 0 }, written)
        return true
      },
      room() {
        if (unwritten < UNWRITTEN) return null
        return new Promise((resolve) => {
          roomy = resolve
        })
      },
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const mqtt = await open(endpoint.port, fail)
    const one = (error?: Error | null) => {
      if (error) fail(error)
      acknowledged(1)
    }
    return {
      publish(payload) {
        mqtt.publish(CHANNEL, payload, { qos: 1 }, one)
      },
    }
  },

  async subscribe({ endpoint, fail }, take) {
    await listen(await open(endpoint.port, fail), CHANNEL, (message) => take(message, 0, message.length))
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const mqtt = await open(endpoint.port, fail)
    const correlation = new Correlation()
    await listen(mqtt, REPLIES, (message) => correlation.reply(message, 0, message.length))
    return {
      ask(payload, replied) {
        mqtt.publish(REQUESTS, correlation.request(payload, replied), { qos: 0 })
      },
    }
  },

  async responder({ endpoint, fail }, take) {
    const mqtt = await open(endpoint.port, fail)
    await listen(mqtt, REQUESTS, (message) => {
      Correlation.take(message, 0, message.length, take)
      mqtt.publish(REPLIES, message, { qos: 0 })
    })
  },
}

async function listen(mqtt: MqttClient, topic: string, take: (message: Buffer) => void): Promise<void> {
  mqtt.on('message', (_topic, message) => take(message))
  await mqtt.subscribeAsync(topic, { qos: 0 })
}

/** A connection whose loss ends the run. */
async function open(port: number, fail: (error: unknown) => void): Promise<MqttClient> {
  const mqtt = await connectAsync({ host: '127.0.0.1', port, protocol: 'mqtt', protocolVersion: 4, reconnectPeriod: 0 })
  mqtt.on('error', fail)
  mqtt.on('close', () => fail(new Error('the MQTT connection was closed')))
  return mqtt
}
