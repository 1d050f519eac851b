import { context, Dealer, Subscriber, XPublisher } from 'zeromq'
import { type AcknowledgedPublisher, type Asker, CHANNEL, type Client, type Publisher } from './client.ts'
import { Correlation } from './correlation.ts'
import { Sender } from './zeromq-sender.ts'

/** What a subscriber subscribes to beside the channel, so that whoever publishes sees it come. */
export const READY = 'ready-'

/** What the server sends to a new subscriber, before anything else. */
export const WELCOME = 'welcome'

// One socket for each subscriber, and a few for the library; it can only be said before the first.
context.maxSockets = 8_192

/** ZeroMQ drops what its queues do not take, so they have no limit here: the window bounds them. */
const UNLIMITED = { sendHighWaterMark: 0 } as const

/** ZeroMQ through a proxy (`servers/zeromq.ts`), since publisher and subscriber are not to know each other's address. */
export const client: Client = {
  async publisher({ endpoint, fail }, subscribers): Promise<Publisher> {
    const socket = new XPublisher(UNLIMITED)
    socket.connect(addressOf(endpoint.port))
    await subscribed(socket, subscribers)
    const sender = new Sender<[string, Buffer]>(socket, fail)
    return {
      publish(payload) {
        sender.send([CHANNEL, payload])
        return true
      },
      room: () => sender.sent(),
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged, _form, subscribers): Promise<AcknowledgedPublisher> {
    const socket = new Dealer(UNLIMITED)
    socket.connect(addressOf(endpoint.port))
    // The first message says how many subscribers the server is to wait for; it is acknowledged once they are there.
    await socket.send(String(subscribers))
    await socket.receive()
    const count = async () => {
      for await (const _acknowledgement of socket) acknowledged(1)
    }
    count().catch(fail)
    const sender = new Sender<Buffer>(socket, fail)
    return { publish: (payload) => sender.send(payload) }
  },

  async subscribe({ endpoint, fail }, take, _form, index) {
    const socket = new Subscriber({ receiveHighWaterMark: 0 })
    socket.subscribe(WELCOME, CHANNEL, `${READY}${index}`)
    socket.connect(addressOf(endpoint.receivePort))
    await socket.receive()
    const drain = async () => {
      for await (const [, payload] of socket) take(payload, 0, payload.length)
    }
    drain().catch(fail)
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const socket = new Dealer(UNLIMITED)
    socket.connect(addressOf(endpoint.port))
    const correlation = new Correlation()
    const drain = async () => {
      for await (const [reply] of socket) correlation.reply(reply, 0, reply.length)
    }
    drain().catch(fail)
    const sender = new Sender<Buffer>(socket, fail)
    return { ask: (payload, replied) => sender.send(correlation.request(payload, replied)) }
  },

  async responder({ endpoint, fail }, take) {
    const socket = new Dealer(UNLIMITED)
    socket.connect(addressOf(endpoint.receivePort))
    const sender = new Sender<[Buffer, Buffer]>(socket, fail)
    const serve = async () => {
      for await (const [asker, request] of socket) {
        Correlation.take(request, 0, request.length, take)
        sender.send([asker, request])
      }
    }
    serve().catch(fail)
  },
}

/** Resolves once so many subscribers are there: a subscription is not confirmed to the subscriber, but it reaches the publisher as a message. */
export async function subscribed(socket: XPublisher, subscribers: number): Promise<void> {
  const seen = new Set<string>()
  while (seen.size < subscribers) {
    const [subscription] = await socket.receive()
    const topic = subscription.toString('utf8', 1)
    if (topic.startsWith(READY)) seen.add(topic)
  }
}

function addressOf(port: number): string {
  return `tcp://127.0.0.1:${port}`
}
