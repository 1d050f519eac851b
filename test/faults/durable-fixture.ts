import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Bus, BusOptions, Delivery, LoggedMessage, SubscribeOptions } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { DurableServer, type ServerProcessOptions } from './durable-server.ts'

/** A directory that is gone after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'liminal-faults-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}

/** A server process and a bus connected to it; both end with the test. */
export async function serve(options: BusOptions, process?: ServerProcessOptions) {
  const server = new DurableServer(options, process)
  onTestFinished(() => server.kill())
  const bus = await connect(await server.url(), { reconnect: false })
  onTestFinished(() => bus.close())
  return { server, bus }
}

/** The texts of a log, as administration shows them. */
export async function texts(bus: Bus, channel: string): Promise<string[]> {
  return (await peekAll(bus, channel)).map(({ payload }) => Buffer.from(payload).toString())
}

/** A whole log of at most 1,024 messages. */
export function peekAll(bus: Bus, channel: string): Promise<readonly LoggedMessage[]> {
  return bus.administration.peek(channel, { from: 'earliest', limit: 1_024 })
}

/** The next deliveries of a new subscription, as many as asked for, which it accepts. */
export async function take<T = unknown>(
  bus: Bus,
  channel: string,
  count: number,
  options: SubscribeOptions,
): Promise<Delivery<T>[]> {
  const taken: Delivery<T>[] = []
  const subscription = bus.channel<T>(channel).subscribe({ ...options, accept: 'explicit' })
  for await (const delivery of subscription) {
    taken.push(delivery)
    delivery.accept()
    if (taken.length === count) break
  }
  await subscription.close()
  return taken
}
