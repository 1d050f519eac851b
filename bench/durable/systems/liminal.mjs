// A durable channel with `sync: 'each'`: in the process of whoever publishes, or behind a server in a process of its own.
import { connect, createBus } from '../../../dist/index.js'

export const CHANNEL = 'bench'
const BYTES = { payload: 'bytes' }

/** What every bus and server of the benchmark is made with. */
export function durableOptions(directory) {
  return { dataDir: directory, channels: [{ name: CHANNEL, durable: { sync: 'each' } }] }
}

export async function openEmbedded(directory) {
  return publisherOf(await createBus(durableOptions(directory)))
}

export async function openRemote(_directory, url) {
  return publisherOf(await connect(url, { reconnect: false }))
}

export async function readEmbedded(directory, take, count) {
  const bus = await createBus(durableOptions(directory))
  await readAll(bus, take, count)
  await bus.close()
}

/** @param count messages to wait for; what is there beyond them is taken too. */
export async function readAll(bus, take, count) {
  const { next } = await bus.administration.channel(CHANNEL)
  const last = next > BigInt(count) ? next : BigInt(count)
  let seen = 0n
  const subscription = bus.channel(CHANNEL, BYTES).subscribe(
    (deliveries) => {
      for (const { bytes, position } of deliveries) {
        if (position !== seen) throw new Error(`Position ${position} came where ${seen} was due.`)
        seen++
        take(bytes)
      }
      if (seen >= last) ended()
    },
    { from: 'earliest' },
  )
  const ended = () => subscription.close()
  await subscription.closed
}

function publisherOf(bus) {
  const channel = bus.channel(CHANNEL, BYTES)
  return {
    async publish(payload) {
      const { position } = await channel.publish(payload)
      if (position === null) throw new Error('A receipt says that its message is not in a log.')
    },
  }
}
