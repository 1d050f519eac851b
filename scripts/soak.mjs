// Connects, asks, dispatches, streams and kills for minutes on end, and says whether the server's heap and its processes stay flat.
// node --expose-gc scripts/soak.mjs [--seconds 600]; prints JSON, exits with 1 if something grows.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    role: { type: 'string' },
    url: { type: 'string', default: '' },
  },
})

/** What a soak may leave behind: the heap of a server that has run warm, and the processes of one that is idle. */
const MOST_HEAP_GROWTH = 1.15
const SAMPLES = 30

if (values.role === 'worker') await worker(values.url)
else if (values.role === 'asker') await asker(values.url)
else await soak(Number(values.seconds))

async function soak(seconds) {
  if (!(seconds >= 10)) throw new Error('--seconds must be at least 10.')
  if (globalThis.gc === undefined) throw new Error('Run it with node --expose-gc.')
  const { createServer } = await import('../dist/index.js')
  const server = await createServer({ port: 0, administration: false })
  const children = new Set()
  const counts = { asks: 0, failures: {}, kills: 0 }
  let stopping = false
  const start = (role) => {
    const child = fork(fileURLToPath(import.meta.url), ['--role', role, '--url', server.url], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.add(child)
    child.on('message', ({ asks, failures }) => {
      counts.asks += asks
      for (const [code, times] of Object.entries(failures)) counts.failures[code] = (counts.failures[code] ?? 0) + times
    })
    child.once('exit', () => {
      children.delete(child)
      if (!stopping) start(role)
    })
    return child
  }
  for (const role of ['worker', 'worker', 'worker', 'asker', 'asker']) start(role)
  const samples = []
  const beganAt = performance.now()
  const between = (seconds * 1000) / SAMPLES
  while (samples.length < SAMPLES) {
    // Somebody dies in the middle of whatever it is at, again and again.
    const endsAt = beganAt + between * (samples.length + 1)
    while (performance.now() < endsAt) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(500, Math.max(0, endsAt - performance.now()))))
      const [victim] = [...children].sort(() => Math.random() - 0.5)
      if (victim !== undefined && Math.random() < 0.5) {
        counts.kills++
        victim.kill('SIGKILL')
      }
    }
    globalThis.gc()
    const { heapUsed, rss } = process.memoryUsage()
    samples.push({ heapUsed, rss, processes: server.bus.processes.size, sessions: server.sessions.length })
  }
  stopping = true
  await Promise.all(
    [...children].map(async (child) => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }),
  )
  // Their sockets are closed; the server has a moment to see it, and what it has not let go of then is a leak.
  for (let waits = 0; server.sessions.length > 0 && waits < 100; waits++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const left = {
    sessions: server.sessions.length,
    processes: server.bus.processes.size,
    conversations: server.bus.conversations().length,
  }
  await server.close()
  const third = SAMPLES / 3
  const first = median(samples.slice(2, third).map(({ heapUsed }) => heapUsed))
  const last = median(samples.slice(-third).map(({ heapUsed }) => heapUsed))
  const nothingLeft = Object.values(left).every((count) => count === 0)
  const failed = Object.values(counts.failures).reduce((sum, times) => sum + times, 0)
  // A soak in which nothing was done shows nothing.
  const worked = counts.asks > 0 && counts.kills > 0 && failed < counts.asks / 100
  const flat = last <= first * MOST_HEAP_GROWTH && nothingLeft && worked
  const mib = (bytes) => Math.round((bytes / 2 ** 20) * 100) / 100
  const report = {
    seconds,
    ...counts,
    heapMib: { firstThird: mib(first), lastThird: mib(last) },
    rssMib: { first: mib(samples[2].rss), last: mib(samples.at(-1).rss) },
    mostProcesses: Math.max(...samples.map(({ processes }) => processes)),
    left,
    flat,
  }
  console.log(JSON.stringify(report, null, 2))
  process.exitCode = flat ? 0 : 1
}

async function worker(url) {
  const { connect } = await import('../dist/index.js')
  const bus = await connect(url)
  bus.worker.register({ identity: `worker-${process.pid}`, taskQueue: 'work', capacity: 8 }, (work) => work)
  bus.respond('ask', (request) => request)
  bus.respond('stream', async function* (to) {
    for (let number = 0; number < to; number++) yield number
  })
}

async function asker(url) {
  const { connect } = await import('../dist/index.js')
  let asks = 0
  let failures = {}
  const told = setInterval(() => {
    process.send({ asks, failures })
    asks = 0
    failures = {}
  }, 250)
  told.unref()
  const attempt = async (call) => {
    try {
      await call()
      asks++
    } catch (error) {
      failures[error.code ?? error.name] = (failures[error.code ?? error.name] ?? 0) + 1
      // Nobody is there for a moment, or the connection is gone.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  for (;;) {
    const bus = await connect(url, { reconnect: false })
    const lane = async () => {
      for (let round = 0; round < 200; round++) {
        await attempt(() => bus.ask('ask', round, { onCrash: 'route-to-next', timeoutMs: 2_000 }))
        await attempt(() => bus.dispatch('work', round, { timeoutMs: 2_000 }))
        if (round % 20 === 0) {
          await attempt(async () => {
            for await (const part of bus.stream('stream', 100, { timeoutMs: 2_000 })) if (part === 50) break
          })
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    await bus.close()
  }
}

function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)]
}
