import { onAbort } from '../abort-watch.ts'
import {
  type BehaviourContext,
  type ConversationRegistry,
  type Participant,
  type ParticipantSource,
  participantFromBehaviour,
  type Registration,
} from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { Process } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import { HandedBackError } from '../routing/index.ts'
import { abortedError, MAX_TIMEOUT_MS } from '../waiting.ts'
import { Outcome } from './outcome.ts'
import {
  checkGrace,
  checkLease,
  type WorkContext,
  type Worker,
  type WorkerCloseOptions,
  type WorkerSettings,
  type WorkHandler,
  workerTags,
} from './worker.ts'

/** One message that the worker is at: answered by its handler, or handed back by its lease or by the end of the worker. */
class LocalWork implements WorkContext {
  readonly #context: BehaviourContext
  readonly #leaseMs: number
  readonly #handBack: (error: HandedBackError, reason: LiminalError) => void
  readonly #ended = new AbortController()
  #signal: AbortSignal | null = null
  #timer: NodeJS.Timeout | null = null
  #leaseExpiresAt = 0
  #isOver = false

  constructor(
    context: BehaviourContext,
    leaseMs: number,
    handBack: (error: HandedBackError, reason: LiminalError) => void,
  ) {
    this.#context = context
    this.#leaseMs = leaseMs
    this.#handBack = handBack
    this.#lease(leaseMs)
  }

  get subject(): string {
    return this.#context.subject
  }

  get conversationId(): bigint {
    return this.#context.conversationId
  }

  get attempt(): number {
    return this.#context.attempt
  }

  get key(): string | null {
    return this.#context.key
  }

  get deadline(): number | null {
    return this.#context.deadline
  }

  get causal(): CausalContext {
    return this.#context.causal
  }

  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.#context.signal, this.#ended.signal])
    return this.#signal
  }

  get leaseExpiresAt(): number | null {
    return this.#leaseExpiresAt
  }

  extend(milliseconds: number = this.#leaseMs): void {
    checkLease(milliseconds)
    if (!this.#isOver) this.#lease(milliseconds)
  }

  /** Gives it to another worker. Without effect if it is over. */
  handBack(error: HandedBackError, reason: LiminalError): void {
    if (this.#isOver) return
    this.over()
    this.#ended.abort(reason)
    this.#handBack(error, reason)
  }

  /** It is answered, or nobody wants it any more. */
  over(): void {
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #lease(milliseconds: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#leaseExpiresAt = Date.now() + milliseconds
    this.#timer = setTimeout(() => this.#expired(), milliseconds)
    this.#timer.unref()
  }

  #expired(): void {
    const text = 'The lease ran out before the work was answered or extended: the message goes to another worker.'
    this.handBack(new HandedBackError(text), new LiminalError('TIMEOUT', text))
  }
}

/** What the workers of a bus in this process share. */
export interface LocalWorkers {
  readonly conversations: ConversationRegistry
  /** Milliseconds of a lease. */
  readonly leaseMs: number
  /** Those that are open. */
  readonly open: Set<LocalWorker>
}

/** A worker on a bus in this process. */
export class LocalWorker implements Worker {
  readonly identity: string
  readonly taskQueue: string
  readonly #workers: LocalWorkers
  readonly #capacity: number
  readonly #handler: WorkHandler<unknown>
  readonly #underway = new Set<LocalWork>()
  readonly #ready = new Outcome()
  readonly #closed = new Outcome()
  readonly #registration: Registration | null
  #isClosing = false
  #drained: (() => void) | null = null
  #stopWatching: (() => void) | null = null
  #closing: Promise<void> | null = null
  readonly #abort = (): void => {
    void this.close()
  }

  constructor(workers: LocalWorkers, settings: WorkerSettings, handler: WorkHandler<unknown>) {
    const { registration, capacity, payload, signal } = settings
    this.identity = registration.identity
    this.taskQueue = registration.taskQueue
    this.#workers = workers
    this.#capacity = capacity
    this.#handler = handler
    if (signal?.aborted) {
      this.#registration = null
      this.#isClosing = true
      this.#ready.reject(abortedError(signal, `The worker '${this.identity}'`))
      this.#closed.resolve()
      return
    }
    const behaviour = (work: unknown, context: BehaviourContext): Promise<unknown> => this.#work(work, context)
    const source = participantFromBehaviour(behaviour, payload)
    const bounded: ParticipantSource = {
      id: registration.identity,
      finishes: true,
      capacity,
      tags: workerTags(registration),
      canJoin: () => this.#underway.size < capacity,
      join: (conversation): Participant => {
        this.#checkRoom()
        return source.join(conversation)
      },
    }
    this.#registration = workers.conversations.register(registration.taskQueue, bounded)
    workers.open.add(this)
    if (signal !== undefined) this.#stopWatching = onAbort(signal, this.#abort)
    this.#ready.resolve()
    void this.#registration.process.exited.then(({ reason }) => {
      if (reason.is === 'normal') return
      const message = `The worker '${this.identity}' was ended (${reason.is}).`
      this.#end(new LiminalError('PROCESS_GONE', message, { cause: reason }))
    })
  }

  /** Its process: when that is killed, everything that it is at crashes. `null` for one whose signal was aborted before. */
  get process(): Process | null {
    return this.#registration?.process ?? null
  }

  ready(): Promise<void> {
    return this.#ready.watch()
  }

  get closed(): Promise<void> {
    return this.#closed.watch()
  }

  close(options?: WorkerCloseOptions): Promise<void> {
    const graceMs = checkGrace(options)
    if (!this.#isClosing) {
      this.#isClosing = true
      this.#registration?.withdraw()
      this.#closing = this.#drain(graceMs)
    } else if (graceMs === 0) this.#handBackAll()
    return this.#closing ?? Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #drain(graceMs: number): Promise<void> {
    if (graceMs > 0 && this.#underway.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(graceMs, MAX_TIMEOUT_MS))
        this.#drained = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#handBackAll()
    this.#end(null)
  }

  #handBackAll(): void {
    const text = `The worker '${this.identity}' was closed.`
    for (const work of [...this.#underway]) {
      work.handBack(new HandedBackError(text), new LiminalError('ABORTED', `The message was handed back: ${text}`))
    }
  }

  #end(error: LiminalError | null): void {
    this.#isClosing = true
    this.#workers.open.delete(this)
    this.#stopWatching?.()
    for (const work of this.#underway) work.over()
    this.#underway.clear()
    this.#drained?.()
    if (error === null) this.#closed.resolve()
    else this.#closed.reject(error)
  }

  /** @throws LiminalError `LIMIT_EXCEEDED`. */
  #checkRoom(): void {
    if (this.#underway.size < this.#capacity) return
    const text = `The worker '${this.identity}' is at ${this.#capacity} messages, as many as it takes; dispatch to wait for room.`
    throw new LiminalError('LIMIT_EXCEEDED', text)
  }

  #work(value: unknown, context: BehaviourContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void): void => {
        work.over()
        this.#underway.delete(work)
        then()
        if (this.#underway.size === 0) this.#drained?.()
      }
      const work = new LocalWork(context, this.#workers.leaseMs, (error) => settle(() => reject(error)))
      this.#underway.add(work)
      // A handler that throws at once is answered like one that throws later.
      const run = async (): Promise<unknown> => this.#handler(value, work)
      run().then(
        (result) => settle(() => resolve(result)),
        (error: unknown) => settle(() => reject(error)),
      )
    })
  }
}
