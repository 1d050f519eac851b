import { WakeTimer } from './wake-timer.ts'

/** When a cursor writes down what was accepted; see CursorOptions.checkpoint of the bus. */
export type CheckpointPolicy =
  | 'message'
  | 'explicit'
  | { readonly every: number; readonly withinMs?: number | undefined }

const WITHIN_MS = 1_000

/** Decides when acceptances are written down (spec durability §7.5, and a partial batch of a quiet stream in time). */
export class CheckpointSchedule {
  readonly #policy: CheckpointPolicy
  readonly #request: () => void
  readonly #timer: WakeTimer
  /** Acceptances since the last write began. */
  #pending = 0

  constructor(policy: CheckpointPolicy, request: () => void) {
    this.#policy = policy
    this.#request = request
    this.#timer = new WakeTimer(request)
  }

  /** @param moved whether the watermark moved. */
  accepted(count: number, moved: boolean): void {
    const policy = this.#policy
    if (policy === 'explicit') return
    if (policy === 'message') {
      if (moved) this.#request()
      return
    }
    this.#pending += count
    if (this.#pending >= policy.every) this.#request()
    else this.#timer.set(performance.now() + (policy.withinMs ?? WITHIN_MS))
  }

  /** A write began: what was accepted before is in it. */
  began(): void {
    this.#pending = 0
    this.#timer.clear()
  }

  close(): void {
    this.#timer.clear()
  }
}
