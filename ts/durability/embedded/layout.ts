import { crc32 } from 'node:zlib'

/**
 * The bytes of an embedded store: what its keys and values look like. All integers are little-endian, but for the sequence in a record's key, which sorts.
 *
 * | key | value |
 * |---|---|
 * | `00 'liminal-bus'` | the mark: what the file is, see {@link encodeMark} |
 * | `01 <store key> 01` | where a stream stands, see {@link StreamHead} |
 * | `01 <store key> 02` | a value or a number, see {@link encodeValue} |
 * | `02 <store key> <slot> <first sequence, 8 bytes big-endian>` | a record: all events of one append, see {@link EventRecord} |
 * | `03 <store key> 01` | the stream has records that are not its own any more, and are still to be deleted: a value without content |
 *
 * The slot of a record is 01, 02 or 03: a stream that is removed and begins anew takes one in which none of its former records are left. Its entry in the directory says which.
 *
 * Each value begins with its version and has a CRC-32 at offset 4, over the key and everything behind the CRC: a value that was altered, or that stands under another key than
 * its own, is noticed by whoever reads it.
 */

/** The format of all of it together; raised with every change that an older reader would not understand. */
export const FORMAT_VERSION = 1

export const DIRECTORY = 1
export const RECORDS = 2
export const REMAINS = 3
export const STREAM_SLOT = 1
/** The last slot that records may have. */
export const LAST_SLOT = 3
export const VALUE_SLOT = 2

export const VALUE_VERSION = 1
export const RECORD_HEADER_BYTES = 32
export const HEAD_BYTES = 40
export const VALUE_HEADER_BYTES = 8
/** Where the CRC stands, and where what it covers begins. */
export const CRC_AT = 4
export const CRC_FROM = 8

export const MARK_KEY: Uint8Array = Buffer.from('\u0000liminal-bus', 'latin1')
const MARK_BYTES = 28

/** What follows the header of a value. */
const BYTES = 1
const NUMBER = 2

/** Where a stream stands. Its layout: version, the slot less 1, 2 zeros, CRC, then the others. */
export interface StreamHead {
  /** The slot of its records. */
  readonly slot: number
  /** The oldest event that is there; its record may begin before it. */
  readonly first: bigint
  readonly next: bigint
  /** Bytes of all payloads ever appended. */
  readonly total: bigint
  /** Of the newest event there ever was; no later one is before it. */
  readonly lastTimestamp: number
}

/** All events of one append. Its layout: version, 3 zeros, CRC, timestamp (f64), bytes before (u64), count (u32), 4 zeros, `count` ends (u32), the bytes. */
export interface EventRecord {
  readonly first: bigint
  readonly timestamp: number
  /** Bytes of all payloads of the stream before this record, those included that were removed. */
  readonly bytesBefore: bigint
  readonly ends: Uint32Array
  readonly bytes: Uint8Array
}

/** `<table> <store key> <slot>`. */
export function directoryKey(storeKey: Uint8Array, slot: number): Buffer {
  return framed(DIRECTORY, storeKey, slot, 0)
}

/** The key of the record that begins with this sequence. */
export function recordKey(storeKey: Uint8Array, first: bigint, slot = STREAM_SLOT): Buffer {
  const key = framed(RECORDS, storeKey, slot, 8)
  key.writeBigUInt64BE(first, key.length - 8)
  return key
}

/** Sorts before the keys of all records of a slot, and behind everything that sorts before those. */
export function beforeRecords(storeKey: Uint8Array, slot: number): Buffer {
  return framed(RECORDS, storeKey, slot, 0)
}

/** Sorts behind the keys of all records of a slot. */
export function afterRecords(storeKey: Uint8Array, slot: number): Buffer {
  return framed(RECORDS, storeKey, slot + 1, 0)
}

/** The first sequence of the record with this key. */
export function firstOf(key: Uint8Array): bigint {
  return asBuffer(key).readBigUInt64BE(key.length - 8)
}

export function encodedRecordBytes(count: number, bytes: number): number {
  return RECORD_HEADER_BYTES + 4 * count + bytes
}

/** Writes what of a record is known before its turn has come: the rest is the timestamp, the bytes before and the CRC. */
export function encodeRecordInto(target: Buffer, at: number, ends: Uint32Array, bytes: Uint8Array): void {
  target.fill(0, at, at + RECORD_HEADER_BYTES)
  target[at] = VALUE_VERSION
  target.writeUInt32LE(ends.length, at + 24)
  const endsAt = at + RECORD_HEADER_BYTES
  // As they lie in memory: all platforms that there are builds for are little-endian.
  target.set(new Uint8Array(ends.buffer, ends.byteOffset, ends.byteLength), endsAt)
  target.set(bytes, endsAt + ends.byteLength)
}

/** `null` if it is not what was stored under this key. The bytes are those of `value`. */
export function decodeRecord(key: Uint8Array, value: Buffer): EventRecord | null {
  if (value.length < RECORD_HEADER_BYTES || !isSound(key, value)) return null
  const count = value.readUInt32LE(24)
  const start = RECORD_HEADER_BYTES + 4 * count
  if (count === 0 || start > value.length) return null
  const ends = new Uint32Array(count)
  new Uint8Array(ends.buffer).set(value.subarray(RECORD_HEADER_BYTES, start))
  if (ends[count - 1] !== value.length - start) return null
  return {
    first: firstOf(key),
    timestamp: value.readDoubleLE(8),
    bytesBefore: value.readBigUInt64LE(16),
    ends,
    bytes: value.subarray(start),
  }
}

/** `null` if it is not what was stored under this key. */
export function decodeHead(key: Uint8Array, value: Buffer): StreamHead | null {
  if (value.length !== HEAD_BYTES || !isSound(key, value)) return null
  const slot = STREAM_SLOT + value[1]
  if (slot > LAST_SLOT) return null
  return {
    slot,
    first: value.readBigUInt64LE(8),
    next: value.readBigUInt64LE(16),
    total: value.readBigUInt64LE(24),
    lastTimestamp: value.readDoubleLE(32),
  }
}

/** Version, whether it is bytes or a number, 2 zeros, CRC, the bytes or the number (u64). */
export function encodeValue(key: Uint8Array, content: Uint8Array | bigint): Buffer {
  const length = typeof content === 'bigint' ? 8 : content.length
  const value = Buffer.alloc(VALUE_HEADER_BYTES + length)
  value[0] = VALUE_VERSION
  value[1] = typeof content === 'bigint' ? NUMBER : BYTES
  if (typeof content === 'bigint') value.writeBigUInt64LE(content, VALUE_HEADER_BYTES)
  else value.set(content, VALUE_HEADER_BYTES)
  return seal(key, value)
}

/** `null` if it is not what was stored under this key. The bytes are those of `value`. */
export function decodeValue(key: Uint8Array, value: Buffer): Uint8Array | bigint | null {
  if (value.length < VALUE_HEADER_BYTES || !isSound(key, value)) return null
  if (value[1] === BYTES) return value.subarray(VALUE_HEADER_BYTES)
  if (value[1] === NUMBER && value.length === VALUE_HEADER_BYTES + 8) return value.readBigUInt64LE(VALUE_HEADER_BYTES)
  return null
}

/** Version, 3 zeros, CRC, the format (u32), the 16 bytes of the store's id. */
export function encodeMark(format: number, id: Uint8Array): Buffer {
  const value = Buffer.alloc(MARK_BYTES)
  value[0] = VALUE_VERSION
  value.writeUInt32LE(format, 8)
  value.set(id, 12)
  return seal(MARK_KEY, value)
}

/** `null` if it is no mark. */
export function decodeMark(value: Buffer): { readonly format: number; readonly id: Uint8Array } | null {
  if (value.length !== MARK_BYTES || !isSound(MARK_KEY, value)) return null
  return { format: value.readUInt32LE(8), id: new Uint8Array(value.subarray(12)) }
}

/** Whether a value is what was stored under this key. */
export function isSound(key: Uint8Array, value: Buffer): boolean {
  return value.length >= CRC_FROM && value[0] === VALUE_VERSION && value.readUInt32LE(CRC_AT) === crcOf(key, value)
}

function seal(key: Uint8Array, value: Buffer): Buffer {
  value.writeUInt32LE(crcOf(key, value), CRC_AT)
  return value
}

function crcOf(key: Uint8Array, value: Buffer): number {
  // Its first bytes are covered as well: one that turned bytes into a number would not be noticed otherwise.
  return crc32(value.subarray(CRC_FROM), crc32(value.subarray(0, CRC_AT), crc32(key)))
}

function framed(table: number, storeKey: Uint8Array, slot: number, spare: number): Buffer {
  const key = Buffer.allocUnsafe(storeKey.length + 2 + spare)
  key[0] = table
  key.set(storeKey, 1)
  key[storeKey.length + 1] = slot
  return key
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
