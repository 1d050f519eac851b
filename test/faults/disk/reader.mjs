// Opens directories as a power cut may have left them, one after the other, from the built package. Each line of input is `{ directory, keys, requests }`; for each a line is printed: what is there, `{ log, cursors, again,
// replies, relaxed }`, or `{ failed }`. `again`: what a publish with each of the keys is told. `replies`: what each of the requests is answered, by a responder whose step says that it was run again.
import { createInterface } from 'node:readline'
import { createBus } from '../../../dist/index.js'

async function look({ directory, keys, requests }) {
  // The other channel is there if its store is not damaged.
  const channels = [{ name: 'strict', durable: true }]
  const bus = await createBus({ dataDir: directory, channels, createChannels: false })
  const log = await peek(bus, 'strict')
  const cursors = (await bus.administration.cursors('strict')).map(({ position }) => Number(position))
  const strict = bus.channel('strict')
  const again = await Promise.all(keys.map((idempotencyKey) => strict.publish('again', { idempotencyKey })))
  bus.respond('order', (_request, context) => context.step('charge', () => 'run again'))
  const conversation = await bus.converse('order', { durable: true, key: 'one' })
  const replies = await Promise.all(requests.map((requestId) => conversation.request(null, { requestId })))
  const relaxed = await peek(bus, 'os').catch(({ code }) => code)
  await bus.close()
  return {
    log,
    cursors,
    again: again.map(({ position, duplicate }) => [Number(position), duplicate]),
    replies,
    relaxed,
  }
}

async function peek(bus, channel) {
  const messages = await bus.administration.peek(channel, { from: 'earliest', limit: 1_024 })
  return messages.map(({ payload }) => Buffer.from(payload).toString('latin1'))
}

for await (const line of createInterface({ input: process.stdin })) {
  const found = await look(JSON.parse(line)).catch(({ code, message }) => ({ failed: `${code}: ${message}` }))
  process.stdout.write(`${JSON.stringify(found)}\n`)
}
