// Opens a data directory and reads the whole log of `orders`, from the built package: a file that was damaged may take the process with it. Prints one line of JSON: `{ values }`, or `{ failed }`.
import { createBus } from '../../dist/bus/index.js'

const [dataDir] = process.argv.slice(2)
try {
  const bus = await createBus({ dataDir, channels: [{ name: 'orders', durable: true }], createChannels: false })
  const { first, next } = await bus.administration.channel('orders')
  const values = []
  if (first < next) {
    for await (const { value, position } of bus.channel('orders').subscribe({ from: 'earliest' })) {
      if (position !== first + BigInt(values.length))
        throw new Error(`Position ${position} came after ${values.length} messages.`)
      values.push(value)
      if (position === next - 1n) break
    }
  }
  console.log(JSON.stringify({ values, first: Number(first), next: Number(next) }))
  await bus.close()
} catch (error) {
  const { code, message } = error
  console.log(JSON.stringify({ failed: { code, message } }))
}
process.exit(0)
