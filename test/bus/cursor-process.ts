/** A bus with a data directory in a process of its own: does what its argument says, tells its parent what it saw, and stays until it is killed. */
import { createBus, type Delivery } from '../../ts/bus/index.ts'

export interface CursorProcessTask {
  readonly dataDir: string
  /** Publishes so many messages, each its position. */
  readonly publish: number
  /** Takes so many deliveries. */
  readonly take: number
  /** Accepts those of these positions, each alone, and writes that down. */
  readonly accept: readonly number[]
  readonly maxAttempts?: number
  /** Kills itself when it sees this message. */
  readonly dies?: number
}

export interface CursorProcessSaw {
  /** As `position/attempt`. */
  readonly deliveries: readonly string[]
  /** Where the cursor is then. */
  readonly position: string
  readonly deadLetters: readonly string[]
}

const task: CursorProcessTask = JSON.parse(process.argv[2])

const bus = await createBus({ dataDir: task.dataDir, channels: [{ name: 'orders', durable: true }] })
const orders = bus.channel<number>('orders')
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
const taken: Delivery<number>[] = []
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
const saw: CursorProcessSaw = {
  deliveries: taken.map(({ position, attempt }) => `${position}/${attempt}`),
  position: String(cursor.position),
  deadLetters: deadLetters.map(({ payload, publisher }) => `${Buffer.from(payload)}: ${publisher}`),
}
process.send?.(saw)

/** Leaving the loop does not end the subscription. */
function withoutReturn<T>(iterator: AsyncIterator<T, undefined>): AsyncIterator<T, undefined> {
  return { next: () => iterator.next() }
}
