import { MAX_NAME_BYTES } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { ConsumerGroup, type ConsumerGroupOptions, type Membership } from '../routing/index.ts'
import { type ConsumerKeeper, SourceConsumer } from './source-consumer.ts'
import type { SourceRegistration } from './source-registration.ts'
import type { Work } from './work.ts'

export type { Work }

/** Who answers one subject: the sources, which take turns, and the consumer group that they form once somebody dispatches. */
export class Subject {
  readonly name: string
  readonly #sources: SourceRegistration[] = []
  readonly #memberships = new Map<SourceRegistration, Membership>()
  #group: ConsumerGroup<Work, Uint8Array> | null = null
  #keeper: ConsumerKeeper | null = null
  #isKept = false
  /** Index of whose turn it is. */
  #next = 0

  constructor(name: string) {
    this.name = name
  }

  get size(): number {
    return this.#sources.length
  }

  get isAnswered(): boolean {
    return this.#sources.length > 0
  }

  get group(): ConsumerGroup<Work, Uint8Array> | null {
    return this.#group
  }

  /** Whether nobody would miss it. */
  get isUnused(): boolean {
    if (this.#sources.length > 0 || this.#isKept) return false
    const group = this.#group
    return group === null || (group.size === 0 && group.waiting === 0 && group.inFlight === 0)
  }

  /** @throws LiminalError `CLOSED`: its group takes nobody any more. */
  checkTakes(): void {
    if (this.#group === null || this.#group.isOpen) return
    throw new LiminalError('CLOSED', `Nobody can answer '${this.name}' any more: its group was closed.`)
  }

  add(registration: SourceRegistration): void {
    this.#sources.push(registration)
    if (this.#group !== null) this.#join(this.#group, registration)
  }

  remove(registration: SourceRegistration): void {
    const index = this.#sources.indexOf(registration)
    if (index < 0) return
    this.#sources.splice(index, 1)
    // Whose turn it is does not change.
    if (index < this.#next) this.#next--
    const membership = this.#memberships.get(registration)
    this.#memberships.delete(registration)
    // Resolves once what it has is done, which nobody has to wait for.
    void membership?.leave()
  }

  resize(registration: SourceRegistration, capacity: number): void {
    this.#memberships.get(registration)?.resize(capacity)
  }

  /** Whose turn it is. */
  next(): SourceRegistration | null {
    if (this.#sources.length === 0) return null
    const turn = this.#next % this.#sources.length
    this.#next = turn + 1
    return this.#sources[turn]
  }

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  makeGroup(options: ConsumerGroupOptions, keeper: ConsumerKeeper): void {
    const group = new ConsumerGroup<Work, Uint8Array>(this.name, { ...options, view: (work) => work.value })
    this.#group = group
    this.#keeper = keeper
    for (const registration of this.#sources) this.#join(group, registration)
  }

  /** Whoever has the group in hand would be surprised by another one: it stays until it is closed. */
  keepGroup(): void {
    this.#isKept = true
  }

  /** @throws Error unless the group was made. */
  groupOf(): ConsumerGroup<Work, Uint8Array> {
    if (this.#group === null) throw new Error(`The group of '${this.name}' was not made.`)
    return this.#group
  }

  closeGroup(): void {
    // It takes nothing any more, and what is underway is ended by its own limits.
    void this.#group?.close({ timeoutMs: 0 })
    this.#group = null
    this.#isKept = false
    this.#memberships.clear()
  }

  #join(group: ConsumerGroup<Work, Uint8Array>, registration: SourceRegistration): void {
    if (this.#keeper === null || registration.isOver) return
    const consumer = new SourceConsumer(registration, freeId(registration, group), this.#keeper)
    this.#memberships.set(registration, group.join(consumer))
  }
}

/** An id that no consumer of the group has. Sources may call themselves anything, what others are called after their numbers too. */
function freeId(registration: SourceRegistration, group: ConsumerGroup<Work, Uint8Array>): string {
  let id = registration.source.id ?? idOf(registration)
  for (let turn = 0; group.consumer(id) !== null; turn++) {
    id = turn === 0 ? idOf(registration) : `responder#${registration.number}#${turn}`
  }
  return id
}

function idOf({ source, number }: SourceRegistration): string {
  const id = `${source.id ?? 'responder'}#${number}`
  // The id of the source alone may be as long as a name can be.
  return Buffer.byteLength(id) <= MAX_NAME_BYTES ? id : `responder#${number}`
}
