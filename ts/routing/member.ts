import { Deferred } from '../deferred.ts'
import type { Consumer, ConsumerView } from './consumer.ts'
import type { Attempt, Dispatch } from './dispatch.ts'
import { LinkedList } from './linked-list.ts'
import { textBits } from './rendezvous.ts'

/** How much the latest completion counts in the moving average of a consumer's latency. */
const LATENCY_WEIGHT = 0.2

/** `joined`: gets messages. `leaving`: finishes what it has. `gone`: has ended or has left. */
export type MemberState = 'joined' | 'leaving' | 'gone'

/** A consumer in a group: its live state, and what is underway to it. */
export class Member {
  readonly consumer: Consumer
  readonly id: string
  readonly idBits: number
  readonly tags: readonly string[]
  readonly view: ConsumerView
  /** What was delivered to it and not settled. */
  readonly attempts = new LinkedList<Attempt>()
  /** Dispatches that wait for this very consumer, which is full. */
  readonly waiting = new LinkedList<Dispatch>()
  state: MemberState = 'joined'
  capacity: number
  /** When it became full, on the clock of the group's roster. */
  fullSince = 0
  completed = 0
  failed = 0
  latencyMs: number | null = null
  /** Withdraws the exit listener. */
  forget: () => void = () => {}
  #drained: Deferred<void> | null = null

  constructor(consumer: Consumer, capacity: number, tags: readonly string[]) {
    this.consumer = consumer
    this.id = consumer.id
    this.idBits = textBits(consumer.id)
    this.capacity = capacity
    this.tags = tags
    this.view = new MemberView(this)
  }

  get inFlight(): number {
    return this.attempts.size
  }

  get available(): number {
    return this.state === 'joined' ? Math.max(0, this.capacity - this.attempts.size) : 0
  }

  /** Counts a completion that took so long. */
  complete(milliseconds: number): void {
    this.completed++
    const before = this.latencyMs
    this.latencyMs = before === null ? milliseconds : before + LATENCY_WEIGHT * (milliseconds - before)
  }

  /** Resolves once nothing is in flight to it, or once it has ended. */
  drained(): Promise<void> {
    this.#drained ??= new Deferred()
    this.settleDrained()
    return this.#drained.promise
  }

  settleDrained(): void {
    if (this.attempts.size === 0 || this.state === 'gone') this.#drained?.resolve()
  }
}

class MemberView implements ConsumerView {
  readonly #member: Member

  constructor(member: Member) {
    this.#member = member
  }

  get id(): string {
    return this.#member.id
  }

  get inFlight(): number {
    return this.#member.inFlight
  }

  get capacity(): number {
    return this.#member.capacity
  }

  get available(): number {
    return this.#member.available
  }

  get latencyMs(): number | null {
    return this.#member.latencyMs
  }

  get completed(): number {
    return this.#member.completed
  }

  get failed(): number {
    return this.#member.failed
  }

  get tags(): readonly string[] {
    return this.#member.tags
  }
}
