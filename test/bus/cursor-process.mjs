// A bus with a data directory in a process of its own, from the built package, as it has to start often: does what its argument says, tells its parent what it saw, and stays until it is killed.
import { createBus } from '../../dist/bus/index.js'

const task = JSON.parse(process.argv[2])

const bus = await createBus({ dataDir: task.dataDir, channels: [{ name: 'orders', durable: true }] })
const orders = bus.channel('orders')
const { next } = await bus.administration.channel('orders')
const first = Number(next)
await Promise.all(Array.from({ length: task.publish }, (_, index) => orders.publish(first + index)))

const { maxAttempts } = task
const subscription = orders.subscribe({
  from: 'earliest',
  accept: 'each',
  cursor: { name: 'billing', ...(maxAttempts === undefined ? {} : { maxAttempts }) },
  ...(task.dies === undefined ? {} : { maxInFlight: 1 }),
})
const taken = []
if (task.take > 0) {
  for await (const delivery of { [Symbol.asyncIterator]: () => withoutReturn(subscription[Symbol.asyncIterator]()) }) {
    if (delivery.value === task.dies) process.kill(process.pid, 'SIGKILL')
    taken.push(delivery)
    if (task.accept.includes(delivery.value)) delivery.accept()
    if (taken.length === task.take) break
  }
}
await subscription.checkpoint()
const [cursor] = await bus.administration.cursors('orders')
const hasDeadLetters = (await bus.administration.channels()).some(({ name }) => name === 'orders.dead-letter')
const deadLetters = hasDeadLetters ? await bus.administration.peek('orders.dead-letter') : []
process.send({
  deliveries: taken.map(({ position, attempt }) => `${position}/${attempt}`),
  position: String(cursor.position),
  deadLetters: deadLetters.map(({ payload, publisher }) => `${Buffer.from(payload)}: ${publisher}`),
})

/** Leaving the loop does not end the subscription. */
function withoutReturn(iterator) {
  return { next: () => iterator.next() }
}
