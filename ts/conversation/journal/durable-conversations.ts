import { randomUUID } from 'node:crypto'
import type { EventStore, StoreKey } from '../../durability/index.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import type { ConversationCore } from '../conversation-core.ts'
import type { ConversationOwner, ConversationTerms } from '../conversation-terms.ts'
import { sayJournalFailed } from '../diagnostics.ts'
import { DurableConversation, type DurableKeeper } from './durable-conversation.ts'
import type { DurableRequest } from './durable-request.ts'
import { type ConversationName, Journal } from './journal.ts'
import { expiryOf, Retention } from './retention.ts'
import { SubjectLine } from './subject-line.ts'

/** Journals that are read at once. */
const RECOVERED_AT_ONCE = 64
/** Times that one request is begun, at most, unless the terms say otherwise. */
const MAX_ATTEMPTS = 16
/** 24 hours. */
const RETENTION_MS = 86_400_000

/** What durable conversations need of the registry. */
export interface DurableHost {
  readonly maxPending: number
  /** Whether another conversation may be live. */
  readonly hasRoom: boolean
  /** Whether somebody is registered for the subject: what answers in place of nobody does not count. */
  isAnswered(subject: string): boolean
  /** Opens a conversation in which nobody takes part before something is asked. @throws LiminalError `LIMIT_EXCEEDED`. */
  openVacant(subject: string, owner: ConversationOwner, terms: ConversationTerms): ConversationCore
}

/** How a durable conversation is held. */
export interface DurableTerms extends Omit<ConversationTerms, 'openedAt' | 'key'> {
  /** What it is called: one that is there is gone on with, whatever the terms. Default: a random one. */
  readonly key?: string | undefined
  /** Whether it has to be there already. Default `false`. */
  readonly existing?: boolean | undefined
}

/** The durable conversations of a bus: those that are live, and those that wait on disk. */
export class DurableConversations implements DurableKeeper {
  readonly #host: DurableHost
  readonly #store: EventStore
  readonly #retentionMs: number
  readonly #retention: Retention
  readonly #live = new Map<string, DurableConversation>()
  readonly #opening = new Map<string, Promise<DurableConversation>>()
  readonly #lines = new Map<string, SubjectLine>()
  /** Ends that are being put in place of their journals. */
  readonly #finishing = new Set<Promise<void>>()
  /** Where recovery goes on once there is room; `undefined`: it is done. */
  #resumeAfter: StoreKey | null | undefined
  #resuming: Promise<void> | null = null
  #closed: LiminalError | null = null

  /** @param retentionMs how long the replies of a conversation that is over are kept. Default 24 hours. */
  constructor(host: DurableHost, store: EventStore, retentionMs = RETENTION_MS) {
    this.#host = host
    this.#store = store
    this.#retentionMs = retentionMs
    this.#retention = new Retention(store)
  }

  /** Live ones. */
  get size(): number {
    return this.#live.size
  }

  get maxPending(): number {
    return this.#host.maxPending
  }

  /**
   * Opens a conversation, or goes on with the one that has this key: one that is over gives the replies that it has given.
   * @throws LiminalError `LIMIT_EXCEEDED`, `CLOSED`, `CONVERSATION_NOT_FOUND` if it has to be there, `STORE_CORRUPT`, `STORE_FULL`, `STORE_FAILED`.
   */
  async open(subject: string, terms: DurableTerms): Promise<DurableConversation> {
    const { key = randomUUID() } = terms
    const name = { subject, key }
    const id = idOf(name)
    const live = this.#live.get(id)
    if (live !== undefined) return live
    let opening = this.#opening.get(id)
    if (opening === undefined) {
      opening = this.#openOne(name, terms).finally(() => this.#opening.delete(id))
      this.#opening.set(id, opening)
    }
    return await opening
  }

  /** Brings back the conversations that are not over, as many as may be live; the others follow when there is room. @throws LiminalError `STORE_CORRUPT`, `STORE_FAILED`. */
  async recover(): Promise<void> {
    this.#resumeAfter = null
    this.#resuming = this.#resume()
    try {
      await this.#resuming
    } finally {
      this.#resuming = null
    }
    this.#retention.expect(Date.now())
  }

  /** Somebody may answer a subject: what waits for that goes on, soon. */
  answered(subject: string): void {
    if (!this.#lines.has(subject)) return
    // Whoever registers is not called back before they are done.
    setImmediate(() => this.#lines.get(subject)?.advance())
  }

  /** There may be room for another conversation. */
  roomMade(): void {
    if (this.#resumeAfter === undefined || this.#resuming !== null || this.#closed !== null) return
    if (!this.#host.hasRoom) return
    this.#resuming = this.#resume()
      .catch((thrown: unknown) => sayJournalFailed('*', '*', toLiminalError(thrown)))
      .finally(() => {
        this.#resuming = null
      })
  }

  /** Resolves once what was answered so far is stored and told. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#live.values(), ({ journal }) => journal.idle()))
  }

  /** Whoever waits gets `error`; the conversations go on when the store is opened again. To be called before their cores are closed. */
  suspend(error: LiminalError): void {
    this.#closed ??= error
    for (const conversation of this.#live.values()) conversation.suspend(error)
  }

  /** Resolves once nothing is written any more. */
  async close(): Promise<void> {
    const error = this.#closed ?? new LiminalError('CLOSED', 'The bus is closed.')
    this.suspend(error)
    await Promise.allSettled(this.#opening.values())
    // What it failed with, whoever began it is told.
    await Promise.allSettled([this.#resuming])
    await Promise.all(Array.from(this.#live.values(), ({ journal }) => journal.close(error)))
    await Promise.all(this.#finishing)
    await this.#retention.close()
    this.#live.clear()
    this.#lines.clear()
  }

  /** See DurableKeeper. */
  isAnswered(subject: string): boolean {
    return this.#host.isAnswered(subject)
  }

  /** See DurableKeeper. */
  begin(conversation: DurableConversation): ConversationCore {
    const { opened } = conversation.journal.state
    const { onCrash, deadline, at, idleTimeoutMs, causal, key } = opened
    return this.#host.openVacant(conversation.subject, conversation, {
      onCrash,
      // What becomes of a request after a crash is written down before it happens.
      maxAttempts: 1,
      deadlineMs: deadline === null ? undefined : deadline - at,
      idleTimeoutMs: idleTimeoutMs ?? undefined,
      causal: causal ?? undefined,
      openedAt: at - performance.timeOrigin,
      key,
    })
  }

  /** See DurableKeeper. */
  park(request: DurableRequest, subject: string): void {
    let line = this.#lines.get(subject)
    if (line === undefined) {
      line = new SubjectLine(() => this.#host.isAnswered(subject))
      this.#lines.set(subject, line)
    }
    line.add(request)
  }

  /** See DurableKeeper. */
  left(request: DurableRequest, subject: string): void {
    // Nobody takes the place of another while the bus ends.
    if (this.#closed !== null) return
    const line = this.#lines.get(subject)
    line?.remove(request)
    if (line?.isEmpty === true) this.#lines.delete(subject)
  }

  /** See DurableKeeper. */
  over(conversation: DurableConversation, error: LiminalError | null): void {
    const id = idOf(conversation.journal.name)
    if (error === null) this.#finish(conversation.journal)
    if (this.#live.get(id) === conversation) this.#live.delete(id)
    this.roomMade()
  }

  async #openOne(name: ConversationName, terms: DurableTerms): Promise<DurableConversation> {
    const found = terms.key === undefined ? null : await this.#load(name)
    if (found !== null) return found
    if (terms.existing === true) throw notFound(name)
    this.#checkOpen()
    this.#checkRoom(name.subject)
    const at = Date.now()
    const journal = Journal.create(this.#store, name)
    const { onCrash = 'route-to-next', maxAttempts = MAX_ATTEMPTS, deadlineMs, idleTimeoutMs, causal } = terms
    try {
      await journal.append({
        is: 'opened',
        at,
        ...name,
        instance: randomUUID(),
        onCrash,
        maxAttempts,
        deadline: deadlineMs === undefined ? null : at + deadlineMs,
        idleTimeoutMs: idleTimeoutMs ?? null,
        causal: causal ?? null,
      })
    } catch (thrown) {
      // Somebody else has opened it on the same store meanwhile.
      const other = toLiminalError(thrown).code === 'SEQUENCE_CONFLICT' ? await this.#load(name) : null
      if (other === null) throw thrown
      return other
    }
    return this.#begin(journal)
  }

  /** The conversation as its journal has it; `null` if there is none. */
  async #load(name: ConversationName): Promise<DurableConversation | null> {
    const journal = await Journal.open(this.#store, name)
    if (journal === null) return null
    const conversation = this.#begin(journal)
    // It may be over by now: that is written down first.
    if (!conversation.isOpen) await conversation.closed.promise.catch(() => {})
    if (journal.state.closed !== null && journal.isKept) this.#finish(journal)
    return conversation
  }

  #begin(journal: Journal): DurableConversation {
    this.#checkOpen()
    const conversation = new DurableConversation(this, journal)
    const id = idOf(journal.name)
    this.#live.set(id, conversation)
    try {
      conversation.begin()
    } catch (error) {
      this.#live.delete(id)
      throw error
    }
    if (journal.state.closed !== null) this.#live.delete(id)
    return conversation
  }

  async #resume(): Promise<void> {
    while (this.#resumeAfter !== undefined && this.#closed === null && this.#host.hasRoom) {
      const after: StoreKey | null = this.#resumeAfter
      const limit = RECOVERED_AT_ONCE
      const page = await this.#store.keys('conversation', [], after === null ? { limit } : { after, limit })
      const results = await Promise.allSettled(page.keys.map((key) => this.#recoverOne(key)))
      for (const [index, result] of results.entries()) {
        if (result.status === 'fulfilled') continue
        if (toLiminalError(result.reason).code !== 'LIMIT_EXCEEDED') throw result.reason
        // There is no room for this one: it is where recovery goes on.
        this.#resumeAfter = index === 0 ? after : page.keys[index - 1]
        return
      }
      this.#resumeAfter = page.after ?? undefined
    }
  }

  async #recoverOne({ parts: [subject, key] }: StoreKey): Promise<void> {
    await this.open(subject, { key, existing: true })
  }

  #finish(journal: Journal): void {
    const at = (journal.state.closed?.at ?? Date.now()) + this.#retentionMs
    const { name } = journal
    const finishing = journal
      .finish(expiryOf(name, at))
      .then(
        () => this.#retention.expect(at),
        // It is done when the journal is read again.
        (thrown: unknown) => sayJournalFailed(name.subject, name.key, toLiminalError(thrown)),
      )
      .finally(() => this.#finishing.delete(finishing))
    this.#finishing.add(finishing)
  }

  #checkOpen(): void {
    if (this.#closed !== null) throw this.#closed
  }

  #checkRoom(subject: string): void {
    if (this.#host.hasRoom) return
    const message = `A conversation with '${subject}' cannot be opened: too many are open. Close some, or raise maxConversations.`
    throw new LiminalError('LIMIT_EXCEEDED', message)
  }
}

function notFound({ subject, key }: ConversationName): LiminalError {
  const message = `There is no conversation '${key}' with '${subject}'. It is over, and its time is over too; open one with another key.`
  return new LiminalError('CONVERSATION_NOT_FOUND', message)
}

function idOf({ subject, key }: ConversationName): string {
  return JSON.stringify([subject, key])
}
