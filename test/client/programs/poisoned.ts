/** Works on 'orders' of the server at argv[2] with a cursor, accepting each, in a loop or with a handler, as argv[3] says. Message 5 kills it, at once. */
import type { Delivery } from '../../../ts/bus/index.ts'
import { connect } from '../../../ts/client/index.ts'

const bus = await connect(process.argv[2] ?? '')
const channel = bus.channel<number>('orders')
const options = { cursor: { name: 'billing', maxAttempts: 3 }, from: 'earliest', accept: 'each' } as const

function work(delivery: Delivery<number>): void {
  if (delivery.value === 5) process.kill(process.pid, 'SIGKILL')
  process.stdout.write(`${delivery.value}/${delivery.attempt}\n`)
  delivery.accept()
}

if (process.argv[3] === 'loop') for await (const delivery of channel.subscribe(options)) work(delivery)
else await channel.subscribe((batch) => batch.forEach(work), options).closed
