// Publishes with so many acknowledgements outstanding, the next one as soon as one comes.
import { MESSAGE_BYTES, messageRing } from '../messages.mjs'
import { answer } from '../process.mjs'
import { latency } from '../statistics.mjs'
import { SYSTEMS } from '../systems/index.mjs'

let publisher
let next = 0

answer({
  async open({ system, directory, url }) {
    publisher = await SYSTEMS[system].open(directory, url)
  },
  phase: ({ inFlight, seconds, messages }) => phase(inFlight, seconds ?? Infinity, messages ?? Infinity),
})

/** Until the time is over or so many were published; then waits for those underway. */
function phase(inFlight, seconds, messages) {
  const message = messageRing(inFlight)
  const publishedAt = new Float64Array(inFlight)
  const times = []
  const first = next
  const before = process.cpuUsage()
  const startedAt = performance.now()
  const deadline = startedAt + seconds * 1_000
  let free = Array.from({ length: inFlight }, (_, slot) => slot)
  let acknowledged = first
  return new Promise((resolve, reject) => {
    const one = (slot) => {
      const now = performance.now()
      times.push(now - publishedAt[slot])
      acknowledged++
      free.push(slot)
      if (now < deadline && next - first < messages) fill()
      else if (acknowledged === next) end(now)
    }
    const fill = () => {
      const slots = free
      free = []
      for (const slot of slots) {
        if (next - first >= messages) break
        publishedAt[slot] = performance.now()
        publisher.publish(message(next++)).then(() => one(slot), reject)
      }
    }
    const end = (endedAt) => {
      const published = next - first
      const elapsed = (endedAt - startedAt) / 1_000
      const { user, system } = process.cpuUsage(before)
      resolve({
        published,
        messages: next,
        perSecond: published / elapsed,
        bytesPerSecond: (published * MESSAGE_BYTES) / elapsed,
        ...latency(times),
        cpuUs: (user + system) / published,
      })
    }
    fill()
  })
}
