import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LiminalError } from '../errors.ts'
import { hasStore } from './embedded/store-directory.ts'
import { replaceFile } from './lasting-files.ts'
import type { SyncPolicy } from './stores.ts'

const POLICIES: readonly SyncPolicy[] = ['each', 'interval', 'os']
const FORMAT = 1

/**
 * The stores that a data directory has, in its `stores.json`: one that is in the list and not in the directory is lost, and not new. A directory without a list is of a version that wrote none, or
 * new itself.
 */
export class StoreList {
  readonly #path: string
  readonly #policies: Set<SyncPolicy>

  private constructor(path: string, policies: readonly SyncPolicy[]) {
    this.#path = path
    this.#policies = new Set(policies)
  }

  /** @throws LiminalError `STORE_CORRUPT`: it cannot be read; `STORE_FAILED`: it is of a later version; what the file system throws. */
  static read(path: string): StoreList {
    const text = textOf(fileIn(path))
    return new StoreList(path, text === null ? [] : policiesIn(text, path))
  }

  get isEmpty(): boolean {
    return this.#policies.size === 0
  }

  has(policy: SyncPolicy): boolean {
    return this.#policies.has(policy)
  }

  /** From now on a store is expected to be there. @throws what the file system throws. */
  add(policy: SyncPolicy): void {
    if (this.#policies.has(policy)) return
    replaceFile(fileIn(this.#path), `${listOf([...this.#policies, policy])}\n`)
    this.#policies.add(policy)
  }

  /** What to do to begin a store anew. */
  adviceWithout(policy: SyncPolicy): string {
    const isThere = (other: SyncPolicy): boolean => this.has(other) || hasStore(join(this.#path, other))
    const others = POLICIES.filter((other) => other !== policy && isThere(other))
    return `write ${listOf(others)} to '${fileIn(this.#path)}' and open '${this.#path}' again`
  }
}

function fileIn(path: string): string {
  return join(path, 'stores.json')
}

function listOf(stores: readonly SyncPolicy[]): string {
  return JSON.stringify({ format: FORMAT, stores })
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function policiesIn(text: string, path: string): readonly SyncPolicy[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable(path)
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) throw unreadable(path)
  if (typeof value.format === 'number' && value.format > FORMAT) {
    const message = `The data directory '${path}' is of a later version of liminal-bus (format ${value.format}, this one knows ${FORMAT}). Use that one.`
    throw new LiminalError('STORE_FAILED', message, { retryable: false })
  }
  if (value.format !== FORMAT || !('stores' in value) || !Array.isArray(value.stores)) throw unreadable(path)
  const known = POLICIES.filter((policy) => (value.stores as readonly unknown[]).includes(policy))
  if (known.length !== value.stores.length) throw unreadable(path)
  return known
}

function unreadable(path: string): LiminalError {
  const message = `'${fileIn(path)}', which says what stores the data directory has, is damaged. Restore it from a copy, or remove it: the stores that are there are found without it.`
  return new LiminalError('STORE_CORRUPT', message)
}
