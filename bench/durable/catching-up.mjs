import { existsSync, mkdirSync } from 'node:fs'
import { inDirectory } from './directories.mjs'
import { Child } from './process.mjs'
import { readBack } from './publishing.mjs'
import { rounded } from './statistics.mjs'
import { SYSTEMS } from './systems/index.mjs'

/** Enough that the disk is waited for seldom. */
const FILLING_IN_FLIGHT = 4_096

/**
 * Messages a second of a reader that begins with the oldest message, in a process that has just been started. The files are in the page cache of the system. Everything is read `runs` times, the systems in turns.
 */
export async function measureCatchingUp({ systems, messages, runs, parent, say }) {
  const readers = { ...Object.fromEntries(systems.map((system) => [system, SYSTEMS[system].server ? null : readBack])) }
  if ('liminal-tcp' in readers) readers['liminal-tcp'] = readRemotely
  return inDirectory(parent, async (top) => {
    const stored = {}
    for (const system of Object.keys(readers)) {
      // The same files, whoever reads them.
      const writer = system === 'liminal-tcp' ? 'liminal' : system
      stored[system] = `${top}/${writer}`
      await fill({ system: writer, directory: stored[system], messages })
    }
    const rates = Object.fromEntries(Object.keys(readers).map((system) => [system, []]))
    for (let run = 0; run < runs; run++) {
      for (const [system, read] of Object.entries(readers)) {
        const { count, seconds } = await read(system, stored[system], messages)
        if (count !== messages) throw new Error(`${system} stored ${messages} messages and gave ${count}.`)
        rates[system].push(count / seconds)
        say(`catching up, ${system}: ${Math.round(count / seconds)}/s`)
      }
    }
    return Object.fromEntries(
      Object.entries(rates).map(([system, found]) => [
        system,
        { messages, perSecond: rounded(found.toSorted((one, other) => one - other)[found.length >> 1]) },
      ]),
    )
  })
}

/** Stores messages unless the directory is there already. */
export async function fill({ system, directory, messages }) {
  if (existsSync(directory)) return
  mkdirSync(directory)
  if (messages === 0) return
  const writer = new Child('load')
  try {
    await writer.ask({ is: 'open', system, directory })
    await writer.ask({ is: 'phase', inFlight: FILLING_IN_FLIGHT, messages })
  } finally {
    await writer.kill()
  }
}

async function readRemotely(_system, directory, count) {
  const server = new Child('server')
  const subscriber = new Child('subscribe')
  try {
    const { url } = await server.ask({ is: 'serve', directory })
    return await subscriber.ask({ is: 'read', url, count })
  } finally {
    await Promise.all([server.kill(), subscriber.kill()])
  }
}
