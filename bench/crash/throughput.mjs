import { createServer } from '../../dist/index.js'
import { startChild, stopChild } from './child.mjs'

const IN_FLIGHT = 64

/** Completions per second of no-op work by two workers in processes of their own. */
export async function dispatchThroughput({ seconds }) {
  const server = await createServer({ port: 0, administration: false })
  const workers = await Promise.all(
    [1, 2].map((number) => startChild('./worker.mjs', server.url, `worker-${number}`, String(IN_FLIGHT))),
  )
  await run(server.bus, 1)
  const cpuBefore = process.cpuUsage()
  const { completions, elapsedMs } = await run(server.bus, seconds)
  const cpu = process.cpuUsage(cpuBefore)
  for (const { child } of workers) await stopChild(child)
  await server.close()
  return {
    inFlight: IN_FLIGHT,
    completionsPerSecond: Math.round(completions / (elapsedMs / 1000)),
    serverCpuMicrosecondsEach: Math.round(((cpu.user + cpu.system) / completions) * 100) / 100,
  }
}

async function run(bus, seconds) {
  const startedAt = performance.now()
  const endsAt = startedAt + seconds * 1000
  let completions = 0
  const lane = async () => {
    while (performance.now() < endsAt) {
      await bus.dispatch('work', { id: completions })
      completions++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return { completions, elapsedMs: performance.now() - startedAt }
}
