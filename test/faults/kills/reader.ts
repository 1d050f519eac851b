import type { Channel, CursorOptions, Delivery, SubscribeOptions, Subscription } from '../../../ts/bus/index.ts'
import { connect } from '../../../ts/client/index.ts'
import { LiminalError } from '../../../ts/errors.ts'
import type { Random } from '../random.ts'
import { Effects } from './effects.ts'
import { identityOf, keyOf } from './message.ts'
import { RECONNECT } from './publisher.ts'

/** How a reader accepts. `handler`: whole batches; `loop`: now and then, all before it; `each`: one by one in any order, some rejected; `confirmed`: as `loop`, and it waits for its checkpoints. */
export type Manner = 'handler' | 'loop' | 'each' | 'confirmed'

export interface ReaderOptions {
  readonly url: string
  readonly channel: string
  readonly manner: Manner
  readonly random: Random
  readonly onDelivered: () => void
}

const CHECKPOINTS: Readonly<Record<Manner, CursorOptions['checkpoint']>> = {
  handler: 'message',
  loop: { every: 16, withinMs: 20 },
  each: 'message',
  confirmed: 'explicit',
}

/** Deliveries that a reader which picks what it accepts has at once. */
const IN_FLIGHT = 32

/** What may end a subscription, or its bus, while servers are killed. Anything else is a finding. */
const LOST: readonly string[] = ['CONNECTION_LOST', 'CONNECTION_FAILED', 'CLOSED']

/** A subscriber with a named cursor. Checks as it goes that nothing is left out, and does everything once for each key. */
export class Reader {
  readonly name: string
  readonly channel: string
  readonly effects = new Effects()
  /** Rejects with the first thing that is wrong; resolves after {@link stop}. */
  readonly finished: Promise<void>
  readonly #options: ReaderOptions
  readonly #stop = new AbortController()
  #awaited: { readonly position: bigint; readonly resolve: () => void } | null = null
  /** The first position that never came. */
  #next = 0n
  /** All below are confirmed to be checkpointed: they must not come again. */
  #confirmed = 0n
  #redelivered = 0
  #retried = 0

  constructor(options: ReaderOptions) {
    this.#options = options
    this.channel = options.channel
    this.name = `${options.channel}-${options.manner}`
    this.finished = this.#run()
    this.finished.catch(() => undefined)
  }

  /** Deliveries that came before, and how many of them said so by their attempt. */
  get again(): { readonly redelivered: number; readonly retried: number } {
    return { redelivered: this.#redelivered, retried: this.#retried }
  }

  /** For whoever wonders where it is stuck. */
  get state(): string {
    return `${this.name} at ${this.#next}`
  }

  /** Resolves when every position below this one has come. */
  reached(position: bigint): Promise<void> {
    if (this.#next >= position) return Promise.resolve()
    return new Promise((resolve) => {
      this.#awaited = { position, resolve }
    })
  }

  /** Ends its subscription: what was accepted is checkpointed. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.finished
  }

  async #run(): Promise<void> {
    const { url, channel, manner } = this.#options
    // These leave reconnecting to their bus; the others subscribe anew each time.
    const patient = manner === 'handler' || manner === 'each'
    while (!this.#stop.signal.aborted) {
      try {
        const bus = await connect(url, { reconnect: patient ? RECONNECT : false })
        try {
          await this.#read(bus.channel<Uint8Array>(channel, { payload: 'bytes' }))
        } finally {
          await bus.close()
        }
      } catch (error) {
        if (patient || !(error instanceof LiminalError && LOST.includes(error.code))) throw error
      }
    }
  }

  async #read(channel: Channel<Uint8Array>): Promise<void> {
    const { manner } = this.#options
    const options: SubscribeOptions = {
      cursor: { name: this.name, checkpoint: CHECKPOINTS[manner] ?? 'message' },
      from: 'earliest',
    }
    switch (manner) {
      case 'handler':
        return this.#handle(channel, options)
      case 'each':
        return this.#pick(channel.subscribe({ ...options, accept: 'each', maxInFlight: IN_FLIGHT }))
      case 'loop':
      case 'confirmed':
        return this.#loop(channel.subscribe({ ...options, accept: 'explicit', maxInFlight: 4 * IN_FLIGHT }))
    }
  }

  async #handle(channel: Channel<Uint8Array>, options: SubscribeOptions): Promise<void> {
    const subscription = channel.subscribe((deliveries) => {
      for (const delivery of deliveries) this.#take(delivery)
    }, options)
    this.#closeOnStop(subscription)
    await subscription.closed
  }

  async #loop(subscription: Subscription<Uint8Array>): Promise<void> {
    const { random, manner } = this.#options
    const room = 4 * IN_FLIGHT
    this.#closeOnStop(subscription)
    let unaccepted = 0
    for await (const delivery of subscription) {
      this.#take(delivery)
      if (++unaccepted < room && random(8) > 0) continue
      unaccepted = 0
      delivery.accept()
      if (manner === 'confirmed' && random(4) === 0) {
        const accepted = (delivery.position ?? 0n) + 1n
        await subscription.checkpoint()
        this.#confirmed = accepted
      }
    }
    await subscription.closed
  }

  /** Accepts what it holds in any order, and hands some back. */
  async #pick(subscription: Subscription<Uint8Array>): Promise<void> {
    const { random } = this.#options
    this.#closeOnStop(subscription)
    const held: Delivery<Uint8Array>[] = []
    for await (const delivery of subscription) {
      this.#take(delivery)
      held.push(delivery)
      while (held.length > 0 && (held.length >= IN_FLIGHT || random(3) > 0)) {
        const [picked] = held.splice(random(held.length), 1)
        if (random(32) === 0) picked.reject({ reason: 'not now', delayMs: random(3) })
        else picked.accept()
      }
    }
    await subscription.closed
  }

  #closeOnStop(subscription: Subscription<Uint8Array>): void {
    const { signal } = this.#stop
    const close = () => void subscription.close()
    if (signal.aborted) close()
    else signal.addEventListener('abort', close, { once: true })
    // A subscription that ended by itself is not waited for.
    subscription.closed.catch(() => undefined).finally(() => signal.removeEventListener('abort', close))
  }

  #take({ position, attempt, bytes }: Delivery<Uint8Array>): void {
    const identity = identityOf(bytes)
    const what = `${this.name} got ${keyOf(identity)} at ${position}`
    if (position === null) throw new Error(`${what}: a delivery without a position.`)
    if (position < this.#confirmed) throw new Error(`${what}, after it had checkpointed ${this.#confirmed}.`)
    if (position > this.#next) throw new Error(`${what}, and never ${this.#next}.`)
    const first = this.effects.apply(identity)
    if (first !== (position === this.#next))
      throw new Error(`${what}: ${first ? 'a new message at an old position' : 'an old message at a new position'}.`)
    if (first) this.#next++
    else {
      this.#redelivered++
      if (attempt > 1) this.#retried++
    }
    this.#options.onDelivered()
    if (this.#awaited !== null && this.#next >= this.#awaited.position) {
      this.#awaited.resolve()
      this.#awaited = null
    }
  }
}
