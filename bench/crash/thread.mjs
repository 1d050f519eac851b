import { createBus } from '../../dist/index.js'
import { Completions } from './completions.mjs'
import { summary } from './statistics.mjs'

/** Threads of the responder: while one is replaced the others answer. */
const THREADS = 3

/**
 * Lets the worker thread that is at a request end itself, again and again; another one takes over. Measured from the exit of the thread's process, which is when Node
 * tells of it, to the second attempt being on its way, and to its reply.
 */
export async function killThreads({ kills }) {
  const bus = await createBus()
  const isolated = { threads: THREADS, maxRestarts: kills + 1 }
  const responder = bus.respond('work', new URL('./fragile.mjs', import.meta.url), { isolated })
  await responder.ready()
  const completions = new Completions()
  const rerouted = []
  const replied = []
  for (let id = 0; id < kills; id++) {
    const askedAt = performance.now()
    const { value, reroutedFrom, attempts } = await bus.dispatch('work', id)
    if (attempts !== 2) throw new Error(`Message ${id} took ${attempts} attempts.`)
    rerouted.push(reroutedFrom[0].microseconds / 1000)
    replied.push(performance.now() - Math.max(askedAt, reroutedFrom[0].observedAt))
    completions.add(value)
  }
  await bus.close()
  return {
    exitToRerouteMs: summary(rerouted),
    exitToReplyMs: summary(replied),
    ...completions.report(kills),
    processesLeft: bus.processes.size,
  }
}
