import { checkInteger, checkName } from '../arguments.ts'
import type { EventStore } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { type Exit, type PassiveProcess, type Population, ProcessSystem } from '../process/index.ts'
import type { ConsumerGroup, ConsumerGroupOptions } from '../routing/index.ts'
import { ConversationCore } from './conversation-core.ts'
import type { ConversationRecord } from './conversation-record.ts'
import type {
  ConversationDetails,
  ConversationKeeper,
  ConversationLimits,
  ConversationOwner,
  ConversationTerms,
} from './conversation-terms.ts'
import { DurableConversations, type DurableHost } from './journal/durable-conversations.ts'
import type { ParticipantSource } from './participant.ts'
import { participantGone } from './participant-gone.ts'
import { Seat } from './seat.ts'
import {
  type RegisterOptions,
  type Registration,
  type RegistrationKeeper,
  SourceRegistration,
} from './source-registration.ts'
import { Subject, type Work } from './subject.ts'

export interface ConversationRegistryOptions {
  /** Answers subjects that nobody registered for. Default `null`: they fail with `NO_RESPONDER`. */
  readonly fallback?: ParticipantSource | null
  /** Live conversations, at most. Default 262,144. */
  readonly maxConversations?: number | undefined
  /** Messages underway in one conversation, at most. Default 1,024. */
  readonly maxPending?: number | undefined
  /** Events that each conversation remembers. Default 0. */
  readonly history?: number | undefined
  /** Subjects with a consumer group, at most. Default 65,536. */
  readonly maxGroups?: number | undefined
  /** Where the processes of conversations and responders live. Default: a system of its own. */
  readonly processes?: ProcessSystem | undefined
  /** Where durable conversations keep their journals. Default `null`: there are none. */
  readonly journal?: EventStore | null | undefined
  /** Milliseconds that the replies of a durable conversation are kept once it is over. Default 24 hours. */
  readonly retentionMs?: number | undefined
}

/** Who answers what, and all live conversations. */
export class ConversationRegistry implements ConversationKeeper, RegistrationKeeper, DurableHost {
  /** `null` if there is nowhere to keep them. */
  readonly durable: DurableConversations | null
  /** Conversations, and the sources that have no process of their own, are processes here. */
  readonly processes: ProcessSystem
  #fallback: ParticipantSource | null
  #fallbackRegistration: SourceRegistration | null = null
  readonly #maxConversations: number
  readonly #maxGroups: number
  readonly #limits: ConversationLimits
  readonly #subjects = new Map<string, Subject>()
  readonly #live = new IntegerMap<ConversationCore>()
  /** Live conversations whose processes are known. */
  #named = 0
  #groups = 0

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(options: ConversationRegistryOptions = {}) {
    checkInteger('maxConversations', options.maxConversations, 1)
    checkInteger('maxPendingRequests', options.maxPending, 1)
    checkInteger('conversationHistory', options.history, 0)
    checkInteger('maxGroups', options.maxGroups, 1)
    this.processes = options.processes ?? new ProcessSystem()
    this.#maxConversations = options.maxConversations ?? 262_144
    this.#maxGroups = options.maxGroups ?? 65_536
    this.#limits = { maxPending: options.maxPending ?? 1_024, history: options.history ?? 0 }
    this.processes.populate(this.#population())
    this.#fallback = options.fallback ?? null
    const { journal = null, retentionMs } = options
    this.durable = journal === null ? null : new DurableConversations(this, journal, retentionMs)
  }

  /** Brings back the durable conversations that are not over. To be called before anything is taken in. @throws LiminalError `STORE_CORRUPT`, `STORE_FAILED`. */
  async recover(): Promise<void> {
    await this.durable?.recover()
  }

  /** See DurableHost. */
  get maxPending(): number {
    return this.#limits.maxPending
  }

  /** See DurableHost. */
  get hasRoom(): boolean {
    return this.#live.size < this.#maxConversations
  }

  /** See DurableHost. */
  isAnswered(subject: string): boolean {
    return this.#subjects.get(subject)?.isAnswered === true
  }

  /** Live conversations. */
  get size(): number {
    return this.#live.size
  }

  /** Subjects that somebody answers. */
  get subjects(): readonly string[] {
    return [...this.#subjects.values()]
      .filter(({ isAnswered }) => isAnswered)
      .map(({ name }) => name)
      .sort()
  }

  /** The live conversations, oldest first. Reads every one: for people, not for a hot path. */
  list(): ConversationDetails[] {
    return Array.from(this.#live.values(), (conversation) => conversation.details)
  }

  /** The live conversation with this id. */
  get(id: bigint): ConversationCore | undefined {
    return this.#live.get(Number(id))
  }

  /** What keeps anybody from being registered for a subject. @throws LiminalError `INVALID_ARGUMENT`; `CLOSED`: the group of the subject was closed. */
  checkRegister(subject: string): void {
    checkName('subject', subject)
    this.#subjects.get(subject)?.checkTakes()
  }

  /** Registers a source for a subject, beside those there are. @throws LiminalError like {@link checkRegister}. */
  register(subject: string, source: ParticipantSource, options: RegisterOptions = {}): Registration {
    // Before anything is made: a source that is refused leaves nothing behind.
    this.checkRegister(subject)
    const registration = new SourceRegistration(this.processes, subject, source, this, options)
    this.#subject(subject).add(registration)
    this.durable?.answered(subject)
    return registration
  }

  /** See RegistrationKeeper. */
  withdrawn(registration: SourceRegistration): void {
    const subject = this.#subjects.get(registration.subject)
    subject?.remove(registration)
    if (subject !== undefined) this.#forgetIfUnused(subject)
  }

  /** See RegistrationKeeper. */
  resized(registration: SourceRegistration, capacity: number): void {
    this.#subjects.get(registration.subject)?.resize(registration, capacity)
  }

  /**
   * The consumer group of a subject: everybody who answers it, and whoever joins it. It is made when it is first asked for, and stays until the bus is closed.
   *
   * @param options only for a group that there is not yet.
   * @throws LiminalError `INVALID_ARGUMENT`; `LIMIT_EXCEEDED`: there are too many groups.
   */
  group(subject: string, options?: ConsumerGroupOptions): ConsumerGroup<Work, Uint8Array> {
    const group = this.groupFor(subject, options)
    this.#subjects.get(subject)?.keepGroup()
    return group
  }

  /** The same for one dispatch, followed by {@link dispatched}: the group is forgotten when nobody answers the subject and nothing waits or is underway. */
  groupFor(subject: string, options?: ConsumerGroupOptions): ConsumerGroup<Work, Uint8Array> {
    checkName('subject', subject)
    const entry = this.#subject(subject)
    if (entry.group === null) {
      if (this.#groups >= this.#maxGroups) {
        this.#forgetIfUnused(entry)
        const message = `The group of '${subject}' cannot be made: there are ${this.#maxGroups}. Dispatch to fewer subjects.`
        throw new LiminalError('LIMIT_EXCEEDED', message)
      }
      try {
        entry.makeGroup(options ?? {}, {
          openWith: (registration) => this.#openWith(subject, registration),
          ceased: () => this.dispatched(subject),
        })
      } catch (error) {
        this.#forgetIfUnused(entry)
        throw error
      }
      this.#groups++
    } else if (options !== undefined) {
      throw new LiminalError(
        'INVALID_ARGUMENT',
        `The group of '${subject}' is there already; deploy() changes its routing.`,
      )
    }
    return entry.groupOf()
  }

  /** A dispatch to a group is over: a group that nobody needs any more is forgotten. */
  dispatched(subject: string): void {
    const entry = this.#subjects.get(subject)
    if (entry !== undefined) this.#forgetIfUnused(entry)
  }

  /**
   * Opens a conversation with the next source of a subject. A source that cannot join is passed over.
   *
   * @param owner is told once, when the conversation is over.
   * @throws LiminalError `INVALID_ARGUMENT`, `NO_RESPONDER`, `LIMIT_EXCEEDED`, or what the last source threw if none could join.
   */
  open(subject: string, owner: ConversationOwner, terms: ConversationTerms | null = null): ConversationCore {
    this.#checkRoom(subject)
    if (this.#subjects.get(subject) === undefined) {
      checkName('subject', subject)
      if (this.#fallback === null) throw noResponder(subject)
    }
    return this.#begin(this.#make(subject, this, terms), owner)
  }

  /** See DurableHost. Nobody takes part before something is asked. */
  openVacant(subject: string, owner: ConversationOwner, terms: ConversationTerms): ConversationCore {
    this.#checkRoom(subject)
    return this.#adoptLive(this.#make(subject, this, terms), owner)
  }

  /** Resolves once no message is underway in any conversation that is live now. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#live.values(), (conversation) => conversation.settledAll()))
    await this.durable?.settled()
  }

  /** Ends all live conversations with `error`, and all groups. Durable ones go on when their store is opened again. */
  closeAll(error: LiminalError): void {
    this.durable?.suspend(error)
    for (const conversation of this.#live.values()) conversation.close(error)
    for (const subject of [...this.#subjects.values()]) {
      if (subject.group !== null) this.#groups--
      subject.closeGroup()
      this.#forgetIfUnused(subject)
    }
    this.#fallbackRegistration?.withdraw()
    this.#fallbackRegistration = null
  }

  /** See ConversationKeeper. */
  adopt({ number, subject, openedAt }: ConversationRecord, onExit: (exit: Exit) => void): PassiveProcess {
    this.#named++
    return this.processes.adopt(number, 'conversation', subject, openedAt, onExit)
  }

  /** See ConversationKeeper. */
  over(conversation: ConversationCore, error: LiminalError | null): void {
    this.#live.delete(conversation.number)
    if (conversation.isNamed) this.#named--
    conversation.owner?.ended(error)
    this.durable?.roomMade()
  }

  /** See ConversationKeeper. A source that cannot join is passed over. */
  seat(conversation: ConversationCore, shunned: ReadonlySet<SourceRegistration> | null): Seat {
    const entry = this.#subjects.get(conversation.subject)
    if (entry === undefined || !entry.isAnswered) {
      const fallback = this.#fallbackOf()
      if (fallback === null || shunned?.has(fallback)) throw noResponder(conversation.subject)
      return seatWith(conversation, fallback)
    }
    let failure: unknown
    let passedOver: SourceRegistration | null = null
    // Counted up front: a source may withdraw while it joins.
    for (let left = entry.size; left > 0; left--) {
      const registration = entry.next()
      if (registration === null) break
      // One that is over has not been told so yet.
      if (registration.isOver || shunned?.has(registration)) continue
      if (registration.source.canJoin?.() === false) {
        passedOver = registration
        continue
      }
      try {
        return seatWith(conversation, registration)
      } catch (error) {
        failure = error
      }
    }
    // An error for each source would make a refusal dear where there are thousands.
    if (failure === undefined && passedOver !== null) return seatWith(conversation, passedOver)
    throw failure ?? noResponder(conversation.subject)
  }

  /** Opens a conversation with one source, for a dispatch that has chosen it. */
  #openWith(subject: string, registration: SourceRegistration): ConversationCore {
    this.#checkRoom(subject)
    return this.#begin(this.#make(subject, new ChosenSource(this, registration), null), null)
  }

  /** Registered when it is needed, and again if its process was killed. */
  #fallbackOf(): SourceRegistration | null {
    if (this.#fallback === null) return null
    if (this.#fallbackRegistration === null || this.#fallbackRegistration.isOver) {
      this.#fallbackRegistration = new SourceRegistration(this.processes, '*', this.#fallback, this, {})
    }
    return this.#fallbackRegistration
  }

  /** Conversations are too many for a process record each: one becomes known when somebody names its pid, which is its number. */
  #population(): Population {
    const live = this.#live
    const unnamed = (): number => live.size - this.#named
    return {
      get size(): number {
        return unnamed()
      },
      pids: () => Array.from(live.values(), ({ number }) => number),
      name: (pid) => live.get(pid)?.process ?? null,
    }
  }

  #checkRoom(subject: string): void {
    if (this.#live.size < this.#maxConversations) return
    const message = `A conversation with '${subject}' cannot be opened: ${this.#maxConversations} are open. Close some, or raise maxConversations.`
    throw new LiminalError('LIMIT_EXCEEDED', message)
  }

  #make(subject: string, keeper: ConversationKeeper, terms: ConversationTerms | null): ConversationCore {
    return new ConversationCore(this.processes.reservePid(), subject, keeper, this.#limits, terms)
  }

  #begin(conversation: ConversationCore, owner: ConversationOwner | null): ConversationCore {
    conversation.begin()
    return this.#adoptLive(conversation, owner)
  }

  #adoptLive(conversation: ConversationCore, owner: ConversationOwner | null): ConversationCore {
    this.#live.set(conversation.number, conversation)
    conversation.owner = owner
    return conversation
  }

  #subject(name: string): Subject {
    let subject = this.#subjects.get(name)
    if (subject === undefined) {
      subject = new Subject(name)
      this.#subjects.set(name, subject)
    }
    return subject
  }

  #forgetIfUnused(subject: Subject): void {
    if (!subject.isUnused) return
    if (subject.group !== null) this.#groups--
    subject.closeGroup()
    this.#subjects.delete(subject.name)
  }
}

/** Keeps the conversation of a dispatch, which has its source already. */
class ChosenSource implements ConversationKeeper {
  readonly #registry: ConversationRegistry
  readonly #registration: SourceRegistration

  constructor(registry: ConversationRegistry, registration: SourceRegistration) {
    this.#registry = registry
    this.#registration = registration
  }

  over(conversation: ConversationCore, error: LiminalError | null): void {
    this.#registry.over(conversation, error)
  }

  adopt(conversation: ConversationRecord, onExit: (exit: Exit) => void): PassiveProcess {
    return this.#registry.adopt(conversation, onExit)
  }

  seat(conversation: ConversationCore): Seat {
    return seatWith(conversation, this.#registration)
  }
}

/** @throws what keeps the source from joining. */
function seatWith(conversation: ConversationCore, registration: SourceRegistration): Seat {
  const { over } = registration.process
  if (over !== null) throw participantGone(conversation.subject, over.reason)
  const seat = new Seat(conversation, registration)
  const left = seat.join()
  if (left === undefined) return seat
  if (left instanceof LiminalError) throw left
  if (left !== null) throw participantGone(conversation.subject, left)
  throw new LiminalError('PARTICIPANT_GONE', `The responder for '${conversation.subject}' left while it joined.`)
}

function noResponder(subject: string): LiminalError {
  return new LiminalError(
    'NO_RESPONDER',
    `Nobody answers the subject '${subject}'. Register a responder with bus.respond().`,
  )
}
