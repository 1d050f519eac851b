// Catches up over a connection: a subscription from the first message on.
import { connect } from '../../../dist/index.js'
import { Tally } from '../messages.mjs'
import { answer } from '../process.mjs'
import { readAll } from '../systems/liminal.mjs'

answer({
  async read({ url, count }) {
    const bus = await connect(url, { reconnect: false })
    const tally = new Tally()
    const startedAt = performance.now()
    await readAll(bus, (bytes) => tally.take(bytes), count)
    return { count: tally.count, seconds: (performance.now() - startedAt) / 1_000 }
  },
})
