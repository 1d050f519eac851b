import { Dealer, Router, XPublisher, XSubscriber, Proxy as ZeroMqProxy } from 'zeromq'
import { CHANNEL } from '../clients/client.ts'
import { subscribed, WELCOME } from '../clients/zeromq.ts'
import { Sender } from '../clients/zeromq-sender.ts'
import type { Serving, StartServer } from './server.ts'

const ANY_PORT = 'tcp://127.0.0.1:*'
const UNLIMITED = { sendHighWaterMark: 0, receiveHighWaterMark: 0 } as const

/** ZeroMQ has no server: this is its own proxy, which runs outside of JavaScript; only acknowledgements are ours. */
export const start: StartServer = async ({ workload, fail }) => {
  if (workload.startsWith('W4')) return startProxy(new Router(UNLIMITED), new Dealer(UNLIMITED), fail)
  const backEnd = new XPublisher(UNLIMITED)
  backEnd.welcomeMessage = WELCOME
  if (workload === 'W3') return startAcknowledging(backEnd, fail)
  return startProxy(new XSubscriber(UNLIMITED), backEnd, fail)
}

async function startProxy(
  frontEnd: Router | XSubscriber,
  backEnd: Dealer | XPublisher,
  fail: Serving['fail'],
): ReturnType<StartServer> {
  await Promise.all([frontEnd.bind(ANY_PORT), backEnd.bind(ANY_PORT)])
  const ports = { port: portOf(frontEnd.lastEndpoint), receivePort: portOf(backEnd.lastEndpoint) }
  new ZeroMqProxy(frontEnd, backEnd).run().catch(fail)
  return { ...ports, about: "zeromq's proxy" }
}

/** Publishes what a dealer sends and acknowledges each message. */
async function startAcknowledging(subscribers: XPublisher, fail: Serving['fail']): ReturnType<StartServer> {
  const publisher = new Router(UNLIMITED)
  await Promise.all([publisher.bind(ANY_PORT), subscribers.bind(ANY_PORT)])
  const serve = async () => {
    const [first, expected] = await publisher.receive()
    await subscribed(subscribers, Number(expected))
    await publisher.send([first, ''])
    const published = new Sender<[string, Buffer]>(subscribers, fail)
    const acknowledged = new Sender<[Buffer, string]>(publisher, fail)
    for await (const [sender, payload] of publisher) {
      published.send([CHANNEL, payload])
      acknowledged.send([sender, ''])
    }
  }
  serve().catch(fail)
  return {
    port: portOf(publisher.lastEndpoint),
    receivePort: portOf(subscribers.lastEndpoint),
    about: 'zeromq, acknowledged by a server of ours',
  }
}

function portOf(endpoint: string | null): number {
  const port = Number(/:(\d+)$/.exec(endpoint ?? '')?.[1])
  if (!Number.isInteger(port)) throw new Error('ZeroMQ did not say where it listens.')
  return port
}
