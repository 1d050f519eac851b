import type { Exit, Pid } from './exit.ts'

/**
 * The exits of late, for whoever asks for one after the fact. Two generations: when the young one is full the old one is forgotten as a whole, which costs
 * nothing per exit. Never fewer than `atLeast` exits are remembered, never more than twice as many.
 */
export class RecordedExits {
  readonly #atLeast: number
  #young = new Map<Pid, Exit>()
  #old = new Map<Pid, Exit>()

  constructor(atLeast: number) {
    this.#atLeast = atLeast
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  add(exit: Exit): void {
    if (this.#atLeast === 0) return
    if (this.#young.size === this.#atLeast) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(exit.pid, exit)
  }

  get(pid: Pid): Exit | undefined {
    return this.#young.get(pid) ?? this.#old.get(pid)
  }
}
