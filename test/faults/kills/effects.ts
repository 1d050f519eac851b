import { type Identity, keyOf } from './message.ts'

/** What a subscriber did: one effect for each key, however often its message came. */
export class Effects {
  readonly #keys = new Set<string>()

  get size(): number {
    return this.#keys.size
  }

  /** @returns whether this is the first time. */
  apply(identity: Identity): boolean {
    const key = keyOf(identity)
    if (this.#keys.has(key)) return false
    this.#keys.add(key)
    return true
  }

  /** @throws Error unless exactly what the log has was done. */
  verify(who: string, log: readonly Identity[]): void {
    const missing = log.find((identity) => !this.#keys.has(keyOf(identity)))
    if (missing !== undefined) throw new Error(`${who} never saw ${keyOf(missing)}.`)
    if (this.#keys.size !== log.length)
      throw new Error(`${who} saw ${this.#keys.size} messages, the log has ${log.length}.`)
  }
}
