import { closeSync, fstatSync, openSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { decodeStoreKey, describeStoreKey } from '../store-key.ts'
import {
  DIRECTORY,
  decodeHead,
  decodeMark,
  isSound,
  MARK_KEY,
  RECORDS,
  REMAINS,
  STREAM_SLOT,
  VALUE_SLOT,
} from './layout.ts'
import { readMeta } from './lmdb-meta.ts'
import { type TreeEntry, TreeReader } from './lmdb-tree.ts'

/** What a store file holds. */
export interface FileReport {
  /** What it was marked with; `null` if nothing was ever written to it. */
  readonly mark: { readonly format: number; readonly id: Uint8Array } | null
  /** Bytes of keys and values. */
  readonly used: number
  readonly streams: number
  /** The encoded keys of streams with records that are still to be deleted. */
  readonly remains: readonly Uint8Array[]
}

/** Pages between two pauses, in which others have their turn. */
const PAGES_PER_TURN = 256

/**
 * Reads all of a store file but the contents of its records, and checks that it is whole: the pages that LMDB will follow without looking, and every entry of the directory. What is
 * damaged in a record is found by whoever reads it.
 *
 * @throws LiminalError `STORE_CORRUPT`; what the file system throws.
 */
export async function checkFile(path: string): Promise<FileReport> {
  const file = openSync(path, 'r')
  try {
    const meta = readMeta(path, file, fstatSync(file).size)
    const tree = new TreeReader(path, file, meta, 0)
    const entries = new EntryCheck(tree)
    await drive(tree.walk(meta.main, Buffer.compare, (entry) => entries.check(entry)))
    await drive(tree.walk(meta.free, compareIntegers, (entry) => markFree(tree, entry)))
    return entries
  } finally {
    closeSync(file)
  }
}

async function drive(walk: Generator<void>): Promise<void> {
  let pages = 0
  for (const _ of walk) {
    pages++
    if (pages % PAGES_PER_TURN === 0) await setImmediate()
  }
}

/** What an entry means, one after the other. */
class EntryCheck implements FileReport {
  mark: FileReport['mark'] = null
  used = 0
  streams = 0
  readonly remains: Uint8Array[] = []
  readonly #tree: TreeReader

  constructor(tree: TreeReader) {
    this.#tree = tree
  }

  check(entry: TreeEntry): void {
    const { key, size } = entry
    if (key[0] === MARK_KEY[0]) {
      this.mark = key.equals(MARK_KEY) ? decodeMark(entry.value) : null
      if (this.mark === null) throw this.#tree.damaged('its mark is not one')
      return
    }
    if (key[0] === REMAINS) {
      this.#checkRemains(entry)
      return
    }
    if (key[0] === DIRECTORY) this.#checkDirectory(entry)
    else if (key[0] !== RECORDS) throw this.#tree.damaged(`it has a key that begins with ${key[0]}`)
    this.used += key.length + size
  }

  #checkRemains(entry: TreeEntry): void {
    const { key } = entry
    if (decodeStoreKey(key.subarray(1, -1)) === null || !isSound(key, this.#tree.readValue(entry))) {
      throw this.#tree.damaged('what it says of records to be deleted is not what was written')
    }
    this.remains.push(new Uint8Array(key.subarray(1, -1)))
  }

  #checkDirectory(entry: TreeEntry): void {
    const { key } = entry
    const slot = key[key.length - 1]
    const name = decodeStoreKey(key.subarray(1, -1))
    if (name === null) throw this.#tree.damaged('its directory has a key that is none')
    const value = this.#tree.readValue(entry)
    const isRight =
      (slot === STREAM_SLOT && decodeHead(key, value) !== null) || (slot === VALUE_SLOT && isSound(key, value))
    // It may as well be that the name was altered, and that it is another stream whose entry is missing: nobody can tell.
    if (!isRight)
      throw this.#tree.damaged(`the entry of ${describeStoreKey(name)} in the directory is not what was written`)
    if (slot === STREAM_SLOT) this.streams++
  }
}

/** LMDB keeps the numbers of free pages in lists: how many numbers, then the numbers; a negative one says how many pages there are from the one behind it on. */
function markFree(tree: TreeReader, entry: TreeEntry): void {
  const list = tree.readValue(entry)
  const count = list.length >= 8 ? Number(list.readBigUInt64LE(0)) : -1
  if (count < 0 || 8 + 8 * count > list.length) throw tree.damaged('a list of its free pages is too short')
  for (let index = 1; index <= count; index++) {
    const number = list.readBigInt64LE(8 * index)
    if (number > 0n) tree.mark(Number(number), 1)
    else if (number < 0n) {
      index++
      if (index > count) throw tree.damaged('a list of its free pages is too short')
      tree.mark(Number(list.readBigInt64LE(8 * index)), Number(-number))
    }
  }
}

function compareIntegers(one: Buffer, other: Buffer): number {
  if (one.length !== 8 || other.length !== 8) return 0
  const [left, right] = [one.readBigUInt64LE(0), other.readBigUInt64LE(0)]
  return left < right ? -1 : left > right ? 1 : 0
}
