import { setImmediate as turn } from 'node:timers/promises'
import type { Channel } from '../../../ts/bus/index.ts'
import { connect, type RemoteBus } from '../../../ts/client/index.ts'
import { LiminalError } from '../../../ts/errors.ts'
import type { Random } from '../random.ts'
import type { Ledger } from './ledger.ts'
import { keyOf, payloadOf } from './message.ts'

/** Short waits: servers come back within a fraction of a second. */
export const RECONNECT = { baseMs: 5, maxMs: 50 } as const

/** What a lost connection may say. Anything else that a publish fails with is a finding. */
const LOST: readonly string[] = ['CONNECTION_LOST', 'CONNECTION_FAILED', 'CLOSED']

export interface PublisherOptions {
  readonly url: string
  readonly channel: string
  readonly publisher: number
  /** Publishes underway, at most. */
  readonly window: number
  /** Whether it leaves reconnecting to its bus, which publishes again by itself; otherwise it does so with a new one each time. */
  readonly patient: boolean
  readonly random: Random
  readonly ledger: Ledger
}

/** Publishes numbered messages, each with a key, and again until it is acknowledged; now and then one more time. */
export class Publisher {
  /** Resolves when it has stopped and everything is acknowledged. Rejects with the first thing that is wrong. */
  readonly finished: Promise<void>
  readonly #options: PublisherOptions
  #next = 0
  /** All below are acknowledged. */
  #acknowledged = 0
  #stopping = false
  #abandoned = false
  #bus: RemoteBus | null = null

  constructor(options: PublisherOptions) {
    this.#options = options
    this.finished = this.#run()
    this.finished.catch(() => undefined)
  }

  /** Starts no more messages. */
  stop(): void {
    this.#stopping = true
  }

  /** Ends it as it is. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    await this.#bus?.close()
  }

  /** For whoever wonders where it is stuck. */
  get state(): string {
    const { channel, publisher } = this.#options
    return `${channel} ${publisher}: ${this.#acknowledged} of ${this.#next} acknowledged`
  }

  get #done(): boolean {
    return this.#abandoned || (this.#stopping && this.#acknowledged === this.#next)
  }

  async #run(): Promise<void> {
    const { url, patient, channel } = this.#options
    while (!this.#done) {
      try {
        const bus = await connect(url, { reconnect: patient ? RECONNECT : false })
        this.#bus = bus
        try {
          await this.#publishAll(bus.channel<Uint8Array>(channel, { payload: 'bytes' }))
        } finally {
          await bus.close()
        }
      } catch (error) {
        if (patient || !(error instanceof LiminalError && LOST.includes(error.code))) throw error
      }
    }
  }

  /** What is not acknowledged goes first, in order; so the log has the order of the numbers whatever happens. */
  async #publishAll(channel: Channel<Uint8Array>): Promise<void> {
    let failure: unknown = null
    let number = this.#acknowledged
    const underway = new Set<Promise<void>>()
    while (failure === null && !this.#done) {
      while (underway.size < this.#options.window && (number < this.#next || !this.#stopping)) {
        const publishing = this.#publish(channel, number++).catch((error: unknown) => {
          failure ??= error
        })
        this.#next = Math.max(this.#next, number)
        underway.add(publishing)
        publishing.then(() => underway.delete(publishing))
      }
      if (underway.size > 0) await Promise.race(underway)
      await turn()
    }
    await Promise.all(underway)
    if (failure !== null) throw failure
  }

  async #publish(channel: Channel<Uint8Array>, number: number): Promise<void> {
    const { publisher, random, ledger } = this.#options
    const identity = { publisher, number }
    const publish = () => channel.publish(payloadOf(identity), { idempotencyKey: keyOf(identity), timeoutMs: 60_000 })
    ledger.acknowledged(identity, await publish())
    this.#acknowledged++
    // Once more, as somebody does who never saw the acknowledgement.
    if (random(16) === 0) ledger.acknowledged(identity, await publish())
  }
}
