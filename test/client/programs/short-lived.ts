/** Does a little of everything on the bus at argv[2], closes it, and must end by itself. */
import { connect } from '../../../ts/client/index.ts'

const bus = await connect(process.argv[2] ?? '')
const channel = bus.channel<number>('ticks')
const subscription = channel.subscribe()
await subscription.ready()
await bus.respond('echo', (request) => request).ready()
await channel.publish(1)
for (let value = 0; value < 1_000; value++) channel.send(value)
await bus.ask('echo', 1)
const conversation = await bus.converse('echo')
await conversation.request(1)
channel.publish(2).catch(() => {})
bus.ask('echo', 2).catch(() => {})
await bus.close()
process.stdout.write('closed\n')
