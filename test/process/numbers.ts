/**
 * What processes cost: `npx tsx test/process/numbers.ts`, with NODE_OPTIONS=--expose-gc for the memory. Each line is the best of five rounds, because the
 * machine may be doing other things.
 */
import { exitError, type PassiveProcess, ProcessSystem } from '../../ts/process/index.ts'

const ROUNDS = 5
const COUNT = 100_000

function report(what: string, value: string): void {
  console.log(`| ${what} | ${value} |`)
}

async function nanoseconds(what: string, count: number, work: () => unknown): Promise<void> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    await work()
    best = Math.min(best, performance.now() - start)
  }
  report(what, `${Math.round((best * 1e6) / count)} ns`)
}

function bytesEach(what: string, make: (processes: ProcessSystem) => unknown): void {
  const { gc } = globalThis
  if (gc === undefined) return
  const processes = new ProcessSystem()
  gc()
  const before = process.memoryUsage().heapUsed
  const kept: unknown[] = new Array(COUNT).fill(null)
  const holder = process.memoryUsage().heapUsed - before
  for (let index = 0; index < COUNT; index++) kept[index] = make(processes)
  gc()
  report(what, `${Math.round((process.memoryUsage().heapUsed - before - holder) / kept.length)} bytes`)
  processes.close()
}

/** Births and exits. */
async function lives(): Promise<void> {
  const processes = new ProcessSystem()
  await nanoseconds('spawn and end a passive process', COUNT, () => {
    for (let index = 0; index < COUNT; index++) processes.spawnPassive().end()
  })
  const options = { name: 'session', onExit: () => {} }
  await nanoseconds('the same with a name and onExit', COUNT, () => {
    for (let index = 0; index < COUNT; index++) processes.spawnPassive(options).end()
  })
  const hub = processes.spawnPassive({ onTrapped: () => {} })
  await nanoseconds('the same, linked with a process that traps', COUNT, () => {
    for (let index = 0; index < COUNT; index++) {
      const session = processes.spawnPassive(options)
      session.link(hub)
      session.end()
    }
  })
  await nanoseconds('spawn, watch, crash, be told', COUNT, () => {
    for (let index = 0; index < COUNT; index++) {
      const session = processes.spawnPassive()
      processes.monitor(session, () => {})
      session.end(exitError('crash'))
    }
  })
  await nanoseconds('spawn a body that returns, and its exit', COUNT, async () => {
    for (let index = 0; index < COUNT; index++) processes.spawn(() => {})
    await new Promise((resolve) => setImmediate(resolve))
  })
}

async function cascade(): Promise<void> {
  const processes = new ProcessSystem()
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const first = processes.spawnPassive()
    let last: PassiveProcess = first
    for (let index = 1; index < COUNT; index++) {
      const next = processes.spawnPassive()
      next.link(last)
      last = next
    }
    const start = performance.now()
    first.end(exitError('crash'))
    best = Math.min(best, performance.now() - start)
  }
  report(
    `an exit through a chain of ${COUNT.toLocaleString('en')} links, each`,
    `${Math.round((best * 1e6) / COUNT)} ns`,
  )
}

async function messages(): Promise<void> {
  const processes = new ProcessSystem()
  const idle = processes.spawn<number>(() => new Promise(() => {}), { mailbox: COUNT * (ROUNDS + 1) })
  await nanoseconds('send to a mailbox that nobody awaits', COUNT, () => {
    for (let index = 0; index < COUNT; index++) idle.send(index)
  })
  await nanoseconds('send and receive, 1,000 at a time', COUNT, async () => {
    let left = COUNT
    const reader = processes.spawn<number>(async (self) => {
      while (left > 0) {
        await self.next()
        left--
      }
    })
    for (let sent = 0; sent < COUNT; sent += 1_000) {
      for (let index = 0; index < 1_000; index++) reader.send(index)
      while (left > COUNT - sent - 1_000) await new Promise((resolve) => setImmediate(resolve))
    }
    await reader.exited
  })
  await nanoseconds('a message there and back between two bodies', COUNT, async () => {
    const echo = processes.spawn<number>(async (self) => {
      for await (const received of self) if (received.is === 'message') self.send(asker, received.message)
    })
    const asker = processes.spawn<number>(async (self) => {
      for (let index = 0; index < COUNT; index++) {
        self.send(echo, index)
        await self.next()
      }
    })
    await asker.exited
    echo.exit()
  })
}

await lives()
await cascade()
await messages()
bytesEach('a passive process', (processes) => processes.spawnPassive())
const options = { name: 'session', onExit: () => {} }
bytesEach('a passive process with a name, onExit and its link to another', (processes) => {
  const session = processes.spawnPassive(options)
  const hub = processes.get(1)
  if (hub !== undefined && session.pid > 1) session.link(hub)
  return session
})
bytesEach('a process whose body waits for its mailbox', (processes) => processes.spawn((self) => self.next()))
