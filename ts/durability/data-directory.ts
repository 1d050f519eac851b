import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LiminalError } from '../errors.ts'
import { storeFailure } from './embedded/failures.ts'
import { hasStore } from './embedded/store-directory.ts'
import type { EventStore } from './event-store.ts'
import { makeDirectories } from './lasting-files.ts'
import { StoreList } from './store-list.ts'
import type { Stores, SyncPolicy } from './stores.ts'

/** Of which a power cut may leave a file that is damaged, see {@link SyncPolicy}. */
const RELAXED: readonly SyncPolicy[] = ['interval', 'os']

export interface DataDirectoryOptions {
  readonly path: string
  /** Whether the directory is made if it is missing. Default `true`. */
  readonly create?: boolean | undefined
  /** Milliseconds until what was written with `sync: 'interval'` is on disk. Default 1,000. */
  readonly syncIntervalMs?: number | undefined
}

/** The stores of a bus in one directory: a folder for each policy that is in use, and a list of them. */
export class DataDirectory implements Stores {
  readonly primary: EventStore
  readonly #options: DataDirectoryOptions
  readonly #list: StoreList
  readonly #stores = new Map<SyncPolicy, Promise<EventStore>>()
  readonly #open: EventStore[]
  #closing: Promise<void> | null = null

  private constructor(options: DataDirectoryOptions, list: StoreList, primary: EventStore) {
    this.primary = primary
    this.#options = options
    this.#list = list
    this.#open = [primary]
    this.#stores.set('each', Promise.resolve(primary))
  }

  /**
   * Opens the strictest store of a directory, and those of other policies that were used before. One of those that is damaged or gone is left as it is: {@link store} rejects with what is wrong with it
   * until the directory is opened again, and the others work.
   * @throws LiminalError `STORE_LOCKED`: another process has it open; `STORE_CORRUPT`: the strictest store is damaged, or gone; `STORE_FAILED`: it cannot be written, or is missing and not to be created.
   */
  static async open(options: DataDirectoryOptions): Promise<DataDirectory> {
    const list = await prepare(options)
    const directory = new DataDirectory(options, list, await openStore(options, list, 'each'))
    try {
      for (const policy of RELAXED) {
        if (list.has(policy) || hasStore(join(options.path, policy))) await directory.#reopen(policy)
      }
    } catch (error) {
      await directory.close()
      throw error
    }
    return directory
  }

  get open(): readonly EventStore[] {
    return this.#open
  }

  store(policy: SyncPolicy): Promise<EventStore> {
    const known = this.#stores.get(policy)
    if (known !== undefined) return known
    const opening = openStore(this.#options, this.#list, policy).then((store) => {
      this.#open.push(store)
      return store
    })
    this.#stores.set(policy, opening)
    // What could not be opened now may be later.
    opening.catch(() => this.#stores.delete(policy))
    return opening
  }

  /** Opens a store that was used before, or remembers that it is damaged or gone. */
  async #reopen(policy: SyncPolicy): Promise<void> {
    try {
      await this.store(policy)
    } catch (error) {
      if (!(error instanceof LiminalError) || error.code !== 'STORE_CORRUPT') throw error
      const unusable = Promise.reject(error)
      // Whoever asks for the store is told; nobody may.
      unusable.catch(() => {})
      this.#stores.set(policy, unusable)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#stores.values())
    const closed = await Promise.allSettled(this.#open.map((store) => store.close()))
    const failed = closed.find((result) => result.status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }
}

/** Makes the directory if it is missing and may be made, and says what stores it has. */
async function prepare({ path, create = true }: DataDirectoryOptions): Promise<StoreList> {
  try {
    if (create) makeDirectories(path)
    if (!(await stat(path)).isDirectory()) throw new Error('It is not a directory.')
    return StoreList.read(path)
  } catch (cause) {
    if (cause instanceof LiminalError) throw cause
    const message = `The data directory '${path}' cannot be used. Check the path and its permissions${create ? '' : ', or let it be created'}.`
    throw new LiminalError('STORE_FAILED', message, { cause, retryable: false })
  }
}

/** Opens a store, and has it in the list from then on. The embedded store is loaded when one is opened: a bus without a directory does without LMDB. */
async function openStore(options: DataDirectoryOptions, list: StoreList, sync: SyncPolicy): Promise<EventStore> {
  const path = join(options.path, sync)
  if (isGone(options.path, list, sync)) throw goneStore(path, list, sync)
  const { EmbeddedStore } = await import('./embedded/embedded-store.ts')
  const { syncIntervalMs } = options
  let store: EventStore
  try {
    store = await EmbeddedStore.open({ path, sync, syncIntervalMs, create: !list.has(sync) })
  } catch (error) {
    if (sync === 'each' || !(error instanceof LiminalError && error.code === 'STORE_CORRUPT')) throw error
    throw damagedStore(path, list, sync, error)
  }
  try {
    list.add(sync)
    return store
  } catch (error) {
    await store.close()
    throw storeFailure(`The list of the stores in '${options.path}' cannot be written.`, error)
  }
}

/** A directory without a list begins with the strictest store: where there is another one, it was there. */
function isGone(path: string, list: StoreList, sync: SyncPolicy): boolean {
  if (hasStore(join(path, sync))) return false
  if (list.has(sync)) return true
  return list.isEmpty && sync === 'each' && RELAXED.some((policy) => hasStore(join(path, policy)))
}

function goneStore(path: string, list: StoreList, policy: SyncPolicy): LiminalError {
  const message = `The store of channels with sync '${policy}' was in '${path}' and is not there any more. Restore it from a copy. To begin anew without what it held, ${list.adviceWithout(policy)}.`
  return new LiminalError('STORE_CORRUPT', message)
}

function damagedStore(path: string, list: StoreList, policy: SyncPolicy, cause: LiminalError): LiminalError {
  const message = `The store of channels with sync '${policy}' in '${path}' is damaged, and is not used: a power cut may do that to it. Restore it from a copy. To begin anew without what it held, remove it, ${list.adviceWithout(policy)}. (${cause.message})`
  return new LiminalError('STORE_CORRUPT', message, { cause })
}
