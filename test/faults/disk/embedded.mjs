// A bus with a data directory in a process of its own, from the built package. Each line of input is a publish, `["channel", "value", "key"]`; for each outcome a line is printed: `{ value, position, duplicate }` or
// `{ value, failed, retryable }`.
import { createInterface } from 'node:readline'
import { createBus } from '../../../dist/index.js'

const bus = await createBus({ createChannels: false, ...JSON.parse(process.argv[2]) })
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  const [channel, value, idempotencyKey] = JSON.parse(line)
  bus
    .channel(channel)
    .publish(value, { idempotencyKey })
    .then(
      ({ position, duplicate }) => say({ value, position: position === null ? null : Number(position), duplicate }),
      ({ code, retryable }) => say({ value, failed: code, retryable }),
    )
}
await bus.close()
