import { checkInteger, checkName } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { ConversationCore, type ConversationKeeper, type ConversationOwner } from './conversation-core.ts'
import type { ParticipantSource } from './participant.ts'

export interface ConversationRegistryOptions {
  /** Answers subjects that nobody registered for. Default `null`: they fail with `NO_RESPONDER`. */
  readonly fallback?: ParticipantSource | null
  /** Live conversations, at most. Default 262,144. */
  readonly maxConversations?: number | undefined
  /** Messages underway in one conversation, at most. Default 1,024. */
  readonly maxPending?: number | undefined
}

/** A source's claim to a subject. */
export interface Registration {
  /** No new conversation goes to the source; running ones go on. Idempotent. */
  withdraw(): void
}

/** The sources of one subject, which take turns. */
interface Subject {
  readonly sources: ParticipantSource[]
  /** Index of whose turn it is. */
  next: number
}

/** Who answers what, and all live conversations. */
export class ConversationRegistry implements ConversationKeeper {
  readonly #fallback: ParticipantSource | null
  readonly #maxConversations: number
  readonly #maxPending: number
  readonly #subjects = new Map<string, Subject>()
  readonly #live = new IntegerMap<ConversationCore>()
  /** Ids are numbers here: a thousand years at a million a second. */
  #lastNumber = 0

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(options: ConversationRegistryOptions = {}) {
    checkInteger('maxConversations', options.maxConversations, 1)
    checkInteger('maxPendingRequests', options.maxPending, 1)
    this.#fallback = options.fallback ?? null
    this.#maxConversations = options.maxConversations ?? 262_144
    this.#maxPending = options.maxPending ?? 1_024
  }

  /** Live conversations. */
  get size(): number {
    return this.#live.size
  }

  /** Subjects that somebody answers. */
  get subjects(): readonly string[] {
    return [...this.#subjects.keys()].sort()
  }

  /** Registers a source for a subject, beside those there are. @throws LiminalError `INVALID_ARGUMENT`. */
  register(subject: string, source: ParticipantSource): Registration {
    checkName('subject', subject)
    const entry = this.#subjects.get(subject) ?? { sources: [], next: 0 }
    this.#subjects.set(subject, entry)
    entry.sources.push(source)
    let registered = true
    return {
      withdraw: () => {
        if (!registered) return
        registered = false
        this.#withdraw(subject, entry, source)
      },
    }
  }

  /**
   * Opens a conversation with the next source of a subject. A source that cannot join is passed over.
   *
   * @param owner is told once, when the conversation is over.
   * @throws LiminalError `INVALID_ARGUMENT`, `NO_RESPONDER`, `LIMIT_EXCEEDED`, or what the last source threw if none could join.
   */
  open(subject: string, owner: ConversationOwner): ConversationCore {
    if (this.#live.size >= this.#maxConversations) {
      const message = `A conversation with '${subject}' cannot be opened: ${this.#maxConversations} are open. Close some, or raise maxConversations.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    const entry = this.#subjects.get(subject)
    if (entry === undefined) {
      checkName('subject', subject)
      if (this.#fallback === null) throw noResponder(subject)
      return this.#openWith(subject, this.#fallback, owner)
    }
    let failure: unknown
    let passedOver: ParticipantSource | null = null
    // Counted up front: a source may withdraw while it joins.
    for (let left = entry.sources.length; left > 0 && entry.sources.length > 0; left--) {
      const turn = entry.next % entry.sources.length
      entry.next = turn + 1
      const source = entry.sources[turn]
      if (source.canJoin?.() === false) {
        passedOver = source
        continue
      }
      try {
        return this.#openWith(subject, source, owner)
      } catch (error) {
        failure = error
      }
    }
    // An error for each source would make a refusal dear where there are thousands.
    if (failure === undefined && passedOver !== null) return this.#openWith(subject, passedOver, owner)
    throw failure ?? noResponder(subject)
  }

  /** Ends all live conversations with `error`. */
  closeAll(error: LiminalError): void {
    for (const conversation of this.#live.values()) conversation.close(error)
  }

  /** See ConversationKeeper. */
  over(conversation: ConversationCore, error: LiminalError | null): void {
    this.#live.delete(conversation.number)
    conversation.owner?.ended(error)
  }

  #openWith(subject: string, source: ParticipantSource, owner: ConversationOwner): ConversationCore {
    this.#lastNumber++
    const core = new ConversationCore({
      number: this.#lastNumber,
      subject,
      maxPending: this.#maxPending,
      keeper: this,
    })
    core.join(source)
    if (core.phase !== 'open') {
      throw core.error ?? new LiminalError('PARTICIPANT_GONE', `The responder for '${subject}' left while it joined.`)
    }
    this.#live.set(core.number, core)
    core.owner = owner
    return core
  }

  #withdraw(subject: string, entry: Subject, source: ParticipantSource): void {
    const index = entry.sources.indexOf(source)
    entry.sources.splice(index, 1)
    // Whose turn it is does not change.
    if (index < entry.next) entry.next--
    if (entry.sources.length === 0 && this.#subjects.get(subject) === entry) this.#subjects.delete(subject)
  }
}

function noResponder(subject: string): LiminalError {
  return new LiminalError(
    'NO_RESPONDER',
    `Nobody answers the subject '${subject}'. Register a responder with bus.respond().`,
  )
}
