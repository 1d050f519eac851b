// Publishes to 'orders' and asks 'greet': node publisher.mjs <url> <how many>
import { connect } from 'liminal-bus'
import { codecInfo } from 'liminal-bus/codec'

const [url, count] = process.argv.slice(2)
const bus = await connect(url)
const orders = bus.channel('orders')
const receipts = await Promise.all(
  Array.from({ length: Number(count) }, (_, id) => orders.publish({ id, text: 'Zoë ☂' })),
)
const reply = await bus.ask('greet', { name: 'Ada' })
console.log(
  JSON.stringify({ delivered: receipts.filter((receipt) => receipt.delivered).length, reply, codec: codecInfo() }),
)
await bus.close()
