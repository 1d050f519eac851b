/** What the thread needs to start. */
export interface CommitThreadData {
  /** Where the `lmdb` module is, for `require`. */
  readonly lmdb: string
  /** The data file. */
  readonly path: string
  readonly sync: 'each' | 'interval' | 'os'
  readonly syncIntervalMs: number
  /** Bytes of keys and values together; `null` for no limit. */
  readonly maxBytes: number | null
  /** Bytes of keys and values, and streams, that are in the file. */
  readonly used: number
  readonly streams: number
  /** The encoded keys of streams with records that are still to be deleted. */
  readonly remains: readonly Uint8Array[]
  /** What marks a new file; `null` if the file is there. */
  readonly mark: Uint8Array | null
}

/** What the thread is told. Whatever comes while it commits waits, and what of it are writes shares the next commit. */
export type ToCommitThread =
  /** Writes as `WriteBatch` makes them. */
  | { readonly is: 'writes'; readonly bytes: ArrayBuffer; readonly count: number }
  | { readonly is: 'flush' }
  | { readonly is: 'close' }

/** Why a write was not made though its commit was. `write` counts within the commit, `change` within the write. */
export interface RefusedWrite {
  readonly write: number
  readonly change: number
  /**
   * `sequence`: another was expected. `number`: another was expected; `found` is what there is. `full`: it does not fit below the store's limit. `corrupt`: what it would have changed is
   * damaged.
   */
  readonly is: 'sequence' | 'number' | 'full' | 'corrupt'
  readonly found: bigint | string | number | null
}

/**
 * Why nothing is committed any more. `sync`: a sync has failed, and a later one would not say what the system has dropped. `commit`: the last step of a commit has failed, and whether it was made is
 * known once the file is opened again. `null`: nothing of the writes was kept, and others may succeed.
 */
export type CommitEnd = 'sync' | 'commit'

export interface FailureInThread {
  readonly message: string
  readonly code: string | number | null
}

/** What the thread says. */
export type FromCommitThread =
  | { readonly is: 'ready' }
  | { readonly is: 'unfit'; readonly failure: FailureInThread }
  /** The next `writes` writes are over, and durable as far as the policy says, but for those refused. `memory`: what they came in, one of it, to be used again. */
  | {
      readonly is: 'committed'
      readonly writes: number
      readonly refused: readonly RefusedWrite[]
      readonly streams: number
      readonly memory: ArrayBuffer
    }
  /** The next `writes` writes have failed, see {@link CommitEnd}. */
  | {
      readonly is: 'failed'
      readonly writes: number
      readonly failure: FailureInThread
      readonly end: CommitEnd | null
    }
  | { readonly is: 'flushed' | 'closed'; readonly failure: FailureInThread | null }
