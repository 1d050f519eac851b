import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LiminalError } from '../errors.ts'
import type { EventStore } from './event-store.ts'
import { makeDirectories } from './lasting-files.ts'
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

/** The stores of a bus in one directory: a folder for each policy that is in use. */
export class DataDirectory implements Stores {
  readonly primary: EventStore
  readonly #options: DataDirectoryOptions
  readonly #stores = new Map<SyncPolicy, Promise<EventStore>>()
  readonly #open: EventStore[]
  #closing: Promise<void> | null = null

  private constructor(options: DataDirectoryOptions, primary: EventStore) {
    this.primary = primary
    this.#options = options
    this.#open = [primary]
    this.#stores.set('each', Promise.resolve(primary))
  }

  /**
   * Opens the strictest store of a directory, and those of other policies that were used before. One of those that is damaged is left as it is: {@link store} rejects with what is wrong with it
   * until the directory is opened again, and the others work.
   * @throws LiminalError `STORE_LOCKED`: another process has it open; `STORE_CORRUPT`: the strictest store is damaged; `STORE_FAILED`: it cannot be written, or is missing and not to be created.
   */
  static async open(options: DataDirectoryOptions): Promise<DataDirectory> {
    const { path, create = true } = options
    try {
      if (create) makeDirectories(path)
      if (!(await stat(path)).isDirectory()) throw new Error('It is not a directory.')
    } catch (cause) {
      const message = `The data directory '${path}' cannot be used. Check the path and its permissions${create ? '' : ', or let it be created'}.`
      throw new LiminalError('STORE_FAILED', message, { cause, retryable: false })
    }
    const directory = new DataDirectory(options, await openStore(options, 'each'))
    try {
      for (const policy of RELAXED) {
        if (await exists(join(path, policy))) await directory.#reopen(policy)
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
    const opening = openStore(this.#options, policy).then((store) => {
      this.#open.push(store)
      return store
    })
    this.#stores.set(policy, opening)
    // What could not be opened now may be later.
    opening.catch(() => this.#stores.delete(policy))
    return opening
  }

  /** Opens a store that was used before, or remembers that it is damaged. */
  async #reopen(policy: SyncPolicy): Promise<void> {
    try {
      await this.store(policy)
    } catch (error) {
      if (!(error instanceof LiminalError) || error.code !== 'STORE_CORRUPT') throw error
      const damaged = Promise.reject(damagedStore(this.#options.path, policy, error))
      // Whoever asks for the store is told; nobody may.
      damaged.catch(() => {})
      this.#stores.set(policy, damaged)
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

/** The embedded store is loaded when one is opened: a bus without a directory does without LMDB. */
async function openStore({ path, syncIntervalMs }: DataDirectoryOptions, sync: SyncPolicy): Promise<EventStore> {
  const { EmbeddedStore } = await import('./embedded/embedded-store.ts')
  return await EmbeddedStore.open({ path: join(path, sync), sync, syncIntervalMs, create: true })
}

function damagedStore(path: string, policy: SyncPolicy, cause: LiminalError): LiminalError {
  const message = `The store of channels with sync '${policy}' in '${path}' is damaged, and is not used: a power cut may do that to it. Restore '${join(path, policy)}' from a copy, or remove it to begin anew without what it held, and open '${path}' again. (${cause.message})`
  return new LiminalError('STORE_CORRUPT', message, { cause })
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
