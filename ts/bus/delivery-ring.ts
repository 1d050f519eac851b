import type { PackedDelivery } from './delivery.ts'

const FIRST_SLOTS = 64
/** Slots that an emptied ring gives back. */
const LARGE_SLOTS = 4_096

/** Deliveries in order, first in, first out: a ring that doubles when it is full and lets go of what was taken. Its cap is its owner's. */
export class DeliveryRing<T> {
  #slots: (PackedDelivery<T> | undefined)[] = new Array(FIRST_SLOTS)
  #first = 0
  #size = 0
  #bytes = 0

  get size(): number {
    return this.#size
  }

  /** Payload bytes of all deliveries in it. */
  get bytes(): number {
    return this.#bytes
  }

  push(delivery: PackedDelivery<T>): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#first + this.#size) & (this.#slots.length - 1)] = delivery
    this.#size++
    this.#bytes += delivery.payloadBytes
  }

  /** Takes the oldest; `undefined` if there is none. */
  shift(): PackedDelivery<T> | undefined {
    const delivery = this.#slots[this.#first]
    if (delivery === undefined) return undefined
    this.#slots[this.#first] = undefined
    this.#first = (this.#first + 1) & (this.#slots.length - 1)
    this.#size--
    this.#bytes -= delivery.payloadBytes
    // A burst's ring is not kept for ever.
    if (this.#size === 0 && this.#slots.length > LARGE_SLOTS) this.clear()
    return delivery
  }

  clear(): void {
    this.#slots = new Array(FIRST_SLOTS)
    this.#first = 0
    this.#size = 0
    this.#bytes = 0
  }

  #grow(): void {
    const old = this.#slots
    const slots: (PackedDelivery<T> | undefined)[] = new Array(old.length * 2)
    for (let index = 0; index < this.#size; index++) slots[index] = old[(this.#first + index) & (old.length - 1)]
    this.#slots = slots
    this.#first = 0
  }
}
