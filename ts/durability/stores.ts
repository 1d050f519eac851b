import type { EventStore } from './event-store.ts'

/**
 * When an acknowledged write is on disk. `'each'`: before it is acknowledged. `'interval'`: soon after. `'os'`: when the operating system likes.
 *
 * The end of the process loses nothing, whatever this is. A power cut, or the end of the operating system, loses nothing with `'each'`; with `'interval'` and `'os'` **it may cost the store of that policy as a whole**:
 * not only what was written since the last sync, but all channels of the policy with everything that they ever stored. Nothing orders the writes to the file then, and what is on disk may be
 * a file that it never was. It is found to be `STORE_CORRUPT`; nothing brings it back but a copy. The stores of the other policies are not touched. Use the two for what can be had again.
 */
export type SyncPolicy = 'each' | 'interval' | 'os'

/** The stores of a bus, one for each policy: a relaxed one never endangers, and never waits for, a strict one. */
export interface Stores {
  /** What the bus itself remembers is here: the strictest. */
  readonly primary: EventStore
  /** The store of a policy, opened when it is first asked for. @throws LiminalError `STORE_LOCKED`, `STORE_CORRUPT`, `STORE_FAILED`, `CLOSED`. */
  store(policy: SyncPolicy): Promise<EventStore>
  /** Stores that are open. */
  readonly open: readonly EventStore[]
  /** Closes all of them. Idempotent. */
  close(): Promise<void>
}

/** One store for every policy: it is as durable as it is. Whoever made it closes it. */
export function storesOf(store: EventStore): Stores {
  return {
    primary: store,
    store: () => Promise.resolve(store),
    open: [store],
    close: () => Promise.resolve(),
  }
}
