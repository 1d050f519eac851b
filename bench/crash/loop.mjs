import { createBus } from '../../dist/index.js'
import { summary } from './statistics.mjs'

/** Requests of somebody else, one after the other, while an isolated participant loops for ever. */
const REQUESTS = 2_000

/** How much an endless loop in an isolated participant delays everybody else: the longest round trip of a request to another responder, and of a timer of 1 ms. */
export async function loop() {
  const bus = await createBus()
  bus.respond('other', (value) => value)
  const quiet = await measure(bus)
  const isolated = bus.respond('loop', new URL('./endless.mjs', import.meta.url), { isolated: true })
  await isolated.ready()
  const startedAt = performance.now()
  const looping = bus.ask('loop', null, { timeoutMs: 1_000 }).then(
    () => 'answered',
    (error) => error.code,
  )
  const busy = await measure(bus)
  const outcome = await looping
  const endedAfterMs = Math.round(performance.now() - startedAt)
  const replaced = await bus.ask('loop', 'sane')
  await bus.close()
  return { quiet, busy, outcome, endedAfterMs, replaced }
}

async function measure(bus) {
  const replies = []
  const timers = []
  for (let count = 0; count < REQUESTS; count++) {
    const startedAt = performance.now()
    await bus.ask('other', count)
    replies.push(performance.now() - startedAt)
    if (count % 10 === 0) {
      const setAt = performance.now()
      await new Promise((resolve) => setTimeout(resolve, 1))
      timers.push(performance.now() - setAt - 1)
    }
  }
  return { replyMs: summary(replies), timerLateMs: summary(timers) }
}
