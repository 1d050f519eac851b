import { inDirectory } from './directories.mjs'
import { Child } from './process.mjs'
import { medians } from './statistics.mjs'
import { SYSTEMS } from './systems/index.mjs'

/** Or as long as is measured, if that is less. */
const WARM_UP_SECONDS = 0.5

/**
 * Acknowledged publishes with so many in flight. The systems take turns, each round beginning with another one; every run has a directory and processes of its own, which are killed
 * (`kill -9`) after the last acknowledgement. Then another process reads back what was acknowledged.
 */
export async function measurePublishing({ systems, inFlights, runs, seconds, parent, say }) {
  const found = {}
  for (const inFlight of inFlights) {
    const measured = Object.fromEntries(systems.map((system) => [system, []]))
    for (let run = 0; run < runs; run++) {
      const first = run % systems.length
      for (const system of [...systems.slice(first), ...systems.slice(0, first)]) {
        const result = await inDirectory(parent, (directory) =>
          publishAndReadBack({ system, directory, inFlight, seconds }),
        )
        measured[system].push(result)
        say(
          `${inFlight} in flight, ${system}: ${Math.round(result.perSecond)}/s, p50 ${Math.round(result.p50Us)} us, p99 ${Math.round(result.p99Us)} us`,
        )
      }
    }
    found[inFlight] = Object.fromEntries(systems.map((system) => [system, medians(measured[system])]))
  }
  return found
}

async function publishAndReadBack({ system, directory, inFlight, seconds }) {
  const server = SYSTEMS[system].server ? new Child('server') : null
  const publisher = new Child('load')
  let result
  try {
    const url = server === null ? null : (await server.ask({ is: 'serve', directory })).url
    await publisher.ask({ is: 'open', system, directory, url })
    await publisher.ask({ is: 'phase', inFlight, seconds: Math.min(WARM_UP_SECONDS, seconds) })
    const before = await server?.ask({ is: 'usage' })
    const phase = await publisher.ask({ is: 'phase', inFlight, seconds })
    const after = await server?.ask({ is: 'usage' })
    const serverCpuUs = server === null ? 0 : (after.cpuUs - before.cpuUs) / phase.published
    result = { ...phase, serverCpuUs }
  } finally {
    await Promise.all([publisher.kill(), server?.kill()])
  }
  const { count } = await readBack(system, directory, result.messages)
  if (count !== result.messages)
    throw new Error(`${system} acknowledged ${result.messages} messages and has ${count} after a kill.`)
  return result
}

/** In a process of its own, which checks every message. */
export async function readBack(system, directory, count) {
  const reader = new Child('read')
  try {
    return await reader.ask({ is: 'read', system, directory, count })
  } finally {
    await reader.kill()
  }
}
