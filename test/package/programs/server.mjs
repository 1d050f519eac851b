// Serves a bus until its input ends. Prints where, and with which codec.
import { createBus, serve } from 'liminal-bus'
import { codecInfo } from 'liminal-bus/codec'

const bus = await createBus()
bus.respond('greet', (request) => ({ hello: request.name }))
const server = await serve(bus, { port: 0, host: '127.0.0.1' })
console.log(JSON.stringify({ url: server.url, codec: codecInfo() }))

process.stdin.resume()
process.stdin.once('end', async () => {
  await server.close()
  await bus.close()
})
