import { readSync } from 'node:fs'
import type { LiminalError } from '../../errors.ts'
import { damaged, type Meta, NO_PAGE, PAGE_HEADER, type TreeInfo } from './lmdb-meta.ts'

const BRANCH = 1
const LEAF = 2
const OVERFLOW = 4
const NODE_HEADER = 8
/** The value of a node is where its pages are. */
const BIG = 1
const MAX_DEPTH = 32
const BIG_REFERENCE = 24

/** A key of a tree and where its value is. */
export interface TreeEntry {
  readonly key: Buffer
  /** Bytes of the value. */
  readonly size: number
  /** The value, or its beginning if it has pages of its own. Both are memory that is used again. */
  readonly value: Buffer
  /** The first page of a value that has pages of its own; `null` for others. */
  readonly page: number | null
}

/** Where the keys of a page lie: from `low` on, below `high`. `null`: open. */
interface Bounds {
  readonly low: Buffer | null
  readonly high: Buffer | null
}

/** Reads the trees of an LMDB file page by page and checks that they are trees: what LMDB itself takes for granted. Each page may be met once, in all trees together. */
export class TreeReader {
  readonly #path: string
  readonly #file: number
  readonly #meta: Meta
  readonly #seen: Uint8Array
  /** Of a value with pages of its own so much is read. */
  readonly #prefix: Buffer
  readonly #pages: Buffer[] = []
  #branchPages = 0n
  #leafPages = 0n
  #overflowPages = 0n
  #entries = 0n

  /** @param prefixBytes how much is read of a value that has pages of its own. */
  constructor(path: string, file: number, meta: Meta, prefixBytes: number) {
    this.#path = path
    this.#file = file
    this.#meta = meta
    this.#seen = new Uint8Array((meta.lastPage >>> 3) + 1)
    this.#prefix = Buffer.alloc(PAGE_HEADER + prefixBytes)
    this.mark(0, 1)
    this.mark(1, 1)
  }

  /** Calls `visit` for each entry in order. It is a generator only so that whoever drives it may pause between pages. @throws LiminalError `STORE_CORRUPT` */
  *walk(
    tree: TreeInfo,
    compare: (one: Buffer, other: Buffer) => number,
    visit: (entry: TreeEntry) => void,
  ): Generator<void> {
    this.#branchPages = this.#leafPages = this.#overflowPages = this.#entries = 0n
    if (tree.root === NO_PAGE) {
      if (tree.depth !== 0 || tree.entries !== 0n) throw this.damaged('a tree without pages claims to have entries')
    } else {
      if (tree.depth < 1 || tree.depth > MAX_DEPTH) throw this.damaged(`a tree has a depth of ${tree.depth}`)
      yield* this.#walkPage(tree.root, tree.depth, { low: null, high: null }, compare, visit)
    }
    const same =
      this.#branchPages === tree.branchPages &&
      this.#leafPages === tree.leafPages &&
      this.#overflowPages === tree.overflowPages &&
      this.#entries === tree.entries
    if (!same)
      throw this.damaged(
        `a tree has ${this.#entries} entries where ${tree.entries} should be, or other pages than it should`,
      )
  }

  /** Takes pages as seen. @throws LiminalError `STORE_CORRUPT` if one is met twice or is none of the file. */
  mark(first: number, count: number): void {
    if (!(first >= 0 && count >= 1 && first + count - 1 <= this.#meta.lastPage)) {
      throw this.damaged(
        `something refers to ${count} pages from ${first} on, but the last one is ${this.#meta.lastPage}`,
      )
    }
    for (let page = first; page < first + count; page++) {
      const bit = 1 << (page & 7)
      if ((this.#seen[page >>> 3] & bit) !== 0) throw this.damaged(`page ${page} is used twice`)
      this.#seen[page >>> 3] |= bit
    }
  }

  /** All of a value. */
  readValue({ value, size, page }: TreeEntry): Buffer {
    if (page === null) return value
    const all = Buffer.alloc(size)
    this.#readAt(all, page * this.#meta.pageSize + PAGE_HEADER)
    return all
  }

  damaged(what: string): LiminalError {
    return damaged(this.#path, what)
  }

  *#walkPage(
    number: bigint,
    depth: number,
    bounds: Bounds,
    compare: (one: Buffer, other: Buffer) => number,
    visit: (entry: TreeEntry) => void,
  ): Generator<void> {
    const page = this.#readPage(number, depth)
    const isLeaf = depth === 1
    if (isLeaf) this.#leafPages++
    else this.#branchPages++
    const count = page.readUInt16LE(20) >>> 1
    let last: Buffer | null = null
    for (let index = 0; index < count; index++) {
      const { at, key } = this.#nodeAt(page, index, number, isLeaf)
      // The first key of a branch page stands for everything below the second one, and is not looked at.
      const isOpen = !isLeaf && index === 0
      if (!isOpen) {
        const isInOrder =
          (last === null || compare(last, key) < 0) &&
          (bounds.low === null || compare(bounds.low, key) <= 0) &&
          (bounds.high === null || compare(key, bounds.high) < 0)
        if (!isInOrder) throw this.damaged(`the keys of page ${number} are not in order`)
        last = key
      }
      if (isLeaf) visit(this.#entryAt(page, at, key, number))
      else {
        const high = index + 1 < count ? this.#nodeAt(page, index + 1, number, false).key : bounds.high
        yield* this.#walkPage(childAt(page, at), depth - 1, { low: isOpen ? bounds.low : key, high }, compare, visit)
      }
    }
    if (isLeaf) yield
  }

  #readPage(number: bigint, depth: number): Buffer {
    if (number > BigInt(this.#meta.lastPage))
      throw this.damaged(`something refers to page ${number}, but the last one is ${this.#meta.lastPage}`)
    this.mark(Number(number), 1)
    this.#pages[depth] ??= Buffer.alloc(this.#meta.pageSize)
    const page = this.#pages[depth]
    this.#readAt(page, Number(number) * this.#meta.pageSize)
    this.#checkHeader(page, number, depth === 1 ? LEAF : BRANCH)
    const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)]
    const least = depth === 1 ? 2 : 4
    if (lower < least || lower % 2 !== 0 || lower > upper || upper > this.#meta.pageSize - PAGE_HEADER) {
      throw this.damaged(`page ${number} has no room for what it claims to hold`)
    }
    return page
  }

  #checkHeader(page: Buffer, number: bigint, kind: number): void {
    const [claimed, transaction, found] = [page.readBigUInt64LE(0), page.readBigUInt64LE(8), page.readUInt16LE(18)]
    if (claimed !== number || found !== kind || transaction > this.#meta.transaction) {
      throw this.damaged(`page ${number} claims to be page ${claimed} of kind ${found} and transaction ${transaction}`)
    }
  }

  #nodeAt(page: Buffer, index: number, number: bigint, isLeaf: boolean): { at: number; key: Buffer } {
    const at = page.readUInt16LE(PAGE_HEADER + 2 * index) + PAGE_HEADER
    const upper = page.readUInt16LE(22) + PAGE_HEADER
    const size = page.length
    if (at >= upper && at % 2 === 0 && at + NODE_HEADER <= size) {
      const keySize = page.readUInt16LE(at + 6)
      const dataSize = isLeaf ? this.#inlineSize(page, at) : 0
      const keyAt = at + NODE_HEADER
      if (keyAt + keySize + dataSize <= size) return { at, key: page.subarray(keyAt, keyAt + keySize) }
    }
    throw this.damaged(`entry ${index} of page ${number} is not within the page`)
  }

  #inlineSize(page: Buffer, at: number): number {
    return (page.readUInt16LE(at + 4) & BIG) === BIG ? BIG_REFERENCE : page.readUInt32LE(at)
  }

  #entryAt(page: Buffer, at: number, key: Buffer, number: bigint): TreeEntry {
    this.#entries++
    const flags = page.readUInt16LE(at + 4)
    const size = page.readUInt32LE(at)
    const dataAt = at + NODE_HEADER + key.length
    if (flags === 0) return { key, size, value: page.subarray(dataAt, dataAt + size), page: null }
    if (flags !== BIG) throw this.damaged(`an entry of page ${number} is of kind ${flags}`)
    const [first, count] = [page.readBigUInt64LE(dataAt), page.readBigUInt64LE(dataAt + 16)]
    const needed = Math.ceil((size + PAGE_HEADER) / this.#meta.pageSize)
    if (count !== BigInt(needed) || first > BigInt(this.#meta.lastPage)) {
      throw this.damaged(`an entry of page ${number} has ${size} bytes on ${count} pages from ${first} on`)
    }
    this.mark(Number(first), needed)
    this.#overflowPages += count
    const length = Math.min(PAGE_HEADER + size, this.#prefix.length)
    const head = this.#prefix.subarray(0, length)
    this.#readAt(head, Number(first) * this.#meta.pageSize)
    this.#checkHeader(head, first, OVERFLOW)
    if (head.readUInt32LE(20) !== needed)
      throw this.damaged(`page ${first} claims to be the first of ${head.readUInt32LE(20)}, not ${needed}`)
    return { key, size, value: head.subarray(PAGE_HEADER), page: Number(first) }
  }

  #readAt(target: Buffer, position: number): void {
    const length = readSync(this.#file, target, 0, target.length, position)
    if (length < target.length) throw this.damaged(`it ends at ${position + length}, within a page`)
  }
}

function childAt(page: Buffer, at: number): bigint {
  // A branch has no flags: their place is the upper part of the number.
  return BigInt(page.readUInt32LE(at)) | (BigInt(page.readUInt16LE(at + 4)) << 32n)
}
