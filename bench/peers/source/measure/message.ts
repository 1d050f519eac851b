/** Bytes that every message needs: a head and a tail of four bytes each around the run. */
const LEAST_MESSAGE_BYTES = 12

/** Set in the sequence word of the last message of a phase. */
const FINAL = 0x8000_0000
const SEQUENCE = 0x7fff_ffff

/**
 * Messages made before the run: run (u32), sequence word (u32), filler, sequence word again. They are used in turn, so that making one costs the publisher three stores and
 * no allocation. A client may keep a reference to what it is given: no slot is written again before every subscriber has reported the message that was in it, because
 * the end-to-end window is never larger than the ring.
 */
export class MessageRing {
  readonly #words: Int32Array
  readonly #slots: readonly Buffer[]
  readonly #wordsPerSlot: number

  /** @param size bytes of each message, a multiple of 4. */
  constructor(run: number, size: number, slots: number) {
    if (size < LEAST_MESSAGE_BYTES || size % 4 !== 0)
      throw new Error(`Messages of ${size} bytes cannot be made: at least ${LEAST_MESSAGE_BYTES}, and a multiple of 4.`)
    const memory = new ArrayBuffer(size * slots)
    new Uint8Array(memory).fill(0x2e)
    this.#words = new Int32Array(memory)
    this.#wordsPerSlot = size / 4
    this.#slots = Array.from({ length: slots }, (_, slot) => {
      this.#words[slot * this.#wordsPerSlot] = run
      return Buffer.from(memory, slot * size, size)
    })
  }

  /** The message of a sequence number; `final` says that it ends the phase. */
  message(sequence: number, final: boolean): Buffer {
    const slot = sequence % this.#slots.length
    const first = slot * this.#wordsPerSlot
    const word = final ? sequence | FINAL : sequence
    this.#words[first + 1] = word
    this.#words[first + this.#wordsPerSlot - 1] = word
    return this.#slots[slot]
  }
}

/** What one receiver found. All but `received` must be 0. */
export interface Check {
  /** Different messages that arrived. */
  readonly received: number
  readonly lost: number
  readonly duplicates: number
  /** Messages that arrived after a later one. */
  readonly outOfOrder: number
  /** Arrivals that nobody sent like this. */
  readonly corrupt: number
}

/** A receiver that found nothing and missed nothing. */
export const NOTHING: Check = { received: 0, lost: 0, duplicates: 0, outOfOrder: 0, corrupt: 0 }

/** More missing messages than this are counted as corruption: no broker skips ten million. */
const LARGEST_GAP = 10_000_000

/** What a {@link Tally} is told of the run, and whom it tells. */
export interface TallyOptions {
  readonly run: number
  readonly size: number
  /** `reached` is called each time that so many more messages have arrived. */
  readonly stride: number
  /** Called with a multiple of the stride once every sequence number below it was seen or skipped. */
  readonly reached: (mark: number) => void
  /** The last message of a phase has arrived; `next` messages were sent up to it. */
  readonly finished: (next: number) => void
}

/** Checks every message of one receiver: the run it belongs to, its length, both ends of it, and its place in the sequence. */
export class Tally {
  readonly #options: TallyOptions
  readonly #run: number
  readonly #size: number
  readonly #missing = new Set<number>()
  #next = 0
  #mark: number
  #duplicates = 0
  #outOfOrder = 0
  #corrupt = 0

  constructor(options: TallyOptions) {
    this.#options = options
    this.#run = options.run
    this.#size = options.size
    this.#mark = options.stride
  }

  /** One more than the highest sequence number seen. */
  get next(): number {
    return this.#next
  }

  /** Takes a message that lies at `offset` in `bytes`. */
  take(bytes: Uint8Array, offset: number, length: number): void {
    const word = wordAt(bytes, offset + 4)
    // A sequence number below the final mark: the tail is the same word.
    if (
      word === this.#next &&
      length === this.#size &&
      wordAt(bytes, offset + length - 4) === word &&
      wordAt(bytes, offset) === this.#run
    ) {
      this.#next = word + 1
      if (this.#next === this.#mark) this.#pass()
    } else this.#takeOther(bytes, offset, length)
  }

  check(): Check {
    return {
      received: this.#next - this.#missing.size,
      lost: this.#missing.size,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      corrupt: this.#corrupt,
    }
  }

  #takeOther(bytes: Uint8Array, offset: number, length: number): void {
    const sequence = this.#read(bytes, offset, length)
    if (sequence === null || sequence - this.#next > LARGEST_GAP) {
      this.#corrupt += 1
      return
    }
    if (sequence < this.#next) {
      if (this.#missing.delete(sequence)) this.#outOfOrder += 1
      else this.#duplicates += 1
    } else {
      for (let missing = this.#next; missing < sequence; missing++) this.#missing.add(missing)
      this.#next = sequence + 1
      while (this.#next >= this.#mark) this.#pass()
    }
    if (isFinal(bytes, offset)) this.#options.finished(this.#next)
  }

  #pass(): void {
    const mark = this.#mark
    this.#mark += this.#options.stride
    this.#options.reached(mark)
  }

  #read(bytes: Uint8Array, offset: number, length: number): number | null {
    if (length !== this.#size || wordAt(bytes, offset) !== this.#run) return null
    const word = wordAt(bytes, offset + 4)
    return word === wordAt(bytes, offset + length - 4) ? word & SEQUENCE : null
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}

function isFinal(bytes: Uint8Array, offset: number): boolean {
  return (bytes[offset + 7] & 0x80) !== 0
}

/** The sequence number of a message of this run, or -1: what {@link Tally} checks, for receivers that promise no order. */
export function sequenceOf(bytes: Uint8Array, offset: number, length: number, run: number, size: number): number {
  if (length !== size || wordAt(bytes, offset) !== run) return -1
  const word = wordAt(bytes, offset + 4)
  return word === wordAt(bytes, offset + length - 4) ? word & SEQUENCE : -1
}
