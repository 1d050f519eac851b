import { LiminalError } from '../errors.ts'
import { saySinkFailed } from './diagnostics.ts'
import type { Logged, MessageRun, Sink } from './run.ts'

/** A place in the fan-out of a channel. */
export interface ChannelSubscription {
  /** Unique in the bus, from 1. */
  readonly id: bigint
  /** Stops deliveries at once, also in the middle of a fan-out. Idempotent. */
  unsubscribe(): void
}

class Place implements ChannelSubscription {
  readonly id: bigint
  /** `null` once the subscription has left: the place is vacant then. */
  sink: Sink | null
  readonly #left: () => void

  constructor(id: bigint, sink: Sink, left: () => void) {
    this.id = id
    this.sink = sink
    this.#left = left
  }

  unsubscribe(): void {
    if (this.sink === null) return
    this.sink = null
    this.#left()
  }
}

/** Vacated places kept before the list is compacted. */
const COMPACT_AT = 16

/** The subscriptions of one channel, in subscription order. */
export class FanOut {
  readonly #channel: string
  #places: Place[] = []
  #vacant = 0
  #running = 0
  /** Whether some sink was behind when it was last looked at. */
  #behind = false
  #hold: Promise<void> | null = null
  readonly #left = (): void => {
    this.#vacant++
    this.#compact()
  }

  constructor(channel: string) {
    this.#channel = channel
  }

  /** Subscriptions that get deliveries. */
  get size(): number {
    return this.#places.length - this.#vacant
  }

  /** Adds a sink behind all others. It gets what is delivered from now on. */
  add(id: bigint, sink: Sink): ChannelSubscription {
    const place = new Place(id, sink, this.#left)
    this.#places.push(place)
    return place
  }

  /**
   * Hands a run to every sink and returns how many took it. One that fails never keeps it from the others; one that joins meanwhile does not get it, one
   * that leaves meanwhile gets no more.
   */
  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged | null): number {
    const places = this.#places
    const count = places.length
    let taken = 0
    let behind = false
    this.#running++
    for (let index = 0; index < count; index++) {
      const place = places[index]
      const sink = place.sink
      if (sink === null) continue
      try {
        if (sink.deliver(run, schemaId, logged)) {
          taken++
          if (!behind && sink.hold() !== null) behind = true
        } else {
          place.unsubscribe()
        }
      } catch (error) {
        this.#removeFailed(place, sink, error)
      }
    }
    this.#running--
    this.#behind = behind
    this.#compact()
    return taken
  }

  /** What publishers wait for: settles when all that are behind now have caught up or given up. `null` if none is. */
  hold(): Promise<void> | null {
    if (!this.#behind) return null
    // Publishers may be thousands, and share one promise.
    if (this.#hold !== null) return this.#hold
    // A set: the sinks of one session share its outbox, and so its hold.
    const holds = new Set<Promise<void>>()
    for (const { sink } of this.#places) {
      const hold = sink?.hold() ?? null
      if (hold !== null) holds.add(hold)
    }
    if (holds.size === 0) {
      this.#behind = false
      return null
    }
    this.#hold = Promise.allSettled(holds).then(() => {
      this.#hold = null
    })
    return this.#hold
  }

  /** Ends all subscriptions. */
  end(error: LiminalError): void {
    for (const place of [...this.#places]) {
      const sink = place.sink
      if (sink === null) continue
      place.unsubscribe()
      this.#tell(place, sink, error)
    }
  }

  #removeFailed(place: Place, sink: Sink, error: unknown): void {
    place.unsubscribe()
    saySinkFailed(this.#channel, place.id, error)
    const message = `Subscription ${place.id} to channel '${this.#channel}' failed while it took a delivery and was ended. Subscribe again.`
    this.#tell(place, sink, new LiminalError('INTERNAL', message, { cause: error }))
  }

  #tell(place: Place, sink: Sink, error: LiminalError): void {
    try {
      sink.end(error)
    } catch (failure) {
      saySinkFailed(this.#channel, place.id, failure)
    }
  }

  #compact(): void {
    const places = this.#places.length
    const worthwhile = this.#vacant === places || (this.#vacant >= COMPACT_AT && this.#vacant * 2 >= places)
    // Never under a running fan-out: its indexes would slip.
    if (this.#vacant === 0 || this.#running > 0 || !worthwhile) return
    this.#places = this.#places.filter((place) => place.sink !== null)
    this.#vacant = 0
  }
}
