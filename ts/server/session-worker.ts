import { workerTags } from '../bus/index.ts'
import type { ConversationInfo, Participant, ParticipantSource, Registration } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import type { WorkerRegistration } from '../protocol/index.ts'
import type { SessionContext } from './context.ts'
import type { Pushes } from './pushes.ts'
import { WorkLine } from './work-line.ts'
import type { WorkerInfo } from './worker-options.ts'
import { WorkerParticipant } from './worker-participant.ts'

/** Messages that a worker may say it takes at once, at most. */
export const MAX_WORKER_CAPACITY = 65_536

/** A worker that the peer has registered: it answers its task queue by pushes. */
export class SessionWorker implements ParticipantSource {
  readonly id: string
  readonly tags: readonly string[]
  readonly registration: WorkerRegistration
  readonly pushes: Pushes
  readonly leaseMs: number
  /** Messages that have no room on the connection yet. */
  readonly line: WorkLine
  /** Messages that it takes at once. */
  capacity: number
  /** Messages that it is at. */
  inFlight = 0
  readonly #context: SessionContext
  #claim: Registration | null = null

  constructor(context: SessionContext, pushes: Pushes, registration: WorkerRegistration) {
    const { workers } = context.options
    this.#context = context
    this.pushes = pushes
    this.line = new WorkLine(context.output)
    this.registration = registration
    this.id = registration.identity
    this.tags = workerTags(registration)
    this.leaseMs = workers.leaseMs
    // A peer that can say how many it takes says so as soon as it is accepted.
    this.capacity = pushes.tells ? 1 : workers.capacity
  }

  get info(): WorkerInfo {
    const { identity, taskQueue, namespaces, activityTypes, node, activities } = this.registration
    const { id, process } = this.#context
    return {
      sessionId: id,
      sessionPid: process.pid,
      identity,
      taskQueue,
      namespaces,
      activityTypes,
      node,
      activities,
      capacity: this.capacity,
      inFlight: this.inFlight,
    }
  }

  /** From now on messages reach it. @throws LiminalError `INVALID_ARGUMENT` for a task queue that is no name. */
  register(): void {
    const { bus, process } = this.#context
    this.#claim = bus.conversations.register(this.registration.taskQueue, this, { parent: process })
  }

  /** No more messages reach it; what it is at goes on. */
  withdraw(): void {
    this.#claim?.withdraw()
    this.line.giveBack(this.#unsent())
  }

  /** Resolves once nobody talks with it any more. */
  idle(): Promise<void> {
    return this.#claim?.idle() ?? Promise.resolve()
  }

  /** It is no more: what it is at goes to another worker, unless it ended in good order. */
  exit(reason: ExitReason): void {
    this.line.giveBack(this.#unsent())
    this.#claim?.exit(reason)
  }

  /** The peer says how many it takes at once. */
  resize(capacity: number): void {
    this.capacity = Math.min(capacity, MAX_WORKER_CAPACITY)
    this.#claim?.resize(this.capacity)
  }

  /** Why it takes no message now. */
  full(): LiminalError {
    const text = `The worker '${this.id}' is at ${this.capacity} messages, as many as it takes; dispatch to wait for room.`
    return new LiminalError('LIMIT_EXCEEDED', text)
  }

  canJoin(): boolean {
    return this.inFlight < this.capacity
  }

  #unsent(): LiminalError {
    return new LiminalError('PARTICIPANT_GONE', `The message was not sent: the worker '${this.id}' takes no more.`)
  }

  join(conversation: ConversationInfo): Participant {
    if (!this.canJoin()) throw this.full()
    return new WorkerParticipant(this, conversation)
  }
}
