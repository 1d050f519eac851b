import {
  checkBoolean,
  checkInteger,
  checkKnownOptions,
  checkOneOf,
  checkOptions,
  invalidArgument,
} from '../../arguments.ts'
import { MAX_TIMEOUT_MS } from '../../waiting.ts'

/** How an {@link EmbeddedStore} is opened. */
export interface EmbeddedStoreOptions {
  /** The store's directory, which has one store and nothing else. */
  readonly path: string
  /**
   * When what was written is synced to the disk. Killing the process loses nothing that was acknowledged, whatever this is. Default `'each'`.
   *
   * - `'each'`: every commit, before it is acknowledged. Nothing acknowledged is lost when the machine stops, as far as its disk keeps what it has synced.
   * - `'interval'`: every `syncIntervalMs` if something was written, and by `flush` and `close`.
   * - `'os'`: when the operating system comes to it, and by `flush` and `close`.
   *
   * With the latter two a machine that stops loses what was not synced, and may leave a file in which newer pages refer to pages that were never written: the store then does not open any
   * more, or says `STORE_CORRUPT` where that is met. They are for what can be had again.
   */
  readonly sync?: 'each' | 'interval' | 'os' | undefined
  /** Default 1,000. Of `'interval'`. */
  readonly syncIntervalMs?: number | undefined
  /** Whether a store may be made where none is. Default true. */
  readonly create?: boolean | undefined
  /**
   * Bytes of writes that may wait for their commit. A write fails with `STORE_BUSY` only where those before it fill that room, whatever its own size: what waits may be more by the last one. `hold()`
   * asks to wait from half of it on: while it is `null` no write is refused. Default 64 MiB.
   */
  readonly maxPendingBytes?: number | undefined
  /**
   * Bytes of keys and values that the store may hold; a write that would make it more fails with `STORE_FULL`, for itself. The file has pages that are not full and pages that are free, and may
   * be half as large again, more with many events of about 1 to 3 KiB. What a write removes counts from the next one on. Default: no limit but the disk's.
   */
  readonly maxBytes?: number | undefined
}

/** With all defaults. */
export interface CompleteStoreOptions {
  readonly path: string
  readonly sync: 'each' | 'interval' | 'os'
  readonly syncIntervalMs: number
  readonly create: boolean
  readonly maxPendingBytes: number
  readonly maxBytes: number | null
}

const KNOWN = Object.keys({
  path: true,
  sync: true,
  syncIntervalMs: true,
  create: true,
  maxPendingBytes: true,
  maxBytes: true,
} satisfies Record<keyof EmbeddedStoreOptions, true>)

const DEFAULT_SYNC_INTERVAL_MS = 1_000
const DEFAULT_MAX_PENDING_BYTES = 64 * 1024 * 1024

/** @throws LiminalError `INVALID_ARGUMENT` */
export function completeStoreOptions(options: EmbeddedStoreOptions): CompleteStoreOptions {
  if (options === undefined) throw invalidArgument('options', 'an object with a path', options)
  checkOptions('options', options)
  checkKnownOptions('options', options, KNOWN)
  const { path, sync = 'each', syncIntervalMs, create, maxPendingBytes, maxBytes } = options
  if (typeof path !== 'string' || path.length === 0 || path.includes('\0')) {
    throw invalidArgument('path', 'the path of a directory', path)
  }
  checkOneOf('sync', sync, ['each', 'interval', 'os'])
  checkInteger('syncIntervalMs', syncIntervalMs, 1)
  if (syncIntervalMs !== undefined && syncIntervalMs > MAX_TIMEOUT_MS) {
    throw invalidArgument('syncIntervalMs', `at most ${MAX_TIMEOUT_MS}`, syncIntervalMs)
  }
  checkBoolean('create', create)
  checkInteger('maxPendingBytes', maxPendingBytes, 1)
  checkInteger('maxBytes', maxBytes, 0)
  return {
    path,
    sync,
    syncIntervalMs: syncIntervalMs ?? DEFAULT_SYNC_INTERVAL_MS,
    create: create ?? true,
    maxPendingBytes: maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES,
    maxBytes: maxBytes ?? null,
  }
}
