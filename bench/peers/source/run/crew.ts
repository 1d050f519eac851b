import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Check } from '../measure/message.ts'
import { Child } from '../process/child.ts'
import type { Role } from '../process/messages.ts'
import { memoryBytes } from '../process/usage.ts'
import type { RunningServer, System } from '../systems/system.ts'
import type { WorkloadName } from '../workloads.ts'
import type { Metrics } from './measurement.ts'

/** Seconds beyond its length after which a phase counts as stuck. */
const GRACE_SECONDS = 30

/** The sequence word has no room for more in one run. */
const MOST_MESSAGES = 1_000_000_000

/** The server and the clients of one run. */
export class Crew {
  readonly system: System
  readonly server: RunningServer
  readonly #children: Child[] = []
  readonly #run = randomInt(2 ** 31 - 1)

  private constructor(system: System, server: RunningServer) {
    this.system = system
    this.server = server
  }

  /** Does `work` with a server of its own in a folder of its own. Whatever happens, also where `signal` ends it, nothing of it stays. */
  static async run<Result>(
    system: System,
    workload: WorkloadName,
    signal: AbortSignal,
    work: (crew: Crew) => Promise<Result>,
  ): Promise<Result> {
    const directory = await mkdtemp(join(tmpdir(), 'liminal-peers-'))
    try {
      const crew = new Crew(system, await system.start({ workload, directory }))
      try {
        return await orAborted(signal, work(crew))
      } finally {
        await Promise.all([...crew.#children.map((child) => child.end()), crew.server.end()])
      }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  /** Starts a client process and resolves when it is connected. */
  async start(role: Role, size: number): Promise<Child> {
    const { system, server } = this
    const module = new URL('../roles/client-process.js', import.meta.url)
    const child = new Child(`${system.name} ${role.kind}`, module, system.environment)
    this.#children.push(child)
    const assignment = { client: system.client, endpoint: server.endpoint, run: this.#run, size }
    await child.request({ type: 'prepare', assignment, role }, 'ready')
    return child
  }

  /**
   * Has `starter` publish, ask or read, and resolves with what says that it is over.
   *
   * @throws Error with what `witness` found so far if it is not over half a minute after its time.
   */
  async phase<Result>(
    starter: Child,
    limits: { readonly seconds: number; readonly messages: number },
    over: Promise<Result>,
    witness: Child,
  ): Promise<Result> {
    starter.tell({ type: 'phase', seconds: limits.seconds, messages: Math.min(limits.messages, MOST_MESSAGES) })
    let timer: NodeJS.Timeout | undefined
    const stuck = new Promise<never>((_, reject) => {
      const report = async () => {
        throw new Error(`It got stuck: ${await this.#describe(witness)}`)
      }
      timer = setTimeout(() => report().catch(reject), (limits.seconds + GRACE_SECONDS) * 1_000)
    })
    try {
      return await Promise.race([over, stuck])
    } finally {
      clearTimeout(timer)
    }
  }

  /** @throws Error unless every connection of a child found exactly so many messages, each once and in its place. */
  async verify(child: Child, expected: number): Promise<void> {
    const { check } = await child.request({ type: 'check' }, 'checked')
    const wrong = check.find((each) => each.received !== expected || faultsOf(each) > 0)
    if (wrong !== undefined || check.length === 0)
      throw new Error(`${child.name}: of ${expected} messages it found ${JSON.stringify(wrong ?? null)}`)
  }

  /** Memory at its peak so far, of the server and of the clients given. */
  peaks(publisher: Child | null, subscriber: Child | null): Partial<Metrics> {
    return {
      serverPeak: memoryBytes(this.server.pid).peak,
      ...(publisher === null ? {} : { publisherPeak: memoryBytes(publisher.pid).peak }),
      ...(subscriber === null ? {} : { subscriberPeak: memoryBytes(subscriber.pid).peak }),
    }
  }

  async #describe(child: Child): Promise<string> {
    const { check } = await child.request({ type: 'check' }, 'checked')
    const slowest = check.toSorted((left, right) => left.received - right.received)[0]
    return `the slowest connection of ${child.name} has ${JSON.stringify(slowest)}`
  }
}

function faultsOf({ lost, duplicates, outOfOrder, corrupt }: Check): number {
  return lost + duplicates + outOfOrder + corrupt
}

/** The work, or the reason of the signal. */
async function orAborted<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
  })
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    // What is left of the work fails as its processes are ended.
    work.catch(() => undefined)
  }
}
