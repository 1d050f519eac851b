import type { LiminalError } from '../errors.ts'

/**
 * Consecutive messages for one channel, as they lie in memory: rows of columns (protocol/columns.ts) over encoded envelopes. As in a scanned run, all have
 * the same flags, so either all or none have an idempotency key. A run is valid for the one synchronous call it is passed to: who keeps it longer copies
 * what it needs.
 */
export interface MessageRun {
  readonly bytes: Uint8Array
  readonly columns: Int32Array
  /** First row. */
  readonly first: number
  /** Rows, at least 1. */
  readonly count: number
}

/** Where messages that are delivered stand in the log of a durable channel. */
export interface Logged {
  /** Of the first row; the others follow without a gap. */
  readonly position: bigint
  /** 1 for the first time that a cursor hands them out, and one more each time after. */
  readonly attempt: number
}

/** Where a channel delivers to: one subscription, in process or of a session. */
export interface Sink {
  /**
   * Takes the run, all of it or nothing, and returns whether it did. Never throws, never waits. A sink that cannot take it has shed itself (or was closed)
   * and will be asked no more. A run within {@link room} is taken, unless the sink was closed.
   *
   * @param logged `null`: the channel is not durable.
   */
  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged | null): boolean
  /** What publishers wait for while this sink is behind; `null` if they need not. A durable channel never asks: its log waits, not its publishers. */
  hold(): Promise<void> | null
  /**
   * Messages that it takes now. Whoever reads a log for it delivers no more than that.
   *
   * @param bytes of all that is to be delivered, default 0; a sink that cannot keep so many beside what it has takes none of it. One that bounds what it keeps otherwise need not look at it.
   */
  room(bytes?: number): number
  /** Calls back once, when there is room again; the last caller counts. Never after the end. */
  onRoom(listener: () => void): void
  /** The channel ended the subscription: it was closed. */
  end(error: LiminalError): void
}

/** Hears what became of the messages of a published run, in their order; of a durable channel once they are stored, which is later. */
export interface PublishObserver {
  /** Who publishes, in UTF-8, as a log remembers it; `null`: nobody says. */
  readonly publisher: Uint8Array | null
  /** `count` messages were published under consecutive ids, and at consecutive positions if the channel is durable. */
  accepted(firstMessageId: bigint, count: number, deliveredTo: number, firstPosition: bigint | null): void
  /** One message repeated an idempotency key; the rest is said of the original. `deliveredTo` is `null` if nobody knows any more. */
  duplicate(messageId: bigint, deliveredTo: number | null, position: bigint | null): void
  /** One message was refused and left no trace. */
  refused(error: LiminalError): void
}
