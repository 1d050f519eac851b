import { statSync } from 'node:fs'
import { checkFunction, invalidArgument } from '../../arguments.ts'
import { LiminalError } from '../../errors.ts'
import { checkReadLimits } from '../event-page.ts'
import type {
  EventPage,
  EventStore,
  KeyPage,
  ReadLimits,
  StoreKey,
  StoreKind,
  StoreStats,
  StoreWrite,
  StreamState,
} from '../event-store.ts'
import {
  appendConflict,
  checkChange,
  checkKeyPage,
  checkSequence,
  checkTimestamp,
  DEFAULT_KEYS_LIMIT,
  numberConflict,
  storeClosed,
} from '../store-changes.ts'
import { adviceOnDamage, describeStoreKey, encodeKeyPrefix, encodeStoreKey } from '../store-key.ts'
import { Watchers } from '../watchers.ts'
import type { CommitEnd, FailureInThread, RefusedWrite } from './commit-messages.ts'
import { CommitThread } from './commit-thread.ts'
import { commitFailure, endedFailure, storeFailure } from './failures.ts'
import { type PendingWrite, PendingWrites } from './pending-writes.ts'
import { completeDirectory, ensureDirectory, inspectDirectory, type StoreDirectory } from './store-directory.ts'
import { StoreLock } from './store-lock.ts'
import { type CompleteStoreOptions, completeStoreOptions, type EmbeddedStoreOptions } from './store-options.ts'
import { type Database, type NamedStream, StoreReader, textOf } from './store-reader.ts'
import { WriteBatch } from './write-batch.ts'

/**
 * A write of so many bytes, which is many messages, does not wait for the end of the turn. A message to the thread takes about 20 us: too much for each of the small writes of one turn, and nothing for these.
 */
const EAGER_BYTES = 16 * 1024
/** What a change takes up beside its bytes while it waits. */
const CHANGE_OVERHEAD = 256

/**
 * A store in a directory, in one process at a time. A thread commits (`docs/decisions/store.md`); reads are made here, from the file as it is mapped into memory.
 *
 * ```ts
 * await using store = await EmbeddedStore.open({ path: './data/each' })
 * const orders = { kind: 'channel', parts: ['orders'] } as const
 * const { next } = await store.state(orders)
 * await store.write([{ type: 'append', stream: orders, expected: next, events: { bytes, ends: Uint32Array.of(bytes.length) } }])
 * ```
 */
export class EmbeddedStore implements EventStore {
  readonly #options: CompleteStoreOptions
  readonly #dataFile: string
  readonly #lock: StoreLock
  readonly #thread: CommitThread
  readonly #database: Database
  readonly #reader: StoreReader
  readonly #pending: PendingWrites
  readonly #watchers = new Watchers()
  readonly #batch = new WriteBatch()
  /** Writes in the batch that is handed over at the end of this turn at the latest. */
  #batched = 0
  readonly #handOverNow = (): void => this.#handOver()
  #streams: number
  #commits = 0
  #writes = 0
  /** Why nothing is written any more. */
  #ended: LiminalError | null = null
  /** Why nothing works any more. */
  #lost: LiminalError | null = null
  #closing: Promise<void> | null = null
  #isClosed = false

  private constructor(options: CompleteStoreOptions, directory: StoreDirectory, lock: StoreLock, opened: Opened) {
    this.#options = options
    this.#dataFile = directory.dataFile
    this.#lock = lock
    this.#thread = opened.thread
    this.#database = opened.database
    this.#reader = new StoreReader(opened.database, directory.dataFile)
    this.#pending = new PendingWrites(options.maxPendingBytes)
    this.#streams = directory.streams
    opened.observe(this.#observer())
  }

  /**
   * Opens the store in a directory, after making sure that it is whole; makes one if there is none.
   *
   * @throws LiminalError `INVALID_ARGUMENT`; `STORE_LOCKED`: another process, or another store of this one, has it; `STORE_CORRUPT`; `STORE_FAILED`: the directory cannot be used, there is no
   * store and none may be made, or it is of another format; `NOT_SUPPORTED`: there is no build of `lmdb` for this platform.
   */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    const complete = completeStoreOptions(options)
    const { path, create } = complete
    ensureDirectory(path, create)
    const unusable = `The store in ${path} cannot be opened.`
    const lock = await StoreLock.acquire(path).catch((error: unknown) => {
      throw storeFailure(unusable, error)
    })
    try {
      const directory = await inspectDirectory(path, create)
      const opened = await openData(complete, directory)
      if (directory.mark !== null) completeDirectory(path, directory)
      return new EmbeddedStore(complete, directory, lock, opened)
    } catch (error) {
      lock.release()
      throw storeFailure(unusable, error)
    }
  }

  write(changes: readonly StoreWrite[]): Promise<void> {
    try {
      this.#checkOpen()
      return this.#write(changes)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async state(stream: StoreKey): Promise<StreamState> {
    return this.#reading(stream).state(named(stream))
  }

  async read(stream: StoreKey, from: bigint, limits?: ReadLimits): Promise<EventPage> {
    const reader = this.#reading(stream)
    checkSequence('from', from)
    checkReadLimits(limits)
    return reader.read(named(stream), from, limits)
  }

  async sequenceAt(stream: StoreKey, timestamp: number): Promise<bigint> {
    const reader = this.#reading(stream)
    checkTimestamp(timestamp)
    return reader.sequenceAt(named(stream), timestamp)
  }

  async get(key: StoreKey): Promise<Uint8Array | null> {
    const value = this.#reading(key).value(named(key))
    return typeof value === 'bigint' || value === null ? null : new Uint8Array(value)
  }

  async number(key: StoreKey): Promise<bigint | null> {
    const value = this.#reading(key).value(named(key))
    return typeof value === 'bigint' ? value : null
  }

  async keys(kind: StoreKind, parts: readonly string[], page?: { after?: StoreKey; limit?: number }): Promise<KeyPage> {
    this.#checkOpen()
    const prefix = encodeKeyPrefix(kind, parts)
    checkKeyPage(page)
    const after = page?.after === undefined ? null : encodeStoreKey(page.after)
    return this.#reader.keys(prefix, after, page?.limit ?? DEFAULT_KEYS_LIMIT)
  }

  watch(stream: StoreKey, listener: (next: bigint) => void): () => void {
    this.#checkOpen()
    const key = textOf(encodeStoreKey(stream))
    checkFunction('listener', listener)
    return this.#watchers.add(key, listener)
  }

  hold(): Promise<void> | null {
    if (this.#closing !== null) throw storeClosed()
    // Nobody is to wait for a store that writes nothing any more: the write itself says why.
    return this.#pending.hold()
  }

  async flush(): Promise<void> {
    this.#checkOpen()
    this.#handOver()
    const failure = await this.#thread.flush()
    if (this.#lost !== null) throw this.#lost
    if (failure !== null) throw this.#end('sync', failure)
  }

  stats(): StoreStats {
    this.#checkOpen()
    const [streams, commits, writes] = [this.#streams, this.#commits, this.#writes]
    return { bytes: statSync(this.#dataFile).size, streams, commits, writes, pendingBytes: this.#pending.bytes }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw storeClosed()
    if (this.#lost !== null) throw this.#lost
  }

  #reading(key: StoreKey): StoreReader {
    this.#checkOpen()
    if (typeof key !== 'object' || key === null) throw invalidArgument('key', 'a store key: { kind, parts }', key)
    return this.#reader
  }

  #write(changes: readonly StoreWrite[]): Promise<void> {
    if (!Array.isArray(changes)) throw invalidArgument('changes', 'an array', changes)
    if (changes.length === 0) return Promise.resolve()
    const storeKeys: Uint8Array[] = []
    let bytes = 0
    for (const change of changes) {
      checkChange(change)
      storeKeys.push(encodeStoreKey('stream' in change ? change.stream : change.key))
      bytes += CHANGE_OVERHEAD + payloadBytes(change)
    }
    if (this.#ended !== null) throw this.#ended
    if (!this.#pending.hasRoom) throw this.#busy()
    this.#batch.add(changes, storeKeys, Date.now())
    for (const [index, { type }] of changes.entries()) if (type === 'remove') this.#reader.removing(storeKeys[index])
    if (this.#batched === 0) setImmediate(this.#handOverNow)
    this.#batched++
    if (bytes >= EAGER_BYTES) process.nextTick(this.#handOverNow)
    return new Promise((resolve, reject) => this.#pending.push({ changes, storeKeys, bytes, resolve, reject }))
  }

  #handOver(): void {
    if (this.#batched === 0) return
    const count = this.#batched
    this.#batched = 0
    this.#thread.write(this.#batch.take(), count)
  }

  #observer(): Observer {
    return {
      committed: (writes, refused, streams, memory) => this.#committed(writes, refused, streams, memory),
      failed: (writes, failure, end) => void this.#failed(this.#pending.take(writes), failure, end),
      lost: (cause) => this.#lose(cause),
    }
  }

  #committed(count: number, refused: readonly RefusedWrite[], streams: number, memory: ArrayBuffer): void {
    this.#batch.giveBack(memory)
    const writes = this.#pending.take(count)
    this.#commits++
    this.#writes += writes.length - refused.length
    this.#streams = streams
    // Whoever is answered now sees what was committed.
    if (!this.#isClosed) this.#reader.renew()
    const refusals = new Map(refused.map((refusal) => [refusal.write, refusal]))
    const appended = new Map<string, bigint>()
    for (const [index, write] of writes.entries()) {
      this.#settle(write)
      const refusal = refusals.get(index)
      if (refusal !== undefined) write.reject(this.#refusal(write, refusal))
      else {
        if (!this.#watchers.isEmpty) noteAppends(write, appended)
        write.resolve()
      }
    }
    for (const [stream, next] of appended) this.#watchers.tell(stream, next)
  }

  async #failed(writes: readonly PendingWrite[], failure: FailureInThread, end: CommitEnd | null): Promise<void> {
    for (const write of writes) this.#settle(write)
    const error = end === null ? await this.#commitFailure(writes, failure) : this.#end(end, failure)
    for (const write of writes) write.reject(error)
  }

  #commitFailure(writes: readonly PendingWrite[], failure: FailureInThread): Promise<LiminalError> {
    const bytes = writes.reduce((sum, write) => sum + write.bytes, 0)
    return commitFailure(this.#options.path, failure, bytes)
  }

  #end(end: CommitEnd, failure: FailureInThread): LiminalError {
    this.#ended ??= endedFailure(this.#options.path, end, failure)
    // LMDB does not read any more either.
    if (end === 'commit') this.#lost ??= this.#ended
    return this.#ended
  }

  /** Lets the reader go on with streams that were to become shorter. */
  #settle({ changes, storeKeys }: PendingWrite): void {
    for (const [index, { type }] of changes.entries()) {
      if (type === 'remove') this.#reader.removed(storeKeys[index])
      else if (type === 'truncate') this.#reader.forget(storeKeys[index])
    }
  }

  #lose(cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause)
    const message = `The thread of the store in ${this.#options.path} is gone: whether the writes that waited were kept is unknown. Close the store and open it again. (${text})`
    this.#lost = new LiminalError('STORE_FAILED', message, { cause, retryable: false })
    // There is nobody to hand them over to.
    this.#batched = 0
    for (const write of this.#pending.takeAll()) write.reject(this.#lost)
  }

  #refusal({ changes }: PendingWrite, { change: index, is, found }: RefusedWrite): LiminalError {
    const change = changes[index]
    const key = 'stream' in change ? change.stream : change.key
    if (change.type === 'append' && is === 'sequence') return appendConflict(key, change.expected, BigInt(found ?? 0))
    if (change.type === 'compareAndSet' && is === 'number') {
      return numberConflict(key, change.expected, found === null ? 'none' : String(found))
    }
    const { path, maxBytes } = this.#options
    if (is === 'full') {
      const message = `The store in ${path} may hold ${maxBytes} bytes, and the write needs ${found} more than it has. Nothing of it was kept: truncate streams or raise maxBytes, and try again.`
      return new LiminalError('STORE_FULL', message)
    }
    const message = `The store file ${this.#dataFile} is damaged in ${describeStoreKey(key)}: what the write would have changed is not what was written. Nothing of the write was kept. ${adviceOnDamage(key)}`
    return new LiminalError('STORE_CORRUPT', message)
  }

  #busy(): LiminalError {
    const { path, maxPendingBytes } = this.#options
    const message = `${this.#pending.bytes} bytes of other writes wait to be committed to the store in ${path}, where ${maxPendingBytes} may. Nothing of this one was kept: wait for hold() before you write.`
    return new LiminalError('STORE_BUSY', message)
  }

  async #close(): Promise<void> {
    this.#handOver()
    const failure = await this.#thread.close()
    this.#isClosed = true
    this.#watchers.clear()
    this.#reader.close()
    await this.#database.close()
    this.#lock.release()
    if (failure !== null && this.#lost === null) throw this.#end('sync', failure)
  }
}

type Observer = ConstructorParameters<typeof CommitThread>[1]

interface Opened {
  readonly thread: CommitThread
  readonly database: Database
  /** Says who hears of the commits. Nothing can have been heard before: nothing was written. */
  readonly observe: (observer: Observer) => void
}

async function openData(options: CompleteStoreOptions, directory: StoreDirectory): Promise<Opened> {
  const { open } = await import('lmdb').catch((error: unknown) => {
    const message = `Durable channels need the package lmdb, whose build for ${process.platform}-${process.arch} cannot be loaded. Install it with its optional dependencies.`
    throw new LiminalError('NOT_SUPPORTED', message, { cause: error })
  })
  const { sync, syncIntervalMs, maxBytes } = options
  const { dataFile, mark, used, streams, remains } = directory
  let told: Observer | null = null
  const thread = new CommitThread(
    { path: dataFile, sync, syncIntervalMs, maxBytes, mark, used, streams, remains },
    {
      committed: (writes, refused, count, memory) => told?.committed(writes, refused, count, memory),
      failed: (writes, failure, end) => told?.failed(writes, failure, end),
      lost: (cause) => told?.lost(cause),
    },
  )
  await thread.ready
  try {
    const database: Database = open({
      path: dataFile,
      keyEncoding: 'binary',
      encoding: 'binary',
      overlappingSync: false,
    })
    const observe = (observer: Observer): void => {
      told = observer
    }
    return { thread, database, observe }
  } catch (error) {
    await thread.close()
    throw error
  }
}

function named(name: StoreKey): NamedStream {
  return { name, key: encodeStoreKey(name) }
}

function payloadBytes(change: StoreWrite): number {
  if (change.type === 'append') return change.events.bytes.length + 4 * change.events.ends.length
  return change.type === 'set' && change.value !== null ? change.value.length : 0
}

function noteAppends({ changes, storeKeys }: PendingWrite, appended: Map<string, bigint>): void {
  for (const [index, change] of changes.entries()) {
    if (change.type !== 'append') continue
    appended.set(textOf(storeKeys[index]), change.expected + BigInt(change.events.ends.length))
  }
}
