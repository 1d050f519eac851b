import type { Receipt } from '../../../ts/bus/index.ts'
import { type Identity, keyOf } from './message.ts'

/** What the publishers of a channel were told: the position of each of their messages. */
export class Ledger {
  /** By publisher, then by number. */
  readonly #positions = new Map<number, number[]>()
  readonly #onAcknowledged: () => void
  #duplicates = 0

  constructor(onAcknowledged: () => void) {
    this.#onAcknowledged = onAcknowledged
  }

  /** How many messages were acknowledged. */
  get size(): number {
    return [...this.#positions.values()].reduce((sum, positions) => sum + positions.length, 0)
  }

  /** How many receipts said that their message was there already. */
  get duplicates(): number {
    return this.#duplicates
  }

  /** @throws Error if the receipt says something else than one before it. */
  acknowledged(identity: Identity, { position, duplicate }: Receipt): void {
    if (position === null) throw new Error(`The receipt of ${keyOf(identity)} has no position.`)
    if (duplicate) this.#duplicates++
    const { publisher, number } = identity
    const positions = this.#positions.get(publisher) ?? []
    this.#positions.set(publisher, positions)
    const before = positions[number]
    if (before !== undefined && (!duplicate || BigInt(before) !== position))
      throw new Error(
        `${keyOf(identity)} was acknowledged at ${before}, and published again at ${position} with duplicate ${duplicate}.`,
      )
    if (before === undefined && number !== positions.length)
      throw new Error(`${keyOf(identity)} was acknowledged before number ${positions.length} of its publisher.`)
    positions[number] = Number(position)
    this.#onAcknowledged()
  }

  /** @throws Error unless this log is what was acknowledged: each message once, in the order of its publisher, at the position of its receipt. */
  verify(log: readonly Identity[]): void {
    const next = new Map<number, number>()
    for (const [position, identity] of log.entries()) {
      const { publisher, number } = identity
      const due = next.get(publisher) ?? 0
      if (number !== due) throw new Error(`The log has ${keyOf(identity)} at ${position}, where number ${due} was due.`)
      next.set(publisher, due + 1)
      const told = this.#positions.get(publisher)?.[number]
      if (told !== position) throw new Error(`The log has ${keyOf(identity)} at ${position}, its receipt says ${told}.`)
    }
    if (log.length !== this.size) throw new Error(`${this.size} messages were acknowledged, the log has ${log.length}.`)
  }
}
