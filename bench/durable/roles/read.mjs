// Reads back what is stored and checks all of it.
import { Tally } from '../messages.mjs'
import { answer } from '../process.mjs'
import { SYSTEMS } from '../systems/index.mjs'

answer({
  async read({ system, directory, count }) {
    const tally = new Tally()
    const startedAt = performance.now()
    await SYSTEMS[system].read(directory, (bytes) => tally.take(bytes), count)
    return { count: tally.count, seconds: (performance.now() - startedAt) / 1_000 }
  },
})
