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

/** Where a channel delivers to: one subscription, in process or of a session. */
export interface Sink {
  /**
   * Takes the run, all of it or nothing, and returns whether it did. Never throws, never waits. A sink that cannot take it has shed itself (or was closed)
   * and will be asked no more.
   */
  deliver(run: MessageRun, schemaId: Uint8Array): boolean
  /** What publishers wait for while this sink is behind; `null` if they need not. */
  hold(): Promise<void> | null
  /** The channel ended the subscription: it was closed. */
  end(error: LiminalError): void
}

/** Hears what became of the messages of a published run, in their order. */
export interface PublishObserver {
  /** `count` messages were published under consecutive ids. */
  accepted(firstMessageId: bigint, count: number, deliveredTo: number): void
  /** One message repeated an idempotency key; the rest is said of the original. */
  duplicate(messageId: bigint, deliveredTo: number): void
  /** One message was refused and left no trace. */
  refused(error: LiminalError): void
}
