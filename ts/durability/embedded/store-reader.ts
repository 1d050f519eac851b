import type { RootDatabase } from 'lmdb'
import { LiminalError } from '../../errors.ts'
import { startOfEvent } from '../event-batch.ts'
import { PageBuilder } from '../event-page.ts'
import type { EventPage, KeyPage, ReadLimits, StoreKey, StreamState } from '../event-store.ts'
import { adviceOnDamage, decodeStoreKey, describeStoreKey } from '../store-key.ts'
import {
  afterRecords,
  beforeRecords,
  DIRECTORY,
  decodeHead,
  decodeRecord,
  decodeValue,
  directoryKey,
  type EventRecord,
  recordKey,
  STREAM_SLOT,
  type StreamHead,
  VALUE_SLOT,
} from './layout.ts'
import { RecentRecords } from './recent-records.ts'

/** The database as it is opened here: keys and values are bytes. */
export type Database = RootDatabase<Buffer, Buffer>

/** Sorts behind all that continues a key's bytes. */
const BEHIND = 0xff

/** A stream to be read: its name for messages, its encoded key. */
export interface NamedStream {
  readonly name: StoreKey
  readonly key: Uint8Array
}

/** Reads a store: what is committed by the time of each call, all of it from one moment. Everything that it hands out is copied. */
export class StoreReader {
  readonly #database: Database
  readonly #path: string
  readonly #recent = new RecentRecords()

  constructor(database: Database, path: string) {
    this.#database = database
    this.#path = path
  }

  /** The next call sees all commits that were made until now. */
  renew(): void {
    this.#database.resetReadTxn()
  }

  /** Lets go of what it keeps of a stream. */
  forget(streamKey: Uint8Array): void {
    this.#recent.forget(textOf(streamKey))
  }

  /** The removal of a stream is underway: whether it is made, and whether it is seen, is known only once {@link removed} is called. */
  removing(streamKey: Uint8Array): void {
    this.#recent.removing(textOf(streamKey))
  }

  removed(streamKey: Uint8Array): void {
    this.#recent.removed(textOf(streamKey))
  }

  /** Lets go of all that it keeps. */
  close(): void {
    this.#recent.clear()
  }

  state(stream: NamedStream): StreamState {
    const head = this.#head(stream)
    if (head === null) return { first: 0n, next: 0n, bytes: 0, firstTimestamp: null, lastTimestamp: null }
    const { first, next, total, lastTimestamp } = head
    if (first === next) return { first, next, bytes: 0, firstTimestamp: null, lastTimestamp: null }
    const record = this.#recordWith(stream, head, first)
    const hidden = startOfEvent(record.ends, Number(first - record.first))
    const bytes = Number(total - record.bytesBefore) - hidden
    return { first, next, bytes, firstTimestamp: record.timestamp, lastTimestamp }
  }

  read(stream: NamedStream, from: bigint, limits: ReadLimits | undefined): EventPage {
    const head = this.#head(stream)
    if (head === null) return { batches: [], next: 0n }
    const { first, next } = head
    if (from >= next || first === next) return { batches: [], next }
    const page = new PageBuilder(from < first ? first : from, limits)
    let record = this.#recordWith(stream, head, page.next)
    page.add(record)
    if (page.isFull || page.next === next) return page.build()
    const start = recordKey(stream.key, record.first + BigInt(record.ends.length), head.slot)
    for (const entry of this.#database.getRange({ start, end: afterRecords(stream.key, head.slot) })) {
      const following = decodeWith(entry, page.next)
      // What is whole is handed out; whoever reads on is told.
      if (typeof following === 'string') break
      record = following
      page.add(record)
      if (!page.isFull && page.next !== next) continue
      this.#recent.keep(textOf(stream.key), record)
      break
    }
    return page.build()
  }

  sequenceAt(stream: NamedStream, timestamp: number): bigint {
    const head = this.#head(stream)
    if (head === null) return 0n
    let [low, high] = [head.first, head.next]
    while (low < high) {
      const record = this.#recordWith(stream, head, (low + high) >> 1n)
      if (record.timestamp >= timestamp) high = record.first > low ? record.first : low
      else low = record.first + BigInt(record.ends.length)
    }
    return low
  }

  /** Bytes or a number; `null` if there is none. */
  value({ name, key }: NamedStream): Uint8Array | bigint | null {
    const at = directoryKey(key, VALUE_SLOT)
    const value = this.#database.getBinary(at)
    if (value === undefined) return null
    const content = decodeValue(at, value)
    if (content === null) throw this.#corrupt({ name, key }, 'its value is not what was written')
    return content
  }

  /** Keys whose bytes begin with `prefix`, behind `after`. */
  keys(prefix: Uint8Array, after: Uint8Array | null, limit: number): KeyPage {
    const least = Buffer.concat([Buffer.of(DIRECTORY), prefix])
    const behind = after === null ? least : directoryKey(after, VALUE_SLOT + 1)
    const start = Buffer.compare(behind, least) < 0 ? least : behind
    const end = directoryKey(prefix, BEHIND)
    const keys: StoreKey[] = []
    let last: Buffer | null = null
    for (const entry of this.#database.getKeys({ start, end })) {
      const bytes: Buffer = entry.subarray(1, -1)
      // A stream and a value of the same name lie side by side.
      if (last?.equals(bytes)) continue
      if (keys.length === limit) return { keys, after: keys[limit - 1] }
      const key = decodeStoreKey(bytes)
      if (key === null) {
        throw new LiminalError('STORE_CORRUPT', `The directory of the store file ${this.#path} has a key that is none.`)
      }
      keys.push(key)
      last = bytes
    }
    return { keys, after: null }
  }

  #head(stream: NamedStream): StreamHead | null {
    const key = directoryKey(stream.key, STREAM_SLOT)
    const value = this.#database.getBinary(key)
    if (value === undefined) return null
    const head = decodeHead(key, value)
    if (head === null) throw this.#corrupt(stream, 'its entry in the directory is not what was written')
    return head
  }

  /** The record with an event that must be there. */
  #recordWith(stream: NamedStream, { slot }: StreamHead, sequence: bigint): EventRecord {
    const text = textOf(stream.key)
    const recent = this.#recent.with(text, sequence)
    if (recent !== null) return recent
    const [start, end] = [recordKey(stream.key, sequence, slot), beforeRecords(stream.key, slot)]
    const range = { start, end, reverse: true, limit: 1 }
    for (const entry of this.#database.getRange(range)) {
      const record = decodeWith(entry, sequence)
      if (typeof record === 'string') throw this.#corrupt(stream, record)
      this.#recent.keep(text, record)
      return record
    }
    throw this.#corrupt(stream, missing(sequence))
  }

  #corrupt({ name }: NamedStream, what: string): LiminalError {
    const message = `The store file ${this.#path} is damaged in ${describeStoreKey(name)}: ${what}. ${adviceOnDamage(name)}`
    return new LiminalError('STORE_CORRUPT', message)
  }
}

/** The record of an entry, which must have an event; a text says what is wrong with it. */
function decodeWith({ key, value }: { key: Buffer; value: Buffer }, sequence: bigint): EventRecord | string {
  const record = decodeRecord(key, value)
  if (record === null) return `the record with sequence ${sequence} is not what was written`
  const isWithin = sequence >= record.first && sequence < record.first + BigInt(record.ends.length)
  return isWithin ? record : missing(sequence)
}

function missing(sequence: bigint): string {
  return `the event with sequence ${sequence} is missing`
}

/** What a key is called where keys are compared as texts. */
export function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}
