import { subscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import { createServer } from '../../dist/index.js'
import { next, startChild, stopChild } from './child.mjs'
import { Completions } from './completions.mjs'
import { summary } from './statistics.mjs'

/** Workers that live at once: one is killed, another takes over. The next round begins when it is replaced: starting a process would be measured otherwise. */
const POOL = 2

/**
 * Kills worker processes with SIGKILL while they are at a message. Measured here, where the server is: from the close of the socket to the write of the push for the next
 * worker, and from the kill to the reply of that worker.
 */
export async function killConnections({ kills }) {
  const server = await createServer({ port: 0, administration: false })
  const workers = new Set()
  let count = 0
  const start = async () => {
    count++
    workers.add(await startChild('./worker.mjs', server.url, `worker-${count}`, '8'))
  }
  await Promise.all(Array.from({ length: POOL }, start))
  const times = watchReroutes()
  const completions = new Completions()
  const replied = []
  for (let id = 0; id < kills; id++) {
    const holding = [...workers].map((worker) => ({ worker, told: next(worker.child, 'holding') }))
    for (const { told } of holding) told.message.catch(() => {})
    const outcome = server.bus.dispatch('work', { id, hold: true })
    const victim = await Promise.race(
      holding.map(async ({ worker, told }) => {
        await told.message
        return worker
      }),
    )
    workers.delete(victim)
    times.arm()
    const killedAt = performance.now()
    victim.child.kill('SIGKILL')
    const { value, attempts } = await outcome
    replied.push(performance.now() - killedAt)
    if (attempts !== 2) throw new Error(`Message ${id} took ${attempts} attempts.`)
    completions.add(value)
    for (const { worker, told } of holding) if (worker !== victim) told.cancel()
    await start()
  }
  const group = server.bus.group('work')
  const { refusedAnswers } = group
  for (const { child } of workers) await stopChild(child)
  const processesLeft = server.bus.processes.size
  await server.close()
  times.stop()
  return {
    closeToPushMs: summary(times.written),
    closeToRerouteMs: summary(times.rerouted),
    killToReplyMs: summary(replied),
    ...completions.report(kills),
    refusedAnswers,
    processesLeft,
  }
}

/** The instants of the server's side: what Node tells of a close first, then the re-route, then the write. */
function watchReroutes() {
  const times = { rerouted: [], written: [], arm, stop }
  let closedAt = 0
  let awaitsWrite = false
  const { emit, write } = Socket.prototype
  // The earliest that a program can know: Node emits `end` or `error` before `close`.
  Socket.prototype.emit = function (event, ...args) {
    if (event === 'end' || event === 'error' || event === 'close') {
      if (closedAt === 0) closedAt = performance.now()
    }
    return emit.call(this, event, ...args)
  }
  Socket.prototype.write = function (...args) {
    if (awaitsWrite) {
      awaitsWrite = false
      times.written.push(performance.now() - closedAt)
    }
    return write.apply(this, args)
  }
  subscribe('liminal:dispatch:rerouted', () => {
    times.rerouted.push(performance.now() - closedAt)
    awaitsWrite = true
  })
  /** From now on the first socket that ends is the one that was killed. */
  function arm() {
    closedAt = 0
  }
  function stop() {
    Socket.prototype.emit = emit
    Socket.prototype.write = write
  }
  return times
}
