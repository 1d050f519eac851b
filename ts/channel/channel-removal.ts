import type { EventStore, StoreKey, Stores, StoreWrite, SyncPolicy } from '../durability/index.ts'
import { definitionKey } from './channel-definition.ts'

/** A channel that is there no more, and of which something may still be stored. */
export interface ChannelRemoval {
  readonly name: string
  /** Where its messages are. */
  readonly sync: SyncPolicy
}

/** Where removals are that are not finished. */
const REMOVALS = 'removed'
const POLICIES: readonly SyncPolicy[] = ['each', 'interval', 'os']

/** From here on a channel is not there any more, whatever happens. @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`: it is there. */
export async function beginRemoval({ primary }: Stores, removal: ChannelRemoval): Promise<void> {
  await write(primary, [
    { type: 'set', key: definitionKey(removal.name), value: null },
    { type: 'set', key: removalKey(removal), value: new Uint8Array(0) },
  ])
}

/** The removals that are not finished, of one channel or of all. */
export async function unfinishedRemovals({ primary }: Stores, name?: string): Promise<readonly ChannelRemoval[]> {
  const removals: ChannelRemoval[] = []
  for (let page: Parameters<EventStore['keys']>[2] = {}; ; ) {
    const { keys, after } = await primary.keys('meta', name === undefined ? [REMOVALS] : [REMOVALS, name], page)
    for (const { parts } of keys) {
      const sync = POLICIES.find((policy) => policy === parts[2])
      if (sync !== undefined) removals.push({ name: parts[1], sync })
    }
    if (after === null) return removals
    page = { after }
  }
}

/**
 * Deletes what is left of a channel: its cursors in pages, its messages and keys, which the store deletes bit by bit. It may be begun again wherever it ended.
 * @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`, `STORE_CORRUPT`.
 */
export async function finishRemoval(stores: Stores, removal: ChannelRemoval): Promise<void> {
  const { name, sync } = removal
  const { primary } = stores
  // A version that knows no removals may have declared it anew since.
  if ((await primary.get(definitionKey(name))) === null) {
    const store = await stores.store(sync)
    for (;;) {
      const { keys } = await store.keys('cursor', [name])
      if (keys.length === 0) break
      await write(
        store,
        keys.map((key) => ({ type: 'set', key, value: null })),
      )
    }
    await write(store, [
      { type: 'remove', stream: { kind: 'channel', parts: [name] } },
      { type: 'remove', stream: { kind: 'claims', parts: [name] } },
    ])
    // What is acknowledged may not be on disk yet, and must not come back.
    if (store !== primary) await store.flush()
  }
  await write(primary, [{ type: 'set', key: removalKey(removal), value: null }])
}

function removalKey({ name, sync }: ChannelRemoval): StoreKey {
  return { kind: 'meta', parts: [REMOVALS, name, sync] }
}

/** Writes once what others write leaves room for it. */
async function write(store: EventStore, changes: readonly StoreWrite[]): Promise<void> {
  for (let held = store.hold(); held !== null; held = store.hold()) await held
  await store.write(changes)
}
