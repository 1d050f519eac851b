import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BusOptions } from '../../../ts/bus/index.ts'
import { connect } from '../../../ts/client/index.ts'
import { DurableServer } from '../durable-server.ts'
import { generator, type Random } from '../random.ts'
import { Ledger } from './ledger.ts'
import { readLog, verifyPeeked } from './log.ts'
import { Publisher } from './publisher.ts'
import { type Manner, Reader } from './reader.ts'
import { Relay } from './relay.ts'

/** One waits for the disk with every acknowledgement; a killed process loses nothing in the others either. */
const CHANNELS = ['each', 'interval', 'os'] as const
const DECLARATIONS: NonNullable<BusOptions['channels']> = CHANNELS.map((sync) => ({ name: sync, durable: { sync } }))
/** Syncs in time are among the moments at which a server is killed. */
const SYNC_INTERVAL_MS = 20
/** Windows of the publishers of each channel, by whether they leave reconnecting to their bus. */
const PUBLISHERS = [
  { window: 1, patient: true },
  { window: 16, patient: true },
  { window: 1, patient: false },
  { window: 8, patient: false },
] as const
const MANNERS: readonly Manner[] = ['handler', 'loop', 'each', 'confirmed']

/** Milliseconds for one round, or for the end. What takes longer is stuck. */
const STUCK_MS = 30_000

export interface KillRoundsOptions {
  readonly rounds: number
  /** Decides when the kills come, and what everybody does. */
  readonly seed: number
  /** Called after each round. */
  readonly onRound?: (round: number) => void
}

export interface KillRoundsSummary {
  readonly rounds: number
  readonly seed: number
  /** Kills before the server listened. */
  readonly killedInStart: number
  readonly messages: number
  /** Receipts that told of an original. */
  readonly duplicates: number
  /** Deliveries that came more than once, and those of them with an attempt above 1. */
  readonly redelivered: number
  readonly retried: number
  readonly seconds: number
}

/**
 * Kills a server under load again and again, and checks that nothing was lost, doubled or left out.
 *
 * @throws Error with the seed and the round.
 */
export async function killRounds({ rounds, seed, onRound }: KillRoundsOptions): Promise<KillRoundsSummary> {
  const directory = await mkdtemp(join(tmpdir(), 'liminal-kills-'))
  const scene = new Scene(directory, seed, await Relay.open())
  try {
    for (let round = 1; round <= rounds; round++) {
      await scene.round(round)
      onRound?.(round)
    }
    return { rounds, seed, ...(await scene.end()) }
  } catch (cause) {
    throw new Error(`Seed ${seed}, round ${scene.at}: ${describe(cause)}`, { cause })
  } finally {
    await scene.close()
    await rm(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** Everybody who takes part. */
class Scene {
  readonly #startedAt = performance.now()
  readonly #options: BusOptions
  readonly #random: Random
  readonly #relay: Relay
  readonly #ledgers = new Map<string, Ledger>()
  readonly #publishers: Publisher[] = []
  readonly #readers: Reader[] = []
  readonly #failed: Promise<never>
  #server: DurableServer | null = null
  #fail: (error: unknown) => void = () => undefined
  /** What is waited for: so many more acknowledgements and deliveries. */
  #countdown: { left: number; readonly resolve: () => void } | null = null
  #killedInStart = 0
  #round: number | 'the end' = 0

  constructor(directory: string, seed: number, relay: Relay) {
    this.#options = { dataDir: directory, channels: DECLARATIONS, syncIntervalMs: SYNC_INTERVAL_MS }
    this.#random = generator(seed)
    this.#relay = relay
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => undefined)
  }

  get at(): string {
    return String(this.#round)
  }

  /** Starts a server, and kills it: while it starts, or after so many acknowledgements and deliveries, or after some milliseconds. */
  async round(round: number): Promise<void> {
    this.#round = round
    const server = new DurableServer(this.#options)
    this.#server = server
    if (round > 1 && this.#random(10) === 0) {
      await pass(this.#random(200))
      this.#killedInStart++
    } else {
      this.#relay.lead(await this.#within(server.listening, 'the server to listen'))
      if (this.#publishers.length === 0) this.#populate()
      await this.#within(this.#counted(1 + this.#random(1_000)), 'acknowledgements and deliveries')
      if (this.#random(2) === 0) await pass(this.#random(60))
    }
    await server.kill()
    this.#relay.cut()
  }

  /** Lets everybody finish and looks at what there is, also once more after another start. */
  async end() {
    this.#round = 'the end'
    const server = await this.#start()
    for (const publisher of this.#publishers) publisher.stop()
    await this.#within(Promise.all(this.#publishers.map(({ finished }) => finished)), 'the last acknowledgements')
    const logs = await this.#within(this.#verify(), 'the log')
    await this.#within(
      Promise.all(this.#readers.map((reader) => reader.reached(BigInt(logs.get(reader.channel)?.length ?? 0)))),
      'the last deliveries',
    )
    for (const reader of this.#readers) {
      await this.#within(reader.stop(), `${reader.name} to stop`)
      reader.effects.verify(reader.name, logs.get(reader.channel) ?? [])
    }
    this.#relay.cut()
    await this.#within(server.close(), 'the server to close')
    await this.#start()
    await this.#within(this.#verify(), 'the log after another start')
    return this.#summary()
  }

  /** Leaves nothing behind, however far it came. */
  async close(): Promise<void> {
    await this.#server?.kill()
    await this.#relay.close()
    await Promise.allSettled(this.#publishers.map((publisher) => publisher.abandon()))
    await Promise.allSettled(this.#readers.map((reader) => reader.stop()))
  }

  async #start(): Promise<DurableServer> {
    const server = new DurableServer(this.#options)
    this.#server = server
    this.#relay.lead(await this.#within(server.listening, 'the server to listen'))
    return server
  }

  #populate(): void {
    const { url } = this.#relay
    const counted = () => this.#count()
    // Everybody is at the strict one; at which of the others somebody is, the seed says.
    const swapped = this.#random(2)
    const isAt = (channel: string, index: number) =>
      channel === 'each' || (channel === 'interval') === ((index + swapped) % 2 === 0)
    for (const channel of CHANNELS) {
      const ledger = new Ledger(counted)
      this.#ledgers.set(channel, ledger)
      for (const [publisher, manner] of PUBLISHERS.entries()) {
        if (!isAt(channel, publisher)) continue
        const random = generator(this.#random(2 ** 31))
        this.#publishers.push(new Publisher({ url, channel, publisher, ...manner, random, ledger }))
      }
      for (const [index, manner] of MANNERS.entries()) {
        if (!isAt(channel, index)) continue
        const random = generator(this.#random(2 ** 31))
        this.#readers.push(new Reader({ url, channel, manner, random, onDelivered: counted }))
      }
    }
    for (const { finished } of [...this.#publishers, ...this.#readers]) finished.catch(this.#fail)
  }

  /** The logs of all channels, which must be what was acknowledged. */
  async #verify() {
    const logs = new Map<string, Awaited<ReturnType<typeof readLog>>>()
    const bus = await connect(this.#relay.url, { reconnect: false })
    try {
      for (const [channel, ledger] of this.#ledgers) {
        const log = await readLog(bus, channel)
        ledger.verify(log)
        await verifyPeeked(bus, channel, log)
        logs.set(channel, log)
      }
    } finally {
      await bus.close()
    }
    return logs
  }

  #summary() {
    const ledgers = [...this.#ledgers.values()]
    return {
      killedInStart: this.#killedInStart,
      messages: sum(ledgers.map(({ size }) => size)),
      duplicates: sum(ledgers.map(({ duplicates }) => duplicates)),
      redelivered: sum(this.#readers.map(({ again }) => again.redelivered)),
      retried: sum(this.#readers.map(({ again }) => again.retried)),
      seconds: Math.round((performance.now() - this.#startedAt) / 100) / 10,
    }
  }

  #counted(left: number): Promise<void> {
    return new Promise((resolve) => {
      this.#countdown = { left, resolve }
    })
  }

  #count(): void {
    if (this.#countdown === null || --this.#countdown.left > 0) return
    this.#countdown.resolve()
    this.#countdown = null
  }

  /** What was waited for; or the first thing that went wrong, or that it is stuck. */
  async #within<Result>(awaited: Promise<Result>, what: string): Promise<Result> {
    let timer: NodeJS.Timeout | undefined
    const stuck = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`stuck waiting for ${what}: ${this.#state()}`)), STUCK_MS)
    })
    try {
      return await Promise.race([awaited, this.#failed, stuck])
    } finally {
      clearTimeout(timer)
    }
  }

  #state(): string {
    const parts = [...this.#publishers, ...this.#readers].map((part) => part.state)
    return JSON.stringify({ ...this.#summary(), parts })
  }
}

/** The moment of a kill is the subject here: any will do. */
function pass(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? `${error.code}: ` : ''
  return `${code}${error.message}`
}
