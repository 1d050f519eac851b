/** When a queue counts as behind, and for how long its producers wait for it. */
export interface CongestionLimits {
  /** Level above which producers are held, in the queue's own unit (bytes, deliveries). */
  readonly highWater: number
  /** Level at or below which they go on. */
  readonly lowWater: number
  /** Milliseconds of one hold at most, however much the queue moves. `Infinity`: no limit. */
  readonly holdMs: number
  /** Milliseconds without any progress after which nobody waits for this queue any longer. `Infinity`: no limit. */
  readonly stallMs: number
}

type State = 'open' | 'holding' | 'stalled'

/**
 * The pressure of one queue on its producers.
 *
 * A queue that gets behind holds its producers while it moves, so that a fast publisher runs at the pace of its subscribers and nothing is lost. The hold is
 * bounded: a queue that stands still, or stays behind too long, is waited for no more, so that one stalled consumer never stops the others. It goes on filling
 * to its cap then, and its owner sheds it.
 */
export class Congestion {
  readonly #limits: CongestionLimits
  #state: State = 'open'
  #level = 0
  #heldSince = 0
  #progressAt = 0
  #timer: NodeJS.Timeout | null = null
  #hold: Promise<void> | null = null
  #release: (() => void) | null = null

  constructor(limits: CongestionLimits) {
    this.#limits = limits
  }

  /** The level last told. */
  get level(): number {
    return this.#level
  }

  /** Tells the queue's level. Cheap while the queue is not behind. */
  update(level: number): void {
    const before = this.#level
    this.#level = level
    if (this.#state === 'open') {
      if (level > this.#limits.highWater) this.#begin()
    } else if (level <= this.#limits.lowWater) {
      this.#end('open')
    } else if (level < before) {
      this.#progressAt = performance.now()
    }
  }

  /** What a producer waits for before it goes on; `null` if it need not wait. */
  hold(): Promise<void> | null {
    if (this.#state !== 'holding') return null
    this.#hold ??= new Promise((resolve) => {
      this.#release = resolve
    })
    return this.#hold
  }

  /** Lets everybody go, for good: the queue is gone. */
  close(): void {
    this.#end('stalled')
  }

  #begin(): void {
    this.#state = 'holding'
    this.#heldSince = performance.now()
    this.#progressAt = this.#heldSince
    this.#arm()
  }

  #end(state: State): void {
    this.#state = state
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const release = this.#release
    this.#hold = null
    this.#release = null
    release?.()
  }

  #arm(): void {
    const deadline = Math.min(this.#heldSince + this.#limits.holdMs, this.#progressAt + this.#limits.stallMs)
    if (deadline === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#check(), Math.max(1, deadline - performance.now()))
    this.#timer.unref()
  }

  #check(): void {
    const now = performance.now()
    const over = now - this.#heldSince >= this.#limits.holdMs || now - this.#progressAt >= this.#limits.stallMs
    if (over) this.#end('stalled')
    else this.#arm()
  }
}
