import { createBus } from '../../dist/index.js'
import { exitKilled } from '../../dist/process/index.js'
import { Completions } from './completions.mjs'
import { summary } from './statistics.mjs'

/** Kills the participant that is at a request, again and again; another one takes over. Once by `ask`, once by `dispatch`. */
export async function killParticipants({ kills }) {
  const ask = await killAll(kills, (bus, id) => bus.ask('work', id, { onCrash: 'route-to-next' }))
  const dispatch = await killAll(kills, async (bus, id) => (await bus.dispatch('work', id)).value)
  return { ask, dispatch, lost: ask.lost + dispatch.lost, duplicates: ask.duplicates + dispatch.duplicates }
}

async function killAll(kills, request) {
  const bus = await createBus()
  const completions = new Completions()
  const rerouted = []
  const replied = []
  let observedAt = 0
  for (let id = 0; id < kills; id++) {
    const victim = bus.respond('work', () => new Promise(() => {}))
    const reply = request(bus, id)
    // The victim has it now: nobody else answers yet.
    const rescuer = bus.respond('work', (work) => {
      rerouted.push(performance.now() - observedAt)
      return work
    })
    observedAt = performance.now()
    victim.process.exit(exitKilled())
    completions.add(await reply)
    replied.push(performance.now() - observedAt)
    await rescuer.close()
  }
  const processes = bus.processes.size
  await bus.close()
  return {
    exitToRerouteMs: summary(rerouted),
    exitToReplyMs: summary(replied),
    ...completions.report(kills),
    processesLeft: processes,
  }
}
