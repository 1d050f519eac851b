import type { CausalContext } from '../protocol/index.ts'

/** How a channel is subscribed to. */
export interface SubscribeOptions {
  /**
   * Deliveries handed out and not yet accepted, at most. At least 1. Default 16,384 (iterator) or 65,536 (handler). With a cursor 16,384 at most, and 256 by default; with `maxAttempts` 16, and 1 if that
   * is 1: a crash of the bus costs all of them an attempt.
   */
  maxInFlight?: number
  /**
   * `'auto'` accepts a delivery when the iterator is asked for the next one; `'explicit'` waits for {@link Delivery.accept}, which accepts all before it too; `'each'` waits for the `accept` of
   * every single delivery, in any order. Default `'auto'`. With a handler it is always when the handler is done.
   */
  accept?: 'auto' | 'explicit' | 'each'
  /**
   * Where to begin in the log of a durable channel. Default `'latest'`: with what is published from now on. `{ time }` is a Date or milliseconds since the epoch. A position that is not there any
   * more begins with the oldest that is. Without meaning for a `cursor` that exists: it goes on where it was.
   */
  from?: StartPosition
  /**
   * A named cursor of a durable channel: remembers what was accepted, also across restarts, and redelivers what was not. One subscription owns it at a time: a newer one ends the older with
   * `CURSOR_FENCED`.
   */
  cursor?: string | CursorOptions
  /** Schema ids that this subscriber understands. Default: any. @throws (from `ready` and the iterator) `SchemaIncompatible`. */
  acceptedSchemas?: readonly Uint8Array[]
  /** Ends the subscription, like `close()`. */
  signal?: AbortSignal
}

/** Where in the log of a durable channel to begin, see {@link SubscribeOptions.from}. */
export type StartPosition = 'latest' | 'earliest' | { readonly position: bigint } | { readonly time: Date | number }

/** A named cursor and how it behaves. What is left out has its default; it is the owner's to say, and not remembered. */
export interface CursorOptions {
  /** 1 to 255 UTF-8 bytes without control characters. */
  readonly name: string
  /**
   * When the contiguous watermark of what was accepted is written down. `'message'`: with every acceptance that moves it (they share commits). `{ every, withinMs }`: after so many, or so long
   * after the first (default 1,000 ms). `'explicit'`: by `Subscription.checkpoint()` only. Default `'message'`. What was accepted after the last checkpoint is delivered again after a crash.
   */
  readonly checkpoint?: 'message' | 'explicit' | { readonly every: number; readonly withinMs?: number }
  /**
   * Milliseconds that a delivery may stay unaccepted before it is delivered again, with a higher attempt. They begin when the loop or the handler gets it, on a remote bus too. Default 30,000.
   */
  readonly leaseMs?: number
  /** Deliveries of one message at most, at least 1; after that it goes to the dead-letter channel and counts as accepted. Default: no limit. */
  readonly maxAttempts?: number
  /** Where messages go that were delivered `maxAttempts` times. Default `<channel>.dead-letter`, created durable when it is first used. */
  readonly deadLetter?: string
}

/** Gets deliveries in batches, see `Channel.subscribe`. */
export type DeliveryHandler<T> = (deliveries: readonly Delivery<T>[]) => void | Promise<void>

/** One message as a subscriber gets it. */
export interface Delivery<T = unknown> {
  readonly channel: string
  /** The decoded payload, decoded when first read. @throws LiminalError `PAYLOAD_INVALID` if it is not JSON. */
  readonly value: T
  /** The payload as it was published. */
  readonly bytes: Uint8Array
  /** Counts the deliveries of one subscription from 1, without gaps. Starts again after a reconnect; of a durable channel it goes on. */
  readonly sequence: bigint
  readonly schemaId: Uint8Array
  readonly causal: CausalContext
  /** Where it is in the log of a durable channel, from 0; `null` for a channel that is not durable, and from a server that does not say. */
  readonly position: bigint | null
  /**
   * 1 for the first time that a cursor hands this message out, and one more each time after; over a connection 256 at most. After a crash of the bus it counts surely with `maxAttempts` only. Always 1
   * without a cursor.
   */
  readonly attempt: number
  /** Makes room for another delivery: this one and all before it, or with `accept: 'each'` this one alone. A cursor moves on past what is accepted. Idempotent. */
  accept(): void
  /**
   * Hands the message back to its cursor: it is delivered again, with a higher attempt, or goes to the dead-letter channel. Without a cursor it is the same as `accept`. Idempotent.
   * @param options.reason for people, in the dead-letter channel: at most 1,024 characters.
   * @param options.delayMs milliseconds until it is delivered again. Default 0.
   */
  reject(options?: { readonly reason?: string; readonly delayMs?: number }): void
  /** Begins the lease of this delivery anew: it takes longer. Without a cursor it does nothing. */
  extend(): void
}

/** A running subscription. Ends by `close`, by leaving the loop, by its signal, or with the error that ended it. */
export interface Subscription<T = unknown> extends AsyncIterable<Delivery<T>>, AsyncDisposable {
  readonly channel: string
  /** Resolves once messages published from now on will be delivered. Rejects with what prevents it, e.g. `CHANNEL_NOT_FOUND`. */
  ready(): Promise<void>
  /**
   * Settles when the subscription has ended: resolves after `close`, rejects with the error otherwise (`SUBSCRIPTION_SHED`, `CLOSED` ...). Deliveries that came before the
   * error are still handed out after it; nobody has to look at this promise.
   */
  readonly closed: Promise<void>
  /** Writes down how far a cursor has accepted, and resolves once that is durable. At once without a cursor. @throws LiminalError `CLOSED`, `CURSOR_FENCED`, `STORE_FAILED`, `STORE_FULL`. */
  checkpoint(): Promise<void>
  /**
   * Ends it: no delivery is handed out any more. A cursor writes down how far it has accepted. Idempotent.
   * @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`: it has ended, but how far it has accepted is not durable yet. That is tried again while the bus is open.
   */
  close(): Promise<void>
}
