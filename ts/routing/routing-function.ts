import { checkName, checkOptions, describe } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { asSentence, textOf } from '../thrown.ts'
import { checkWait, waitFor } from '../waiting.ts'
import type { ConsumerView } from './consumer.ts'
import { functionHash } from './source-hash.ts'

/**
 * The consumers that a message may go to: joined, alive, and not tried before by this dispatch. It is a window on the group and no copy; iterating shows the full
 * ones too.
 */
export interface Candidates extends Iterable<ConsumerView> {
  /** How many there are, the full ones included. */
  readonly size: number
  /** The one with this id, `null` if it is not among them. O(1). */
  get(id: string): ConsumerView | null
  /** The one with room that has waited longest for its turn, counted from its last one, from joining, or from when it got room again. O(1). */
  next(): ConsumerView | null
  /** The one with room that uses the smallest share of its capacity. O(1). */
  leastLoaded(): ConsumerView | null
  /**
   * The one that a key belongs to, by rendezvous hashing: it stays the same while that consumer is among them. O(n).
   * @param withRoom leave out those that are full. Default: false.
   */
  forKey(key: string, withRoom?: boolean): ConsumerView | null
  /** Those that have a tag. O(1); of candidates that were narrowed already O(n). */
  withTag(tag: string): Candidates
}

/** What a routing function is asked. */
export interface RoutingRequest {
  /** The message as it was dispatched; on a bus its decoded value, made when it is read, so a spread of the request leaves it out. */
  readonly message: unknown
  /** The key of the dispatch, `null` without one. */
  readonly key: string | null
  /** Which attempt this choice is for, from 1. */
  readonly attempt: number
  readonly consumers: Candidates
}

/**
 * The id of the chosen consumer. One that is full is waited for. `null`: none of these now; the dispatch waits for a change, or fails, as its options say.
 */
export type Choice = string | null

/** What chooses a consumer for each message of a group. Make one with `routingFunction`, `isolatedRouting` or a built-in. */
export interface RoutingFunction {
  readonly name: string
  /** SHA-256 of its source as 64 hex digits. */
  readonly hash: string
  /** @throws RoutingError, also as a rejection. */
  choose(request: RoutingRequest): Choice | Promise<Choice>
  /** Called by each group that uses it; what it returns is called when that group has let go of it. */
  hold?(): () => void
}

/** Why a routing function gave no choice. */
export type RoutingFailure =
  /** It threw, rejected, answered with something that is no choice, or its thread died. */
  | 'crashed'
  /** It took too long and was stopped. */
  | 'timed-out'
  /** It chose a consumer that is not among the candidates. */
  | 'unknown-consumer'
  /** It kept taking threads down and is not asked for a while. */
  | 'suspended'

/** A routing function that gave no choice. Its code is `ROUTING_FAILED`; only `suspended` is retryable. */
export class RoutingError extends LiminalError {
  readonly failure: RoutingFailure
  /** SHA-256 of the function's source. */
  readonly hash: string

  constructor(failure: RoutingFailure, routing: Pick<RoutingFunction, 'name' | 'hash'>, what: string, cause?: unknown) {
    const message = `The routing function '${routing.name}' (${routing.hash.slice(0, 16)}) ${what}`
    super('ROUTING_FAILED', message, { cause, retryable: failure === 'suspended' })
    this.failure = failure
    this.hash = routing.hash
  }

  override get name(): string {
    return 'RoutingError'
  }
}

/** How {@link routingFunction} runs a function. */
export interface RoutingFunctionOptions {
  /** Milliseconds that a promise of it may take, until `ROUTING_FAILED`. A function that does not return cannot be stopped in process: isolate it. Default: 5,000. */
  readonly timeoutMs?: number | undefined
}

const DEFAULT_TIMEOUT_MS = 5_000

/**
 * A routing function that runs in this process. What it throws stays its own: the dispatch fails with a {@link RoutingError} that names the source.
 * @param choose its text is its identity. Functions with the same text may close over different values: the hash does not tell them apart, and no one is ever run in another's place.
 * @throws LiminalError `INVALID_ARGUMENT`, also for a bound or native function, whose source is not to be had.
 */
export function routingFunction(
  name: string,
  choose: (request: RoutingRequest) => Choice | Promise<Choice>,
  options: RoutingFunctionOptions = {},
): RoutingFunction {
  checkName('name', name)
  checkOptions('options', options)
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options
  checkWait({ timeoutMs })
  return new InProcessRouting(name, functionHash('choose', choose), choose, timeoutMs)
}

class InProcessRouting implements RoutingFunction {
  readonly name: string
  readonly hash: string
  readonly #choose: (request: RoutingRequest) => Choice | Promise<Choice>
  readonly #timeoutMs: number

  constructor(name: string, hash: string, choose: InProcessRouting['choose'], timeoutMs: number) {
    this.name = name
    this.hash = hash
    this.#choose = choose
    this.#timeoutMs = timeoutMs
  }

  choose(request: RoutingRequest): Choice | Promise<Choice> {
    let choice: unknown
    let later: PromiseLike<unknown> | null
    try {
      choice = this.#choose(request)
      // Also to ask whether it is a promise may run code of the function's author.
      later = isThenable(choice) ? choice : null
    } catch (cause) {
      throw crashed(this, cause)
    }
    return later === null ? checkChoice(this, choice) : this.#await(later)
  }

  async #await(choice: PromiseLike<unknown>): Promise<Choice> {
    // A thenable is code of the function's author: it is followed inside a promise of ours.
    const settled = Promise.resolve(choice).then(
      (value) => ({ value }),
      (cause: unknown) => Promise.reject(crashed(this, cause)),
    )
    try {
      const { value } = await waitFor(settled, { timeoutMs: this.#timeoutMs, what: this.name })
      return checkChoice(this, value)
    } catch (error) {
      if (error instanceof RoutingError) throw error
      throw new RoutingError('timed-out', this, `did not answer within ${this.#timeoutMs} ms.`, error)
    }
  }
}

/** The error of a function that threw or rejected. */
export function crashed(routing: Pick<RoutingFunction, 'name' | 'hash'>, cause: unknown): RoutingError {
  return new RoutingError('crashed', routing, `failed: ${asSentence(textOf(cause))}`, cause)
}

/** @throws RoutingError `crashed` for what is neither an id nor `null`. */
export function checkChoice(routing: Pick<RoutingFunction, 'name' | 'hash'>, choice: unknown): Choice {
  if (choice === null || typeof choice === 'string') return choice
  throw new RoutingError(
    'crashed',
    routing,
    `must answer with a consumer's id or null, but did with ${describe(choice)}.`,
  )
}

/** Whether a choice is still to come. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
