import { readSync } from 'node:fs'
import { LiminalError } from '../../errors.ts'

/** Bytes before what a page holds: its number (u64), its transaction (u64), 2 unused, its kind (u16), and two u16, or one u32 of a value that needs pages of its own. */
export const PAGE_HEADER = 24

const MAGIC = 0xbeefc0de
const META_VERSION = 2
const META_BYTES = PAGE_HEADER + 144
const KIND_META = 8
/** What a tree without pages has for a root. */
export const NO_PAGE = 0xffff_ffff_ffff_ffffn

/** A tree of an LMDB file. */
export interface TreeInfo {
  readonly depth: number
  readonly branchPages: bigint
  readonly leafPages: bigint
  readonly overflowPages: bigint
  readonly entries: bigint
  readonly root: bigint
}

/** What one of the two first pages says: where everything is as of one transaction. LMDB itself has no checksum over it. */
export interface Meta {
  readonly pageSize: number
  readonly mapSize: bigint
  readonly free: TreeInfo
  readonly main: TreeInfo
  readonly lastPage: number
  readonly transaction: bigint
}

/** The error of a file that is damaged. */
export function damaged(path: string, what: string): LiminalError {
  const message = `The store file ${path} is damaged: ${what}. Nothing was changed. Restore the directory from a copy, or move it away to begin with an empty store.`
  return new LiminalError('STORE_CORRUPT', message)
}

/**
 * Reads the two pages of an LMDB file that say where everything is, and returns the newer one, without LMDB: it maps the file, and what points past its end would be a signal that ends
 * the process.
 *
 * @throws LiminalError `STORE_CORRUPT`
 */
export function readMeta(path: string, file: number, size: number): Meta {
  const fail = (what: string): LiminalError => damaged(path, what)
  if (size === 0) throw fail('it is empty')
  const first = readOne(path, file, 0, 0)
  if (size < 2 * first.pageSize)
    throw fail(`it has ${size} bytes, and its first two pages alone have ${2 * first.pageSize}`)
  const second = readOne(path, file, first.pageSize, 1)
  if (second.pageSize !== first.pageSize) throw fail('its first two pages disagree about the size of a page')
  const [older, newer] = first.transaction > second.transaction ? [second, first] : [first, second]
  // Each transaction writes the other page. A new file has two alike.
  const isFresh = newer.transaction === 0n && older.transaction === 0n
  const expected = newer === first ? 0n : 1n
  // The first transaction of all leaves page 0 at 0.
  if (!isFresh && (newer.transaction - older.transaction !== 1n || (newer.transaction & 1n) !== expected)) {
    throw fail(
      `its first two pages are of transactions ${first.transaction} and ${second.transaction}, which do not follow each other`,
    )
  }
  const needed = (newer.lastPage + 1) * newer.pageSize
  if (size < needed) throw fail(`it has ${size} bytes, but needs ${needed}: it was cut off`)
  return newer
}

function readOne(path: string, file: number, position: number, page: number): Meta {
  const bytes = Buffer.alloc(META_BYTES)
  const length = readSync(file, bytes, 0, META_BYTES, position)
  const fail = (what: string): LiminalError => damaged(path, `page ${page} ${what}`)
  if (length < META_BYTES) throw fail('is cut off')
  if (bytes.readBigUInt64LE(0) !== BigInt(page) || bytes.readUInt16LE(18) !== KIND_META)
    throw fail('is none that begins an LMDB file')
  if (bytes.readUInt32LE(24) !== MAGIC) throw fail('does not begin as an LMDB file does')
  if (bytes.readUInt32LE(28) !== META_VERSION)
    throw fail(`has version ${bytes.readUInt32LE(28)} of LMDB's format, not ${META_VERSION}`)
  const pageSize = bytes.readUInt32LE(48)
  const isPowerOfTwo = (pageSize & (pageSize - 1)) === 0
  if (pageSize < 512 || pageSize > 65_536 || !isPowerOfTwo) throw fail(`has pages of ${pageSize} bytes`)
  const [mapSize, lastPage] = [bytes.readBigUInt64LE(40), bytes.readBigUInt64LE(144)]
  if (bytes.readBigUInt64LE(32) !== 0n) throw fail('wants to be mapped to a fixed address')
  // A map of 2^47 bytes is what an address space holds.
  if (mapSize > 1n << 47n || lastPage < 1n || (lastPage + 1n) * BigInt(pageSize) > 1n << 47n)
    throw fail('has a size that no file has')
  return {
    pageSize,
    mapSize,
    free: treeAt(bytes, 48),
    main: treeAt(bytes, 96),
    lastPage: Number(lastPage),
    transaction: bytes.readBigUInt64LE(152),
  }
}

function treeAt(bytes: Buffer, at: number): TreeInfo {
  return {
    depth: bytes.readUInt16LE(at + 6),
    branchPages: bytes.readBigUInt64LE(at + 8),
    leafPages: bytes.readBigUInt64LE(at + 16),
    overflowPages: bytes.readBigUInt64LE(at + 24),
    entries: bytes.readBigUInt64LE(at + 32),
    root: bytes.readBigUInt64LE(at + 40),
  }
}
