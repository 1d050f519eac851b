import { availableParallelism } from 'node:os'
import type { Child } from '../process/child.ts'
import type { HeapReport } from '../process/messages.ts'
import { cpuMicroseconds, loadAverage, machineUsage } from '../process/usage.ts'
import type { RunningServer } from '../systems/system.ts'
import type { Metrics } from './measurement.ts'

/** What some work cost. */
export interface Cost {
  readonly seconds: number
  /** Microseconds of CPU time of the server, and of each client. */
  readonly server: number
  readonly clients: readonly number[]
  /** Of servers that run in Node. */
  readonly heap: HeapReport | null
  readonly noise: Pick<Metrics, 'foreign' | 'stolen' | 'load'>
}

/** Does `work` and measures what it cost the server and the clients given. */
export async function costOf<Result>(
  server: RunningServer,
  clients: readonly Child[],
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly cost: Cost }> {
  server.node?.tell({ type: 'watch-heap' })
  const processes = [server.pid, ...clients.map(({ pid }) => pid)]
  const before = readings(processes)
  const load = loadAverage()
  const result = await work()
  const after = readings(processes)
  const heap = server.node === null ? null : (await server.node.request({ type: 'report-heap' }, 'heap')).report

  const seconds = after.at - before.at
  const spent = after.cpu.map((cpu, index) => cpu - before.cpu[index])
  const ours = (spent.reduce((sum, each) => sum + each, 0) + after.own - before.own) / 1e6
  const available = seconds * availableParallelism()
  return {
    result,
    cost: {
      seconds,
      server: spent[0],
      clients: spent.slice(1),
      heap,
      noise: {
        foreign: Math.max(0, after.machine.busy - before.machine.busy - ours) / available,
        stolen: (after.machine.stolen - before.machine.stolen) / available,
        load,
      },
    },
  }
}

/** The cost of one message (or request), as metrics. `clients` are a publisher and a subscriber, as far as there are such. */
export function costPerMessage({ server, clients, heap, noise, seconds }: Cost, messages: number) {
  const [publisher, subscriber] = clients
  return {
    serverCpu: server / messages,
    ...(publisher === undefined ? {} : { publisherCpu: publisher / messages }),
    ...(subscriber === undefined ? {} : { subscriberCpu: subscriber / messages }),
    ...(heap === null
      ? {}
      : { allocated: heap.allocatedBytes / messages, collecting: heap.collectionMilliseconds / seconds }),
    ...noise,
  }
}

function readings(processes: readonly number[]) {
  const { user, system } = process.cpuUsage()
  return {
    at: performance.now() / 1_000,
    own: user + system,
    machine: machineUsage(),
    cpu: processes.map(cpuMicroseconds),
  }
}
