import { Deque } from '../deque.ts'
import type { PackedDelivery } from './delivery.ts'

/** Deliveries in order, first in, first out, and how many bytes they are. Its cap is its owner's. */
export class DeliveryRing<T> {
  readonly #deliveries = new Deque<PackedDelivery<T>>()
  #bytes = 0

  get size(): number {
    return this.#deliveries.size
  }

  /** Payload bytes of all deliveries in it. */
  get bytes(): number {
    return this.#bytes
  }

  push(delivery: PackedDelivery<T>): void {
    this.#deliveries.push(delivery)
    this.#bytes += delivery.payloadBytes
  }

  /** Takes the oldest; `undefined` if there is none. */
  shift(): PackedDelivery<T> | undefined {
    const delivery = this.#deliveries.shift()
    if (delivery !== undefined) this.#bytes -= delivery.payloadBytes
    return delivery
  }

  clear(): void {
    this.#deliveries.clear()
    this.#bytes = 0
  }
}
