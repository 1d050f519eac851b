import { setImmediate as nextTurn } from 'node:timers/promises'
import { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import type { ChannelLog } from './channel-log.ts'
import { sayLogReadFailed } from './diagnostics.ts'
import type { ChannelSubscription } from './fan-out.ts'
import { bytesOf } from './log-reading.ts'
import type { MessageRun, Sink } from './run.ts'

/** Where a subscription begins in the log of a durable channel. A time is in milliseconds since the epoch. */
export type LogStart = 'latest' | 'earliest' | { readonly position: bigint } | { readonly time: number }

/** Read at once for a subscription that is behind. */
const PAGE_MESSAGES = 4_096
const PAGE_BYTES = 256 * 1024

/** `reading`: behind, or only beginning. `tail`: it gets messages as they are stored. */
type State = 'reading' | 'tail' | 'over'

/**
 * A subscription to a durable channel: reads the log from where it begins up to the end, and then gets what is stored as it is stored. One that has no room falls back to reading, so it is never shed
 * and never holds publishers: its backlog is the log.
 */
export class LogSubscription implements ChannelSubscription {
  readonly id: bigint
  readonly #log: ChannelLog
  readonly #sink: Sink
  readonly #left: (subscription: LogSubscription) => void
  #state: State = 'reading'
  #next = 0n
  #pumping = false

  /** @param left It is over, and wants no more. */
  constructor(id: bigint, log: ChannelLog, sink: Sink, start: LogStart, left: (subscription: LogSubscription) => void) {
    this.id = id
    this.#log = log
    this.#sink = sink
    this.#left = left
    if (start === 'latest') {
      this.#next = log.next
      this.#state = 'tail'
    } else {
      void this.#begin(start)
    }
  }

  /** Takes what was just stored. Returns whether the subscription will get it: now, or from the log. */
  stored(run: MessageRun, schemaId: Uint8Array, position: bigint): boolean {
    if (this.#state === 'over') return false
    // One that reads sees it there.
    if (this.#state === 'reading') return true
    if (this.#sink.room(bytesOf(run)) < run.count) {
      this.#fallBack()
      return true
    }
    if (!this.#sink.deliver(run, schemaId, { position, attempt: 1 })) {
      this.#leave()
      return false
    }
    this.#next = position + BigInt(run.count)
    return true
  }

  /** The channel has ended. */
  end(error: LiminalError): void {
    if (this.#state === 'over') return
    this.#leave()
    this.#sink.end(error)
  }

  /** It failed while it took a delivery. */
  fail(thrown: unknown): void {
    if (this.#state === 'over') return
    const message = `Subscription ${this.id} to channel '${this.#log.name}' failed while it took a delivery and was ended. Subscribe again.`
    this.end(new LiminalError('INTERNAL', message, { cause: thrown }))
  }

  unsubscribe(): void {
    if (this.#state !== 'over') this.#leave()
  }

  async #begin(start: Exclude<LogStart, 'latest'>): Promise<void> {
    try {
      // A promise also where nothing has to be looked up: whoever subscribes hears of it before the first delivery.
      this.#next = await positionOf(this.#log, start)
    } catch (thrown) {
      this.#readFailed(thrown)
      return
    }
    await this.#pump()
  }

  #fallBack(): void {
    this.#state = 'reading'
    // Not at once: to the log, what is being handed out is not there before everybody has had it.
    queueMicrotask(() => void this.#pump())
  }

  /** Reads on as far as there is room; one that has read everything gets what comes next as it is stored. */
  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#state === 'reading') {
        // What was removed meanwhile is not waited for.
        if (this.#next < this.#log.first) this.#next = this.#log.first
        if (this.#next >= this.#log.next) {
          // A position that is not there yet waits for it like everybody at the end.
          this.#next = this.#log.next
          this.#state = 'tail'
          return
        }
        const room = this.#sink.room()
        if (room <= 0) {
          this.#sink.onRoom(() => void this.#pump())
          return
        }
        const from = this.#next
        const isThere = await this.#readPage(room)
        if (!isThere && this.#isStuck(from)) throw unreadable(this.#log.name, from)
        // Pages may come from memory: whoever else has something to do is not kept from it until everything is read.
        await nextTurn()
      }
    } catch (thrown) {
      this.#readFailed(thrown)
    } finally {
      this.#pumping = false
    }
  }

  /** Delivers what there is room for of the next messages. Returns whether there were any. */
  async #readPage(room: number): Promise<boolean> {
    const limits = { maxMessages: Math.min(room, PAGE_MESSAGES), maxBytes: PAGE_BYTES }
    const runs = await this.#log.read(this.#next, limits)
    for (const { run, first, schemaId } of runs) {
      // Of each run anew: the one before may have filled the sink, by its bytes too.
      const left = this.#sink.room()
      if (this.#state !== 'reading' || left <= 0) break
      const part = run.count <= left ? run : { ...run, count: left }
      if (!this.#sink.deliver(part, schemaId, { position: first, attempt: 1 })) {
        if (this.#isLive) this.#leave()
        break
      }
      this.#next = first + BigInt(part.count)
      if (part.count < run.count) break
    }
    return runs.length > 0
  }

  /** Nothing was read although there should be something. */
  #isStuck(from: bigint): boolean {
    return this.#state === 'reading' && from >= this.#log.first
  }

  /** Deliveries may have ended it meanwhile. */
  get #isLive(): boolean {
    return this.#state !== 'over'
  }

  #readFailed(thrown: unknown): void {
    if (this.#state === 'over') return
    const error = toLiminalError(thrown)
    sayLogReadFailed(this.#log.name, error)
    this.end(error)
  }

  #leave(): void {
    this.#state = 'over'
    this.#left(this)
  }
}

/** The position that a start means now. One that is not there any more, or not yet, is left as it is. */
export async function positionOf(log: ChannelLog, start: LogStart): Promise<bigint> {
  if (start === 'latest') return log.next
  if (start === 'earliest') return log.first
  return 'position' in start ? start.position : await log.positionAt(start.time)
}

function unreadable(channel: string, position: bigint): LiminalError {
  return new LiminalError(
    'STORE_CORRUPT',
    `Message ${position} of channel '${channel}' should be there and cannot be read. Restore the store from a copy.`,
  )
}
