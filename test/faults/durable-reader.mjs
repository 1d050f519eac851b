// Opens data directories, one after the other, and reads the whole log of `orders` of each, from the built package: a file that was damaged may take the process with it. Prints a line of JSON for each: `{ values, first, next }`, or `{ failed }`.
import { createBus } from '../../dist/bus/index.js'

for (const dataDir of process.argv.slice(2)) console.log(JSON.stringify(await read(dataDir)))
process.exit(0)

async function read(dataDir) {
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
    await bus.close()
    return { values, first: Number(first), next: Number(next) }
  } catch (error) {
    const { code, message } = error
    return { failed: { code, message } }
  }
}
