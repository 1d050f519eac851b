import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import { Column, ROW_WIDTH } from '../protocol/index.ts'
import { type DeliveryBlock, PackedDelivery } from './delivery.ts'

/** Int32s of a waiting delivery: offsets of its envelope and its payload, bytes of the payload. */
const WIDTH = 3
const FIRST_ROWS = 16
/** Rows that an emptied ring gives back: a burst's are not kept for ever. */
const LARGE_ROWS = 4_096

/**
 * Deliveries in order, first in, first out, and how many bytes they are. One that waits is twelve bytes of an array and no object: with a hundred busy
 * subscriptions in a process, waiting objects outlived a scavenge and a third of its time went into collecting them. Its cap is its owner's.
 */
export class DeliveryRing<T> {
  /** The bytes that they lie in; their counts in it add up to the size. */
  readonly #blocks = new Deque<DeliveryBlock>()
  #newest: DeliveryBlock | null = null
  #rows = new Int32Array(FIRST_ROWS * WIDTH)
  /** Rows that there is room for, less one: a power of two less one. */
  #mask = FIRST_ROWS - 1
  #head = 0
  #size = 0
  #bytes = 0

  get size(): number {
    return this.#size
  }

  /** Payload bytes of all deliveries in it. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes `count` deliveries in, from the row at index `at` of `columns` on.
   *
   * @param block What they lie in; never an earlier one than that of the deliveries before.
   * @param shift What their offsets differ by, in the block's bytes, from those in the columns.
   */
  push(block: DeliveryBlock, columns: Int32Array, at: number, count: number, shift: number): void {
    if (block !== this.#newest) {
      this.#newest = block
      this.#blocks.push(block)
    }
    block.waiting += count
    if (this.#size + count > this.#mask + 1) this.#grow(this.#size + count)
    const rows = this.#rows
    const mask = this.#mask
    let slot = this.#head + this.#size
    let payloads = 0
    for (let row = at, end = at + count * ROW_WIDTH; row < end; row += ROW_WIDTH) {
      const to = (slot & mask) * WIDTH
      const length = columns[row + Column.PAYLOAD_LENGTH]
      rows[to] = columns[row + Column.ENVELOPE] + shift
      rows[to + 1] = columns[row + Column.PAYLOAD] + shift
      rows[to + 2] = length
      payloads += length
      slot++
    }
    this.#size += count
    this.#bytes += payloads
  }

  /** Takes the oldest `count`, which must be there, and numbers them from `ordinal`. */
  take(count: number, ordinal: number): PackedDelivery<T>[] {
    const taken = new Array<PackedDelivery<T>>(count)
    for (let from = 0; from < count; ) from = this.#takeFromOldest(taken, from, ordinal)
    return taken
  }

  /** Takes the oldest, which must be there, and numbers it. */
  takeOne(ordinal: number): PackedDelivery<T> {
    const block = this.#oldestBlock()
    const rows = this.#rows
    const at = this.#head * WIDTH
    const length = rows[at + 2]
    if (block.firstOrdinal === 0) block.firstOrdinal = ordinal
    const delivery = new PackedDelivery<T>(block, rows[at], rows[at + 1], length, ordinal)
    this.#taken(block, 1, length)
    return delivery
  }

  clear(): void {
    for (const block of this.#blocks.take()) block.waiting = 0
    this.#size = 0
    this.#bytes = 0
    this.#emptied()
  }

  /** Fills `taken` from `from` on with what the oldest block has, and returns how far that goes. */
  #takeFromOldest(taken: PackedDelivery<T>[], from: number, ordinal: number): number {
    const block = this.#oldestBlock()
    const until = Math.min(taken.length, from + block.waiting)
    if (block.firstOrdinal === 0) block.firstOrdinal = ordinal + from
    const rows = this.#rows
    const mask = this.#mask
    let slot = this.#head
    let payloads = 0
    for (let index = from; index < until; index++) {
      const at = (slot & mask) * WIDTH
      const length = rows[at + 2]
      taken[index] = new PackedDelivery<T>(block, rows[at], rows[at + 1], length, ordinal + index)
      payloads += length
      slot++
    }
    this.#taken(block, until - from, payloads)
    return until
  }

  #taken(block: DeliveryBlock, count: number, payloads: number): void {
    this.#head = (this.#head + count) & this.#mask
    this.#size -= count
    this.#bytes -= payloads
    block.waiting -= count
    if (block.waiting > 0) return
    this.#blocks.shift()
    if (this.#size === 0) this.#emptied()
  }

  #emptied(): void {
    this.#newest = null
    if (this.#mask >= LARGE_ROWS) this.#resize(FIRST_ROWS)
  }

  #oldestBlock(): DeliveryBlock {
    const block = this.#blocks.at(0)
    if (block === undefined) throw new LiminalError('INTERNAL', 'More deliveries were taken from a ring than it has.')
    return block
  }

  #grow(needed: number): void {
    let capacity = (this.#mask + 1) * 2
    while (capacity < needed) capacity *= 2
    this.#resize(capacity)
  }

  /** Moves the rows, the oldest first, to memory of another size. */
  #resize(capacity: number): void {
    const before = this.#rows
    const untilWrap = Math.min(this.#size, this.#mask + 1 - this.#head)
    const head = this.#head * WIDTH
    const rows = new Int32Array(capacity * WIDTH)
    rows.set(before.subarray(head, head + untilWrap * WIDTH))
    rows.set(before.subarray(0, (this.#size - untilWrap) * WIDTH), untilWrap * WIDTH)
    this.#rows = rows
    this.#mask = capacity - 1
    this.#head = 0
  }
}
