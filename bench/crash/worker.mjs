// A worker in a process of its own. A message that says `hold` is never answered: it waits for the kill.
import { connect } from '../../dist/index.js'

const [url, identity, capacity] = process.argv.slice(2)
const bus = await connect(url, { reconnect: false })
const worker = bus.worker.register({ identity, taskQueue: 'work', capacity: Number(capacity) }, (work, context) => {
  if (work.hold && context.attempt === 1) {
    process.send({ is: 'holding', id: work.id })
    return new Promise(() => {})
  }
  return work.id
})
await worker.ready()
process.send({ is: 'ready', identity })
process.on('SIGTERM', async () => {
  await bus.close()
  process.exit(0)
})
