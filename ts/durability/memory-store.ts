import { checkFunction, checkInteger, checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { checkReadLimits, PageBuilder } from './event-page.ts'
import type {
  EventBatch,
  EventPage,
  EventStore,
  KeyPage,
  ReadLimits,
  StoredBatch,
  StoreKey,
  StoreKind,
  StoreStats,
  StoreWrite,
  StreamState,
} from './event-store.ts'
import {
  appendConflict,
  checkChange,
  checkKeyPage,
  checkSequence,
  checkTimestamp,
  DEFAULT_KEYS_LIMIT,
  numberConflict,
  storeClosed,
} from './store-changes.ts'
import { decodeStoreKey, encodeKeyPrefix, encodeStoreKey } from './store-key.ts'
import { Watchers } from './watchers.ts'

/** How a {@link MemoryStore} is made. */
export interface MemoryStoreOptions {
  /** Bytes of payloads and values that it holds at most; what would be more fails with `STORE_FULL`. Default 256 MiB. */
  readonly maxBytes?: number
}

const DEFAULT_MAX_BYTES = 256 * 1024 * 1024
const KNOWN = Object.keys({ maxBytes: true } satisfies Record<keyof MemoryStoreOptions, true>)

interface MemoryStream {
  first: bigint
  next: bigint
  /** Of the payloads from `first` on. */
  bytes: number
  lastTimestamp: number
  /** In order, without gaps; only the first may hold events before `first`. */
  batches: StoredBatch[]
}

/** A store that lasts as long as the process: for tests, and for buses without a directory that want what a store gives. A write is kept as soon as the call returns. */
export class MemoryStore implements EventStore {
  readonly #maxBytes: number
  readonly #streams = new Map<string, MemoryStream>()
  readonly #values = new Map<string, Uint8Array | bigint>()
  readonly #watchers = new Watchers()
  /** All keys in order, made when it is asked for. */
  #sorted: string[] | null = null
  #bytes = 0
  #commits = 0
  #writes = 0
  #isClosed = false

  /** @throws LiminalError `INVALID_ARGUMENT` */
  constructor(options: MemoryStoreOptions = {}) {
    checkOptions('options', options)
    checkKnownOptions('options', options, KNOWN)
    checkInteger('maxBytes', options.maxBytes, 0)
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
  }

  async write(changes: readonly StoreWrite[]): Promise<void> {
    this.#checkOpen()
    if (!Array.isArray(changes)) throw invalidArgument('changes', 'an array', changes)
    const keys = changes.map((change) => {
      checkChange(change)
      return textOf('stream' in change ? change.stream : change.key)
    })
    const before = this.#bytes
    const undo: (() => void)[] = []
    try {
      for (const [index, change] of changes.entries()) this.#apply(keys[index], change, undo)
      if (this.#bytes > before && this.#bytes > this.#maxBytes) throw this.#full(before)
    } catch (error) {
      for (const step of undo.reverse()) step()
      this.#bytes = before
      throw error
    }
    this.#commits++
    this.#writes++
    if (this.#watchers.isEmpty) return
    for (const key of new Set(keys.filter((_, index) => changes[index].type === 'append'))) {
      const stream = this.#streams.get(key)
      if (stream !== undefined) this.#watchers.tell(key, stream.next)
    }
  }

  async state(stream: StoreKey): Promise<StreamState> {
    this.#checkOpen()
    const found = this.#streams.get(textOf(stream))
    if (found === undefined) return { first: 0n, next: 0n, bytes: 0, firstTimestamp: null, lastTimestamp: null }
    const { first, next, batches } = found
    return {
      first,
      next,
      bytes: found.bytes,
      firstTimestamp: batches.at(0)?.timestamp ?? null,
      lastTimestamp: batches.at(-1)?.timestamp ?? null,
    }
  }

  async read(stream: StoreKey, from: bigint, limits?: ReadLimits): Promise<EventPage> {
    this.#checkOpen()
    const key = textOf(stream)
    checkSequence('from', from)
    checkReadLimits(limits)
    const found = this.#streams.get(key)
    if (found === undefined || from >= found.next) return { batches: [], next: found?.next ?? 0n }
    const { first, batches } = found
    if (first === found.next) return { batches: [], next: first }
    const page = new PageBuilder(from < first ? first : from, limits)
    for (let index = batchWith(batches, page.next); index < batches.length && !page.isFull; index++) {
      page.add(batches[index])
    }
    return page.build()
  }

  async sequenceAt(stream: StoreKey, timestamp: number): Promise<bigint> {
    this.#checkOpen()
    const key = textOf(stream)
    checkTimestamp(timestamp)
    const found = this.#streams.get(key)
    if (found === undefined) return 0n
    const { batches, first, next } = found
    const at = firstWhere(batches.length, (index) => batches[index].timestamp >= timestamp)
    if (at === batches.length) return next
    return batches[at].first < first ? first : batches[at].first
  }

  async get(key: StoreKey): Promise<Uint8Array | null> {
    this.#checkOpen()
    const value = this.#values.get(textOf(key))
    return value instanceof Uint8Array ? new Uint8Array(value) : null
  }

  async number(key: StoreKey): Promise<bigint | null> {
    this.#checkOpen()
    const value = this.#values.get(textOf(key))
    return typeof value === 'bigint' ? value : null
  }

  async keys(kind: StoreKind, parts: readonly string[], page?: { after?: StoreKey; limit?: number }): Promise<KeyPage> {
    this.#checkOpen()
    const prefix = Buffer.from(encodeKeyPrefix(kind, parts)).toString('latin1')
    checkKeyPage(page)
    const after = page?.after === undefined ? '' : textOf(page.after)
    const limit = page?.limit ?? DEFAULT_KEYS_LIMIT
    this.#sorted ??= [...new Set([...this.#streams.keys(), ...this.#values.keys()])].sort()
    const sorted = this.#sorted
    const keys: StoreKey[] = []
    for (
      let index = firstWhere(sorted.length, (at) => sorted[at] > after && sorted[at] >= prefix);
      index < sorted.length && sorted[index].startsWith(prefix);
      index++
    ) {
      if (keys.length === limit) return { keys, after: keys[limit - 1] }
      keys.push(keyOf(sorted[index]))
    }
    return { keys, after: null }
  }

  watch(stream: StoreKey, listener: (next: bigint) => void): () => void {
    this.#checkOpen()
    const key = textOf(stream)
    checkFunction('listener', listener)
    return this.#watchers.add(key, listener)
  }

  hold(): null {
    this.#checkOpen()
    return null
  }

  async flush(): Promise<void> {
    this.#checkOpen()
  }

  stats(): StoreStats {
    this.#checkOpen()
    const [commits, writes] = [this.#commits, this.#writes]
    return { bytes: this.#bytes, streams: this.#streams.size, commits, writes, pendingBytes: 0 }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#watchers.clear()
    this.#streams.clear()
    this.#values.clear()
    this.#sorted = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #checkOpen(): void {
    if (this.#isClosed) throw storeClosed()
  }

  /** Makes a change, and puts onto `undo` what takes it back; the count of bytes apart. */
  #apply(key: string, change: StoreWrite, undo: (() => void)[]): void {
    switch (change.type) {
      case 'append':
        this.#append(key, change.stream, change.expected, change.events, undo)
        break
      case 'truncate':
        this.#truncate(key, change.before, undo)
        break
      case 'remove': {
        const found = this.#streams.get(key)
        this.#bytes -= found?.bytes ?? 0
        put(this.#streams, key, null)
        undo.push(() => put(this.#streams, key, found ?? null))
        this.#sorted = null
        break
      }
      case 'set':
        this.#set(key, change.value === null ? null : new Uint8Array(change.value), undo)
        break
      case 'compareAndSet': {
        const value = this.#values.get(key) ?? null
        if (value !== change.expected) {
          const found = value instanceof Uint8Array ? 'no number but bytes' : value === null ? 'none' : String(value)
          throw numberConflict(change.key, change.expected, found)
        }
        this.#set(key, change.value, undo)
      }
    }
  }

  #append(key: string, name: StoreKey, expected: bigint, events: EventBatch, undo: (() => void)[]): void {
    let stream = this.#streams.get(key)
    const next = stream?.next ?? 0n
    if (next !== expected) throw appendConflict(name, expected, next)
    if (stream === undefined) {
      stream = { first: 0n, next, bytes: 0, lastTimestamp: 0, batches: [] }
      put(this.#streams, key, stream)
      this.#sorted = null
      undo.push(() => put(this.#streams, key, null))
    }
    const changed = stream
    const before = { ...stream }
    const timestamp = Math.max(Date.now(), stream.lastTimestamp)
    stream.batches.push({ first: next, timestamp, ends: events.ends.slice(), bytes: new Uint8Array(events.bytes) })
    stream.next += BigInt(events.ends.length)
    stream.bytes += events.bytes.length
    stream.lastTimestamp = timestamp
    this.#bytes += events.bytes.length
    undo.push(() => {
      changed.batches.pop()
      Object.assign(changed, before)
    })
  }

  #truncate(key: string, wanted: bigint, undo: (() => void)[]): void {
    const stream = this.#streams.get(key)
    if (stream === undefined || wanted <= stream.first) return
    const before = { ...stream }
    const { batches, next } = stream
    stream.first = wanted > next ? next : wanted
    const kept = stream.first === next ? batches.length : batchWith(batches, stream.first)
    stream.batches = batches.slice(kept)
    stream.bytes += hiddenBytes(before)
    for (let index = 0; index < kept; index++) stream.bytes -= batches[index].bytes.length
    stream.bytes -= hiddenBytes(stream)
    this.#bytes += stream.bytes - before.bytes
    undo.push(() => Object.assign(stream, before))
  }

  #set(key: string, value: Uint8Array | bigint | null, undo: (() => void)[]): void {
    const before = this.#values.get(key) ?? null
    put(this.#values, key, value)
    this.#bytes += sizeOf(value) - sizeOf(before)
    if ((value === null) !== (before === null)) this.#sorted = null
    undo.push(() => put(this.#values, key, before))
  }

  #full(before: number): LiminalError {
    const message = `The store holds ${before} of ${this.#maxBytes} bytes, and the write needs ${this.#bytes - before} more. Nothing of it was kept: truncate streams or raise maxBytes.`
    return new LiminalError('STORE_FULL', message)
  }
}

function put<Value>(map: Map<string, Value>, key: string, value: Value | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

function textOf(key: StoreKey): string {
  return Buffer.from(encodeStoreKey(key)).toString('latin1')
}

function keyOf(text: string): StoreKey {
  const key = decodeStoreKey(Buffer.from(text, 'latin1'))
  if (key === null) throw new LiminalError('INTERNAL', 'The memory store holds a key that it did not make.')
  return key
}

function sizeOf(value: Uint8Array | bigint | null): number {
  if (value === null) return 0
  return value instanceof Uint8Array ? value.length : 8
}

/** Bytes of events before `first` that are still in memory, since others of their batch are wanted. */
function hiddenBytes({ first, batches }: MemoryStream): number {
  const [batch] = batches
  return batch === undefined || batch.first >= first ? 0 : batch.ends[Number(first - batch.first) - 1]
}

/** Where the batch is that has this event. */
function batchWith(batches: readonly StoredBatch[], sequence: bigint): number {
  return firstWhere(batches.length, (index) => batches[index].first > sequence) - 1
}

/** The first index below `length` that fits, all behind it fitting as well; `length` if there is none. */
function firstWhere(length: number, fits: (index: number) => boolean): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (fits(middle)) high = middle
    else low = middle + 1
  }
  return low
}
