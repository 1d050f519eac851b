import { setImmediate as turn } from 'node:timers/promises'
import type { AcknowledgedPublisher, Client, Connecting, Publisher } from '../clients/client.ts'
import { now } from '../measure/clock.ts'
import { MessageRing } from '../measure/message.ts'
import { latencyOf } from '../measure/statistics.ts'
import type { AcknowledgedForm, Assignment, Role, UnacknowledgedForm } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import { notOffered, type Part } from './role.ts'
import { Window } from './window.ts'

type PublisherRole = Extract<Role, { kind: 'publisher' }>

/** Publishes one sequence of messages, phase after phase. The last message of a phase is marked, so that whoever gets it knows. */
export async function startPublisher(
  client: Client,
  connecting: Connecting,
  { run, size }: Assignment,
  role: PublisherRole,
): Promise<Part> {
  const ring = new MessageRing(run, size, role.window ?? role.inFlight * 2)
  const window = new Window(role.window ?? Number.POSITIVE_INFINITY)
  const phases =
    role.form === 'unacknowledged' || role.form === 'keyed'
      ? new Sending(ring, window, role.burst, await publisherOf(client, connecting, role, role.form))
      : await Acknowledging.start(client, connecting, ring, window, role, role.form)
  return {
    phase: (seconds, messages) => phases.run(seconds, messages),
    progress: (through) => window.reported(through),
  }
}

function publisherOf(
  client: Client,
  connecting: Connecting,
  { subscribers }: PublisherRole,
  form: UnacknowledgedForm,
): Promise<Publisher> {
  if (client.publisher === undefined) throw notOffered('unacknowledged publish')
  return client.publisher(connecting, subscribers, form)
}

/** Publishes bursts, one for each turn of the event loop, as far as the window and the client have room. */
class Sending {
  readonly #ring: MessageRing
  readonly #window: Window
  readonly #burst: number
  readonly #publisher: Publisher
  #next = 0

  constructor(ring: MessageRing, window: Window, burst: number, publisher: Publisher) {
    this.#ring = ring
    this.#window = window
    this.#burst = burst
    this.#publisher = publisher
  }

  async run(seconds: number, messages: number): Promise<void> {
    const first = this.#next
    const startedAt = now()
    const deadline = startedAt + seconds * 1_000
    for (let final = false; !final; ) {
      if (this.#window.room(this.#next) <= 0) await this.#window.opened()
      const left = messages - (this.#next - first)
      final = left === 1 || now() >= deadline
      await this.#publish(final ? 1 : Math.min(this.#burst, left - 1, this.#window.room(this.#next)), final)
    }
    const endedAt = now()
    parent.tell({ type: 'published', startedAt, endedAt, messages: this.#next - first, latency: null })
  }

  async #publish(count: number, final: boolean): Promise<void> {
    const publisher = this.#publisher
    const end = this.#next + count
    while (this.#next < end) {
      if (publisher.publish(this.#ring.message(this.#next, final))) this.#next += 1
      else await publisher.room()
    }
    await (publisher.room() ?? undefined)
    await turn()
  }
}

/** One of so many messages is timed. */
const TIMED = 16

/** Publishes with so many acknowledgements outstanding, the next one as soon as one comes. */
class Acknowledging {
  readonly #ring: MessageRing
  readonly #window: Window
  readonly #inFlight: number
  readonly #publisher: AcknowledgedPublisher
  /** When the timed ones were published, oldest first: acknowledgements come in publish order. */
  readonly #timed: number[] = []
  #latencies: number[] = []
  #next = 0
  #acknowledged = 0
  #last = 0
  #deadline = 0
  #running = false
  #waiting = false
  #done: () => void = () => undefined

  private constructor(ring: MessageRing, window: Window, inFlight: number, publisher: AcknowledgedPublisher) {
    this.#ring = ring
    this.#window = window
    this.#inFlight = inFlight
    this.#publisher = publisher
  }

  static async start(
    client: Client,
    connecting: Connecting,
    ring: MessageRing,
    window: Window,
    { inFlight, subscribers }: PublisherRole,
    form: AcknowledgedForm,
  ): Promise<Acknowledging> {
    if (client.acknowledgedPublisher === undefined) throw notOffered('acknowledged publish')
    let self: Acknowledging | null = null
    const acknowledged = (count: number) => self?.acknowledge(count)
    const publisher = await client.acknowledgedPublisher(connecting, acknowledged, form, subscribers)
    self = new Acknowledging(ring, window, inFlight, publisher)
    return self
  }

  async run(seconds: number, messages: number): Promise<void> {
    const first = this.#next
    const startedAt = now()
    this.#deadline = startedAt + seconds * 1_000
    this.#last = first + messages - 1
    this.#latencies = []
    this.#running = true
    await new Promise<void>((resolve) => {
      this.#done = resolve
      this.#fill()
    })
    const endedAt = now()
    parent.tell({
      type: 'published',
      startedAt,
      endedAt,
      messages: this.#next - first,
      latency: latencyOf(this.#latencies),
    })
  }

  acknowledge(count: number): void {
    for (
      let timed = Math.ceil(this.#acknowledged / TIMED) * TIMED;
      timed < this.#acknowledged + count;
      timed += TIMED
    ) {
      const publishedAt = this.#timed.shift()
      if (publishedAt === undefined) throw new Error('more was acknowledged than published')
      this.#latencies.push(now() - publishedAt)
    }
    this.#acknowledged += count
    if (this.#running) this.#fill()
    else if (this.#acknowledged === this.#next) this.#done()
  }

  #fill(): void {
    const from = this.#next
    while (this.#running && this.#next - this.#acknowledged < this.#inFlight) {
      if (this.#window.room(this.#next) <= 0) {
        this.#await()
        break
      }
      const timed = this.#next % TIMED === 0
      const at = timed ? now() : 0
      if (timed) this.#timed.push(at)
      const final = this.#next === this.#last || (timed && at >= this.#deadline)
      this.#publisher.publish(this.#ring.message(this.#next, final))
      this.#next += 1
      if (final) this.#running = false
    }
    if (this.#next > from) this.#publisher.flush?.()
  }

  #await(): void {
    if (this.#waiting) return
    this.#waiting = true
    const goOn = () => {
      this.#waiting = false
      this.#fill()
    }
    this.#window.opened().then(goOn, parent.fail)
  }
}
