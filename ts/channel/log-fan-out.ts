import type { LiminalError } from '../errors.ts'
import type { ChannelLog } from './channel-log.ts'
import { saySinkFailed } from './diagnostics.ts'
import type { ChannelSubscription } from './fan-out.ts'
import { type LogStart, LogSubscription } from './log-subscription.ts'
import type { MessageRun, Sink } from './run.ts'

/** The subscriptions of a durable channel, in subscription order. */
export class LogFanOut {
  readonly #log: ChannelLog
  readonly #subscriptions = new Set<LogSubscription>()

  constructor(log: ChannelLog) {
    this.#log = log
  }

  get size(): number {
    return this.#subscriptions.size
  }

  /** Adds a subscription. It gets nothing before this has returned. */
  add(id: bigint, sink: Sink, start: LogStart): ChannelSubscription {
    const subscription = new LogSubscription(id, this.#log, sink, start, (left) => this.#subscriptions.delete(left))
    this.#subscriptions.add(subscription)
    return subscription
  }

  /** Hands what was stored to every subscription and returns how many get it. One that fails never keeps it from the others. */
  deliver(run: MessageRun, schemaId: Uint8Array, position: bigint): number {
    let taken = 0
    for (const subscription of this.#subscriptions) {
      try {
        if (subscription.stored(run, schemaId, position)) taken++
      } catch (error) {
        saySinkFailed(this.#log.name, subscription.id, error)
        subscription.fail(error)
      }
    }
    return taken
  }

  /** Ends all subscriptions. */
  end(error: LiminalError): void {
    for (const subscription of [...this.#subscriptions]) {
      try {
        subscription.end(error)
      } catch (failure) {
        saySinkFailed(this.#log.name, subscription.id, failure)
      }
    }
  }
}
