import { LiminalError } from '../errors.ts'
import type { NameTable } from './codec.ts'
import { textLength, writeText } from './text.ts'

/**
 * Channel names as small integers, in one block of memory that the native scan reads in place. All numbers in it are u32, little-endian on every
 * platform that has a native codec:
 *
 *     0   slot count, a power of two
 *     4   number of names
 *     8   offset of the arena
 *     12  0
 *     16  one entry of four u32 per slot: FNV-1a hash of the name's bytes; id + 1, or 0 if the slot is empty; offset of the
 *         name from the start of the memory; its length in bytes
 *     ..  the arena: the names' UTF-8 bytes, back to back
 *
 * A name is looked up from slot `hash & (slots - 1)` onwards, wrapping around, until it or an empty slot is found.
 */

const HEAD_WORDS = 4
const SLOT_WORDS = 4
const FIRST_SLOTS = 16
const FIRST_ARENA_BYTES = 512

/** The FNV-1a 32-bit hash of bytes[start, end). */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193)
  return hash >>> 0
}

class InternedNames implements NameTable {
  #memory = new Uint8Array(0)
  #words = new Uint32Array(0)
  #slots = 0
  #arenaUsed = 0
  readonly #names: string[] = []

  constructor() {
    this.#allocate(FIRST_SLOTS, FIRST_ARENA_BYTES)
  }

  get size(): number {
    return this.#names.length
  }

  get memory(): Uint8Array {
    return this.#memory
  }

  add(name: string): number {
    const length = textLength(name)
    if (length < 0) {
      throw new LiminalError('INVALID_ARGUMENT', 'A channel name with a lone surrogate has no UTF-8 form; remove it')
    }
    const bytes = new Uint8Array(length)
    writeText(bytes, 0, name, length)
    const known = this.find(bytes, 0, length)
    if (known >= 0) return known
    this.#makeRoom(length)
    const at = this.#memory.length - this.#arenaLeft()
    this.#memory.set(bytes, at)
    this.#arenaUsed += length
    const id = this.#names.push(name) - 1
    this.#enter(hashBytes(bytes, 0, length), id, at, length)
    this.#words[1] = this.#names.length
    return id
  }

  find(bytes: Uint8Array, start: number, length: number): number {
    const words = this.#words
    const mask = this.#slots - 1
    const hash = hashBytes(bytes, start, start + length)
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const word = HEAD_WORDS + slot * SLOT_WORDS
      const idPlusOne = words[word + 1]
      if (idPlusOne === 0) return -1
      if (words[word] === hash && words[word + 3] === length && this.#equals(words[word + 2], bytes, start, length)) {
        return idPlusOne - 1
      }
    }
  }

  name(id: number): string {
    const name = this.#names[id]
    if (name === undefined) throw new LiminalError('INVALID_ARGUMENT', `No channel name has the id ${id}`)
    return name
  }

  #equals(at: number, bytes: Uint8Array, start: number, length: number): boolean {
    for (let index = 0; index < length; index++) {
      if (this.#memory[at + index] !== bytes[start + index]) return false
    }
    return true
  }

  #arenaOffset(): number {
    return (HEAD_WORDS + this.#slots * SLOT_WORDS) * 4
  }

  #arenaLeft(): number {
    return this.#memory.length - this.#arenaOffset() - this.#arenaUsed
  }

  #enter(hash: number, id: number, at: number, length: number): void {
    const mask = this.#slots - 1
    let slot = hash & mask
    while (this.#words[HEAD_WORDS + slot * SLOT_WORDS + 1] !== 0) slot = (slot + 1) & mask
    this.#words.set([hash, id + 1, at, length], HEAD_WORDS + slot * SLOT_WORDS)
  }

  /** Keeps at most half of the slots in use, so that every probe ends soon, and the arena large enough. */
  #makeRoom(length: number): void {
    const crowded = (this.#names.length + 1) * 2 > this.#slots
    if (!crowded && length <= this.#arenaLeft()) return
    const oldWords = this.#words
    const oldMemory = this.#memory
    const oldSlots = this.#slots
    const oldArena = this.#arenaOffset()
    const arenaBytes = Math.max(oldMemory.length - oldArena, 2 * (this.#arenaUsed + length))
    this.#allocate(crowded ? oldSlots * 2 : oldSlots, arenaBytes)
    const moved = this.#arenaOffset() - oldArena
    this.#memory.set(oldMemory.subarray(oldArena, oldArena + this.#arenaUsed), this.#arenaOffset())
    for (let slot = 0; slot < oldSlots; slot++) {
      const word = HEAD_WORDS + slot * SLOT_WORDS
      const idPlusOne = oldWords[word + 1]
      if (idPlusOne !== 0) this.#enter(oldWords[word], idPlusOne - 1, oldWords[word + 2] + moved, oldWords[word + 3])
    }
  }

  #allocate(slots: number, arenaBytes: number): void {
    this.#slots = slots
    const arena = this.#arenaOffset()
    const memory = new ArrayBuffer(arena + Math.ceil(arenaBytes / 4) * 4)
    this.#memory = new Uint8Array(memory)
    this.#words = new Uint32Array(memory)
    this.#words.set([slots, this.#names.length, arena, 0])
  }
}

/** Makes an empty table. It grows with the names added, about 48 bytes and the name each, and never shrinks. */
export function createNameTable(): NameTable {
  return new InternedNames()
}
