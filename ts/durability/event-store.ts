/**
 * What a store keeps, in a namespace of its own (spec durability §13: without one, a conversation named like a channel's stream destroys both).
 *
 * `channel`: the log of a channel, parts: its name. `claims`: the idempotency keys of a channel, parts: its name. `cursor`: a named cursor, parts: the channel's name,
 * the cursor's. `conversation`: the journal of a conversation, parts: its id. `snapshot`: the last snapshot of a journal, parts: its id. `meta`: what the bus itself remembers.
 */
export type StoreKind = 'channel' | 'claims' | 'cursor' | 'conversation' | 'snapshot' | 'meta'

/** The name of a stream of events, or of a value. Two keys are the same only if kind and all parts are: parts may hold any text. */
export interface StoreKey {
  readonly kind: StoreKind
  /** 1 to 4 texts, 1,024 UTF-8 bytes together at most. */
  readonly parts: readonly string[]
}

/** Events that are appended together, one behind the other in one memory. */
export interface EventBatch {
  readonly bytes: Uint8Array
  /** Where each event ends in `bytes`; it begins where the one before it ends, the first at 0. At least one. */
  readonly ends: Uint32Array
}

/** One change of a store. */
export type StoreWrite =
  /** Appends events behind the last one of a stream. Fails the write with `SEQUENCE_CONFLICT` unless the stream's next sequence is `expected`. */
  | { readonly type: 'append'; readonly stream: StoreKey; readonly expected: bigint; readonly events: EventBatch }
  /** Removes the events before a sequence. One that is past the end removes all and leaves the next sequence as it is. */
  | { readonly type: 'truncate'; readonly stream: StoreKey; readonly before: bigint }
  /** Removes a stream, its events and its sequence. */
  | { readonly type: 'remove'; readonly stream: StoreKey }
  /** Sets a value, or removes it with `null`. 64 KiB at most. */
  | { readonly type: 'set'; readonly key: StoreKey; readonly value: Uint8Array | null }
  /** Sets a number. Fails the write with `SEQUENCE_CONFLICT` unless it is `expected` now; `null` is absent, which differs from 0. */
  | {
      readonly type: 'compareAndSet'
      readonly key: StoreKey
      readonly expected: bigint | null
      readonly value: bigint
    }

/** An event as it was stored. */
export interface StoredEvent {
  /** From 0, gap-free within a stream. */
  readonly sequence: bigint
  /** Milliseconds since the epoch when it was appended; never less than that of the event before it, whatever the clock did. */
  readonly timestamp: number
  readonly payload: Uint8Array
}

/** Events that lie one behind the other, as they were appended; `ends` count from the start of `bytes`. */
export interface StoredBatch extends EventBatch {
  /** The sequence of the first event. */
  readonly first: bigint
  /** Of all of them, see {@link StoredEvent.timestamp}. */
  readonly timestamp: number
}

/** How much a read returns at most. It returns at least one event if there is one, whatever its size. */
export interface ReadLimits {
  /** Default 1,024. */
  readonly maxEvents?: number
  /** Bytes of payloads. Default 1 MiB. */
  readonly maxBytes?: number
}

/** Some consecutive events of a stream. */
export interface EventPage {
  /** In order, without a gap between them. Empty at the end of the stream. The bytes are the reader's own. */
  readonly batches: readonly StoredBatch[]
  /** Where to read on. */
  readonly next: bigint
}

/** Where a stream stands. */
export interface StreamState {
  /** The oldest event that is still there; equal to `next` if there is none. */
  readonly first: bigint
  /** The sequence of the event that is appended next. 0 for a stream that nobody has written to. */
  readonly next: bigint
  /** Bytes of the payloads from `first` on. */
  readonly bytes: number
  /** Timestamps of the oldest and the newest event; `null` without events. */
  readonly firstTimestamp: number | null
  readonly lastTimestamp: number | null
}

export interface KeyPage {
  /** In the order of kind, then of parts compared as UTF-8 bytes part by part. */
  readonly keys: readonly StoreKey[]
  /** What to pass as `after` for the next page; `null` at the end. */
  readonly after: StoreKey | null
}

/** What a store says about itself. */
export interface StoreStats {
  /** Bytes on disk or in memory. */
  readonly bytes: number
  readonly streams: number
  /** Commits since it was opened, and the writes in them: their quotient is what group commit gains. */
  readonly commits: number
  readonly writes: number
  /** Bytes of writes that wait for their commit. */
  readonly pendingBytes: number
}

/**
 * Streams of events and small values, durable as far as the implementation says (spec durability §2, weaknesses mended: bounded reads, the head in O(1), batches,
 * atomic writes, typed keys, scans of keys, watching).
 *
 * All methods throw or reject with LiminalError: `CLOSED`; `INVALID_ARGUMENT` before anything changes; `STORE_FULL` and `STORE_FAILED` (both retryable: nothing of the write was
 * kept, the store goes on); `STORE_FAILED` that is not retryable: nothing is written any more, and what became of the last writes is known once the store is opened anew; `STORE_CORRUPT`, which names what is damaged.
 */
export interface EventStore extends AsyncDisposable {
  /**
   * Makes all of these changes or none, and resolves once they are as durable as the store's policy says. Writes are carried out in the order of the calls; those that are made while
   * another commit is underway share the next one (group commit).
   *
   * @throws LiminalError `SEQUENCE_CONFLICT`: an expectation did not hold; the message says what was found. `STORE_BUSY` (retryable): more bytes wait for their commit than the store
   * lets wait. Nothing was kept then.
   */
  write(changes: readonly StoreWrite[]): Promise<void>
  /** Where a stream stands, all acknowledged writes included. O(1). */
  state(stream: StoreKey): Promise<StreamState>
  /**
   * Events from a sequence on. One below the oldest begins with the oldest; one past the end finds nothing. A page ends before an event that is damaged: `STORE_CORRUPT` is thrown where that is
   * the first one.
   */
  read(stream: StoreKey, from: bigint, limits?: ReadLimits): Promise<EventPage>
  /** The sequence of the first event whose timestamp is at least `timestamp`; the stream's next one if there is none. */
  sequenceAt(stream: StoreKey, timestamp: number): Promise<bigint>
  /** A value that was set; `null` if there is none. */
  get(key: StoreKey): Promise<Uint8Array | null>
  /** A number as `compareAndSet` left it; `null` if there is none. */
  number(key: StoreKey): Promise<bigint | null>
  /** Keys of a kind, of streams and of values, that begin with these parts. `limit` defaults to 1,024. */
  keys(kind: StoreKind, parts: readonly string[], page?: { after?: StoreKey; limit?: number }): Promise<KeyPage>
  /** Calls `listener` after every commit that appended to a stream, with its next sequence. Returns what stops it. */
  watch(stream: StoreKey, listener: (next: bigint) => void): () => void
  /** What publishers wait for while too many bytes wait for their commit; `null` if they need not. */
  hold(): Promise<void> | null
  /** Resolves once everything written so far is on disk, whatever the store's policy. */
  flush(): Promise<void>
  stats(): StoreStats
  /** Commits what waits, and lets go of the files. Idempotent. Whatever is called afterwards fails with `CLOSED`. */
  close(): Promise<void>
}
