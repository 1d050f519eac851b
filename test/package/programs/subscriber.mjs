// Prints that it subscribed to 'orders', then the first messages: node subscriber.mjs <url> <how many>
import { connect } from 'liminal-bus'
import { codecInfo } from 'liminal-bus/codec'

const [url, count] = process.argv.slice(2)
const bus = await connect(url)
const subscription = bus.channel('orders').subscribe()
await subscription.ready()
console.log(JSON.stringify({ ready: true, codec: codecInfo() }))
const received = []
for await (const delivery of subscription) {
  received.push(delivery.value)
  if (received.length === Number(count)) break
}
console.log(JSON.stringify({ received }))
await bus.close()
