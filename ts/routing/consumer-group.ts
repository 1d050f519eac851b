import {
  checkFunction,
  checkInteger,
  checkKnownOptions,
  checkName,
  checkOneOf,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { checkWait, throwIfAborted, type WaitLimits, waitFor } from '../waiting.ts'
import { roundRobin } from './built-in.ts'
import { type Consumer, type ConsumerExit, type ConsumerView, MAX_TAGS } from './consumer.ts'
import type { DispatchOptions, DispatchTerms } from './dispatch.ts'
import type { DispatchOutcome } from './dispatch-outcome.ts'
import { Dispatcher } from './dispatcher.ts'
import { Member } from './member.ts'
import type { RoutingFunction } from './routing-function.ts'
import { RoutingSlot } from './routing-slot.ts'

/** How a consumer group is made. */
export interface ConsumerGroupOptions<Message = unknown> {
  /** What routing functions are shown of a message, made when one looks. Default: the message itself. */
  readonly view?: ((message: Message) => unknown) | undefined
  /** Chooses a consumer for each message. Default: they take turns. */
  readonly routing?: RoutingFunction | undefined
  /** Chooses when the routing function fails. Default: the dispatch fails with `ROUTING_FAILED`. */
  readonly fallback?: RoutingFunction | undefined
  /**
   * Most dispatches that wait for a choice or for a consumer; one more fails with `LIMIT_EXCEEDED`. Messages that come back from a consumer which ended wait beside
   * them: there are never more of these than were in flight. Default: 1,024.
   */
  readonly maxWaiting?: number | undefined
}

/** A consumer's place in a group. */
export interface Membership {
  readonly consumer: ConsumerView
  /** Whether it gets messages: it did neither end nor leave. */
  readonly isJoined: boolean
  /** Changes how many messages may be in flight to it, from the next dispatch on. What it has above that it finishes. @throws LiminalError `INVALID_ARGUMENT`. */
  resize(capacity: number): void
  /**
   * Leaves: it gets nothing more from the next dispatch on, and finishes what it has. Resolves when that is done, or when the consumer has ended. Idempotent.
   * @throws LiminalError `TIMEOUT`, `ABORTED` if that takes longer than one wants to wait; it has left all the same, and what it completes later still counts.
   */
  leave(limits?: WaitLimits): Promise<void>
}

const DEFAULT_MAX_WAITING = 1_024
const DEFAULT_WAIT_MS = 30_000
const DEFAULT_MAX_ATTEMPTS = 3
const DEFAULT_CLOSE_MS = 10_000

/**
 * Consumers that share the messages of one kind: each message goes to one of them, chosen by a routing function that sees their live state. When a consumer ends,
 * what it had goes to another at once.
 *
 * Messages are delivered in the order in which a consumer was found for them; there is no order between dispatches that wait for different consumers.
 */
export class ConsumerGroup<Message = unknown, Result = unknown> implements AsyncDisposable {
  readonly name: string
  readonly #slot: RoutingSlot
  readonly #dispatcher: Dispatcher
  readonly #releaseFallback: (() => void) | undefined
  #closing: Promise<void> | null = null
  #isClosed = false

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(name: string, options: ConsumerGroupOptions<Message> = {}) {
    checkName('name', name)
    checkOptions('options', options)
    checkKnownOptions('options', options, ['routing', 'fallback', 'maxWaiting', 'view'])
    const { routing = roundRobin(), fallback = null, maxWaiting = DEFAULT_MAX_WAITING, view } = options
    checkInteger('options.maxWaiting', maxWaiting, 0)
    if (view !== undefined) checkFunction('options.view', view)
    checkRouting('options.routing', routing)
    if (fallback !== null) checkRouting('options.fallback', fallback)
    this.name = name
    this.#slot = new RoutingSlot(routing)
    this.#releaseFallback = fallback?.hold?.()
    // What is dispatched here is of the group's type.
    const seen = view === undefined ? null : (message: unknown) => view(message as Message)
    this.#dispatcher = new Dispatcher(name, this.#slot, fallback, maxWaiting, seen)
  }

  /** The routing function that the next dispatch is routed by. */
  get routing(): RoutingFunction {
    return this.#slot.current
  }

  /** Whether it takes consumers and messages: nobody has begun to close it. */
  get isOpen(): boolean {
    return this.#closing === null
  }

  /** How many consumers are joined. */
  get size(): number {
    return this.#dispatcher.roster.size
  }

  /** Dispatches that have no consumer yet. */
  get waiting(): number {
    return this.#dispatcher.waiting
  }

  /** Messages that consumers are at, including those that nobody waits for any more. */
  get inFlight(): number {
    return this.#dispatcher.inFlight
  }

  /** Answers that came too late: the dispatch was settled, or the message had gone on to another consumer. */
  get refusedAnswers(): number {
    return this.#dispatcher.refusedAnswers
  }

  /** The joined consumers, in the order in which they joined. */
  consumers(): Iterable<ConsumerView> {
    return this.#dispatcher.roster.views()
  }

  /** The joined consumer with this id, `null` if there is none. */
  consumer(id: string): ConsumerView | null {
    return this.#dispatcher.roster.get(id)?.view ?? null
  }

  /**
   * Brings a consumer in: it gets messages from the next dispatch on, and at once if some wait. It leaves by itself when it ends.
   * @throws LiminalError `INVALID_ARGUMENT` for a consumer that cannot be used, or whose id is taken by one that is joined; `PARTICIPANT_GONE` if it has ended already;
   * `CLOSED`, `SHUTTING_DOWN`.
   */
  join(consumer: Consumer<Message, Result>): Membership {
    this.#checkOpen()
    const member = this.#member(consumer)
    let isJoined = false
    let exited: { readonly exit: ConsumerExit; readonly at: number } | null = null
    const hear = (exit: ConsumerExit, observedAt?: number): void => {
      // A consumer that says it twice is taken at its first word.
      if (exited !== null) return
      const now = performance.now()
      exited = { exit, at: Math.min(observedAt ?? now, now) }
      if (isJoined) this.#dispatcher.exit(member, exit, exited.at)
    }
    member.forget = consumer.onExit(hear)
    const early: { readonly exit: ConsumerExit } | null = exited
    if (early !== null) throw endedAlready(member.id, this.name, early)
    isJoined = true
    this.#dispatcher.join(member)
    return this.#membership(member)
  }

  /**
   * Gives a message to one consumer and resolves with what it completed it with, and how it got there.
   *
   * A consumer that ends abnormally before it has completed the message is left out, and another one gets the message with the attempt raised. One that ends normally
   * before fails the dispatch: it may have done the work. An answer to an older attempt is refused.
   * @throws DispatchError (as a rejection) `NO_RESPONDER`, `LIMIT_EXCEEDED`, `TIMEOUT`, `ABORTED`, `PARTICIPANT_GONE`, `RESPONDER_FAILED`, `ROUTING_FAILED`, `SHUTTING_DOWN`;
   * LiminalError `INVALID_ARGUMENT`, `ABORTED`, `CLOSED`, `SHUTTING_DOWN` before anything was tried.
   */
  async dispatch(message: Message, options: DispatchOptions = {}): Promise<DispatchOutcome<Result>> {
    this.#checkOpen()
    const terms = checkTerms(options)
    throwIfAborted(terms.signal, `The message to group '${this.name}'`)
    const outcome = await this.#dispatcher.dispatch(message, terms)
    return outcome as DispatchOutcome<Result>
  }

  /**
   * Replaces the routing function from the next choice on. Choices that the old one is at are finished by it. Resolves when the old one was let go of.
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`, `SHUTTING_DOWN`, before anything changed.
   */
  deploy(routing: RoutingFunction): Promise<void> {
    this.#checkOpen()
    checkRouting('routing', routing)
    const retired = this.#slot.deploy(routing)
    this.#dispatcher.redeployed()
    return retired
  }

  /**
   * Takes no more messages, fails those that wait with `SHUTTING_DOWN`, and waits for those that consumers are at. Always resolves by the deadline: what is not done then
   * fails with `SHUTTING_DOWN` too. Idempotent.
   * @param limits Default: 10,000 ms.
   */
  close(limits: WaitLimits = {}): Promise<void> {
    checkWait(limits)
    this.#closing ??= this.#close({ timeoutMs: DEFAULT_CLOSE_MS, ...limits })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(limits: WaitLimits): Promise<void> {
    const drained = this.#dispatcher.drain()
    try {
      await waitFor(drained, { ...limits, what: `Closing the group '${this.name}'` })
    } catch {
      // What is left when the wait is over is ended below.
    }
    this.#dispatcher.stop()
    this.#isClosed = true
    this.#releaseFallback?.()
    // Resolves once the last choice is over, which nobody has to wait for.
    void this.#slot.close()
  }

  #membership(member: Member): Membership {
    const dispatcher = this.#dispatcher
    const what = `Leaving the group '${this.name}' by '${member.id}'`
    return {
      consumer: member.view,
      get isJoined(): boolean {
        return member.state === 'joined'
      },
      resize(capacity: number): void {
        checkCapacity('capacity', capacity)
        dispatcher.resize(member, capacity)
      },
      async leave(limits: WaitLimits = {}): Promise<void> {
        checkWait(limits)
        const drained = member.state === 'joined' ? dispatcher.leave(member) : member.drained()
        await waitFor(drained, { ...limits, what })
      },
    }
  }

  #member(consumer: Consumer<Message, Result>): Member {
    if (typeof consumer !== 'object' || consumer === null) throw invalidArgument('consumer', 'a consumer', consumer)
    const { id, capacity = 1, tags = [] } = consumer
    checkName('consumer.id', id)
    checkCapacity('consumer.capacity', capacity)
    if (!Array.isArray(tags) || tags.length > MAX_TAGS) {
      throw invalidArgument('consumer.tags', `a list of at most ${MAX_TAGS} tags`, tags)
    }
    for (const tag of tags) checkName('consumer.tags[]', tag)
    if (this.#dispatcher.roster.get(id) !== undefined) {
      throw new LiminalError(
        'INVALID_ARGUMENT',
        `The group '${this.name}' has a consumer '${id}' already. Let it leave first, or use another id.`,
      )
    }
    // The dispatcher brings each consumer the messages of its own group only.
    return new Member(consumer as Consumer, capacity, Object.freeze([...new Set(tags)]))
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new LiminalError('CLOSED', `The group '${this.name}' is closed.`)
    if (this.#closing !== null) throw new LiminalError('SHUTTING_DOWN', `The group '${this.name}' is closing.`)
  }
}

function checkTerms(options: DispatchOptions): DispatchTerms {
  checkOptions('options', options)
  const { key = null, timeoutMs, signal, whenUnavailable = 'wait' } = options
  const { waitMs = DEFAULT_WAIT_MS, maxAttempts = DEFAULT_MAX_ATTEMPTS } = options
  if (key !== null && typeof key !== 'string') throw invalidArgument('options.key', 'a string', key)
  checkWait({ timeoutMs, signal })
  checkWait({ timeoutMs: waitMs })
  checkOneOf('options.whenUnavailable', whenUnavailable, ['wait', 'fail'])
  checkInteger('options.maxAttempts', maxAttempts, 1)
  return { key, timeoutMs, signal, whenUnavailable, waitMs, maxAttempts }
}

function checkCapacity(argument: string, capacity: unknown): void {
  if (!Number.isSafeInteger(capacity) || Number(capacity) < 1) {
    throw invalidArgument(argument, 'an integer of at least 1', capacity)
  }
}

function checkRouting(argument: string, routing: RoutingFunction): void {
  const fits = typeof routing === 'object' && routing !== null && typeof routing.choose === 'function'
  if (!fits) throw invalidArgument(argument, 'a routing function, as routingFunction() makes it', routing)
}

function endedAlready(id: string, group: string, { exit }: { readonly exit: ConsumerExit }): LiminalError {
  const message = `The consumer '${id}' cannot join '${group}': it has ended already (${exit.is}).`
  return new LiminalError('PARTICIPANT_GONE', message, { cause: exit.cause })
}
