const FIRST_SLOTS = 16
const MOST_SLOTS = 65_536
/** Kept when the last entry goes; more are given back, for a connection that was busy once. */
const KEPT_SLOTS = 1_024

/**
 * A map whose keys are mostly integers that rise and go again soon: streams, conversations. A `Map` leaves a hole for each entry that goes and is built anew
 * when it is full of them; with one request after the other that was a quarter of what a server allocated. Here an entry has the slot that its key's low bits
 * say, and only what finds its slot taken, or has no integer for a key, goes into a `Map`.
 */
export class IntegerMap<Value> {
  #keys: number[] = []
  #values: (Value | undefined)[] = []
  /** Slots less one; -1 before the first entry. */
  #mask = -1
  #inSlots = 0
  readonly #step: 1 | 2
  #others: Map<number | bigint, Value> | null = null

  /** @param step Between one key and the next: streams of one side are two apart. */
  constructor(step: 1 | 2 = 1) {
    this.#step = step
  }

  get size(): number {
    return this.#inSlots + (this.#others?.size ?? 0)
  }

  get(key: number | bigint): Value | undefined {
    if (typeof key === 'number' && this.#inSlots > 0) {
      const slot = this.#slotOf(key)
      if (this.#keys[slot] === key && this.#values[slot] !== undefined) return this.#values[slot]
    }
    return this.#others?.get(key)
  }

  has(key: number | bigint): boolean {
    return this.get(key) !== undefined
  }

  set(key: number | bigint, value: Value): void {
    if (typeof key !== 'number' || this.#others?.has(key)) {
      this.#setOther(key, value)
      return
    }
    if (2 * this.#inSlots > this.#mask && this.#mask < MOST_SLOTS - 1) this.#grow()
    const slot = this.#slotOf(key)
    if (this.#values[slot] === undefined) this.#inSlots++
    else if (this.#keys[slot] !== key) {
      this.#setOther(key, value)
      return
    }
    this.#keys[slot] = key
    this.#values[slot] = value
  }

  /** Returns whether there was such an entry. */
  delete(key: number | bigint): boolean {
    if (typeof key === 'number' && this.#inSlots > 0) {
      const slot = this.#slotOf(key)
      if (this.#keys[slot] === key && this.#values[slot] !== undefined) {
        this.#values[slot] = undefined
        this.#inSlots--
        if (this.#inSlots === 0 && this.#mask >= KEPT_SLOTS) this.#giveBack()
        return true
      }
    }
    if (this.#others === null || !this.#others.delete(key)) return false
    if (this.#others.size === 0) this.#others = null
    return true
  }

  clear(): void {
    this.#giveBack()
    this.#others = null
  }

  /** Its entries as they are now, by rising keys. */
  entries(): [number | bigint, Value][] {
    return this.#list().sort(([one], [other]) => (one < other ? -1 : 1))
  }

  /** Its values as they are now, by rising keys. */
  values(): Value[] {
    return this.entries().map(([, value]) => value)
  }

  #list(): [number | bigint, Value][] {
    const entries: [number | bigint, Value][] = []
    for (let slot = 0; slot <= this.#mask; slot++) {
      const value = this.#values[slot]
      if (value !== undefined) entries.push([this.#keys[slot], value])
    }
    // One by one: as arguments of one call, more than some 120,000 do not fit the stack.
    if (this.#others !== null) for (const entry of this.#others) entries.push(entry)
    return entries
  }

  #slotOf(key: number): number {
    return (this.#step === 2 ? key >>> 1 : key) & this.#mask
  }

  #giveBack(): void {
    this.#keys = []
    this.#values = []
    this.#mask = -1
    this.#inSlots = 0
  }

  #setOther(key: number | bigint, value: Value): void {
    this.#others ??= new Map()
    this.#others.set(key, value)
  }

  #grow(): void {
    const entries = this.#list()
    const slots = this.#mask < 0 ? FIRST_SLOTS : 2 * (this.#mask + 1)
    this.#keys = new Array<number>(slots).fill(0)
    this.#values = new Array<Value | undefined>(slots).fill(undefined)
    this.#mask = slots - 1
    this.#inSlots = 0
    this.#others = null
    for (const [key, value] of entries) {
      const slot = typeof key === 'number' ? this.#slotOf(key) : -1
      if (typeof key !== 'number' || this.#values[slot] !== undefined) {
        this.#setOther(key, value)
        continue
      }
      this.#keys[slot] = key
      this.#values[slot] = value
      this.#inSlots++
    }
  }
}
