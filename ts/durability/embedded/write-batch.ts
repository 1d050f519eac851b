import type { StoreWrite } from '../event-store.ts'
import { directoryKey, encodedRecordBytes, encodeRecordInto, encodeValue, recordKey, VALUE_SLOT } from './layout.ts'

/** What a change is called in the bytes that go to the commit thread. */
export const OP = { append: 1, truncate: 2, remove: 3, set: 4, unset: 5, compareAndSet: 6 } as const

/** What a batch without writes has. */
const NO_MEMORY = new ArrayBuffer(0)
/** Bytes of a batch at first; it grows with what is written. */
const INITIAL_BYTES = 16 * 1024
/** Memory that comes back is written again, unless it is larger than this: that of one large write would be kept for ever. */
const MOST_KEPT_BYTES = 1024 * 1024

/**
 * The writes of one turn, as bytes that are handed to the commit thread without being copied once more:
 * for each write its number of changes (u32) and its time (f64); for each change its op (u8), the length of its key (u16), that of its value (u32), of `compareAndSet` whether a number is
 * expected (u8) and which (u64), then the key and the value. The key of `append`, `truncate` and `remove` is that of a record: its sequence is the one that is expected, the one before which
 * events go, or nothing; its slot is for the thread to set.
 */
export class WriteBatch {
  #memory: ArrayBuffer = NO_MEMORY
  #bytes = Buffer.from(this.#memory)
  #length = 0
  /** What came back last. */
  #spare: ArrayBuffer | null = null

  /** @param storeKeys the encoded keys of the changes, in their order. */
  add(changes: readonly StoreWrite[], storeKeys: readonly Uint8Array[], timestamp: number): void {
    this.#reserve(12)
    this.#bytes.writeUInt32LE(changes.length, this.#length)
    this.#bytes.writeDoubleLE(timestamp, this.#length + 4)
    this.#length += 12
    for (const [index, change] of changes.entries()) this.#addChange(change, storeKeys[index])
  }

  /** All that was added, which is the receiver's from now on. */
  take(): ArrayBuffer {
    const taken = this.#memory
    this.#use(NO_MEMORY)
    this.#length = 0
    return taken
  }

  /** Gives memory back that was taken and is not needed any more: new memory would be zeroed, and its pages made, for each commit. */
  giveBack(memory: ArrayBuffer): void {
    if (memory.byteLength <= MOST_KEPT_BYTES) this.#spare = memory
  }

  #addChange(change: StoreWrite, storeKey: Uint8Array): void {
    switch (change.type) {
      case 'append': {
        const { ends, bytes } = change.events
        const length = encodedRecordBytes(ends.length, bytes.length)
        const at = this.#addHead(OP.append, recordKey(storeKey, change.expected), length)
        encodeRecordInto(this.#bytes, at, ends, bytes)
        break
      }
      case 'truncate':
        this.#addHead(OP.truncate, recordKey(storeKey, change.before), 0)
        break
      case 'remove':
        this.#addHead(OP.remove, recordKey(storeKey, 0n), 0)
        break
      case 'set': {
        const key = directoryKey(storeKey, VALUE_SLOT)
        if (change.value === null) this.#addHead(OP.unset, key, 0)
        else this.#addValue(OP.set, key, encodeValue(key, change.value))
        break
      }
      case 'compareAndSet': {
        const key = directoryKey(storeKey, VALUE_SLOT)
        this.#addValue(OP.compareAndSet, key, encodeValue(key, change.value), change.expected)
      }
    }
  }

  #addValue(op: number, key: Buffer, value: Buffer, expected?: bigint | null): void {
    const at = this.#addHead(op, key, value.length, expected)
    this.#bytes.set(value, at)
  }

  /** Returns where the value goes; there is room for it. */
  #addHead(op: number, key: Buffer, valueLength: number, expected?: bigint | null): number {
    this.#reserve(16 + key.length + valueLength)
    const bytes = this.#bytes
    let at = bytes.writeUInt8(op, this.#length)
    at = bytes.writeUInt16LE(key.length, at)
    at = bytes.writeUInt32LE(valueLength, at)
    if (expected !== undefined) {
      at = bytes.writeUInt8(expected === null ? 0 : 1, at)
      at = bytes.writeBigUInt64LE(expected ?? 0n, at)
    }
    bytes.set(key, at)
    at += key.length
    this.#length = at + valueLength
    return at
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const before = this.#bytes
    const spare = this.#spare
    if (spare !== null && spare.byteLength >= needed) {
      this.#spare = null
      this.#use(spare)
    } else this.#use(new ArrayBuffer(Math.max(needed, before.length * 2, INITIAL_BYTES)))
    before.copy(this.#bytes, 0, 0, this.#length)
  }

  #use(memory: ArrayBuffer): void {
    this.#memory = memory
    this.#bytes = Buffer.from(memory)
  }
}
