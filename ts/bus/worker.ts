import {
  checkInteger,
  checkKnownOptions,
  checkName,
  checkOneOf,
  checkOptions,
  checkSubject,
  checkText,
  invalidArgument,
  MAX_NAME_BYTES,
} from '../arguments.ts'
import type { PayloadKind } from '../payload.ts'
import type { Activity, CausalContext, WorkerRegistration } from '../protocol/index.ts'
import { MAX_TAGS } from '../routing/index.ts'
import { checkSignal, MAX_TIMEOUT_MS } from '../waiting.ts'

/** Messages that one worker may take at once, at most. */
export const MAX_WORKER_CAPACITY = 65_536

/** Where workers are registered: the `worker` of a bus. */
export interface WorkerRegistry {
  /**
   * Takes work of a task queue, which is the subject that the work is asked, conversed or dispatched under, until the returned worker (or the bus) is closed.
   *
   * A connection has one registration: on a remote bus a second worker replaces the first as soon as the server has accepted it, which the first one's `closed` tells. The
   * registration is repeated after every reconnect.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`; `PAYLOAD_TOO_LARGE` if its frame is over the option `frameBytes`.
   */
  register<Work = unknown>(registration: WorkerOptions, handler: WorkHandler<Work>): Worker
}

/** Who a worker is and what it can do (spec server §8.6). */
export interface WorkerOptions {
  /** Names the worker to people, and to routing functions. */
  identity: string
  /** The subject whose work it takes. */
  taskQueue: string
  /** Default: none. Routing functions see each as the tag `namespace:<name>`. */
  namespaces?: readonly string[]
  /** Default: none. Routing functions see each as the tag `activity:<name>`. */
  activityTypes?: readonly string[]
  /** Where it runs. Default: not said. Routing functions see it as the tag `node:<name>`. */
  node?: string
  /** What it can do, with schemas. Default: not said, which is what a server of liminal 0.2.1 needs: it takes no such list. */
  activities?: readonly Activity[]
  /**
   * Messages that it takes at once, 1 to 65,536. Default 1. A server without the extension `WORK` cannot be told: it pushes as many as it likes, 32 at once by
   * default.
   */
  capacity?: number
  /** Default `'json'`, for the work and its results. */
  payload?: PayloadKind
  /** Closes the worker, like `close()`: what is underway is handed back. */
  signal?: AbortSignal
}

/**
 * What does the work: called for each message, concurrently up to the capacity. Its result (or what its promise resolves with) is the answer, `undefined` standing for
 * `null` in JSON. A throw is the answer "no", `RESPONDER_FAILED`, and is tried nowhere else; `HandedBackError` gives the message to another worker.
 *
 * Without the extension `WORK` neither can be told to the server: such a message stays unanswered until whoever waits for it gives up.
 */
export type WorkHandler<Work = unknown> = (work: Work, context: WorkContext) => unknown

/** What a worker knows about its work beside its value. It has no steps, in durable conversations either: whoever wants them kept answers with `respond`. */
export interface WorkContext {
  /** What the work was asked under. Without the extension `WORK`: the task queue. */
  readonly subject: string
  /** Without the extension `WORK`: 0. */
  readonly conversationId: bigint
  /** 1 for the first try; raised each time the message goes to another worker. */
  readonly attempt: number
  /** The key of the dispatch, `null` without one. */
  readonly key: string | null
  /** When whoever waits for it gives up, as milliseconds since the epoch; `null` if that is not known. */
  readonly deadline: number | null
  readonly causal: CausalContext
  /**
   * Aborted when the answer is of no use any more and will not be sent. Its reason is a `LiminalError`: `ABORTED` if nobody waits or the message was handed back, `TIMEOUT` if
   * the lease ran out, `CONNECTION_LOST`.
   */
  readonly signal: AbortSignal
  /** When the message goes to another worker unless it is answered or extended, as milliseconds since the epoch; `null` if it has no lease. */
  readonly leaseExpiresAt: number | null
  /**
   * Takes the lease anew, from now on. Changes nothing where there is no lease, and once the work is answered or aborted.
   *
   * @param milliseconds Default: those that the lease began with.
   * @throws LiminalError `INVALID_ARGUMENT`; `OUTBOX_FULL` if the connection takes nothing more at the moment: the lease is as it was.
   */
  extend(milliseconds?: number): void
}

/** A registration to take the work of a task queue. */
export interface Worker extends AsyncDisposable {
  readonly identity: string
  readonly taskQueue: string
  /**
   * Resolves once work can reach it. Rejects with `REMOTE_ERROR` if the server refuses it, which ends it; `TIMEOUT` if the server has not answered in time, which does
   * not; `ABORTED` by its signal; `CLOSED`.
   */
  ready(): Promise<void>
  /**
   * Settles when it has ended: resolves after `close`, of it or of the bus; rejects with the error otherwise: `REMOTE_ERROR` if the server refused it, `CLOSED` if
   * another worker of the connection replaced it, or what ended the bus. Nobody has to look at it.
   */
  readonly closed: Promise<void>
  /**
   * Takes the registration back, and hands back what is not done within the grace; resolves once nothing is underway here and the server has agreed, or has taken
   * too long to. Idempotent; a later call can only shorten the grace.
   */
  close(options?: WorkerCloseOptions): Promise<void>
}

export interface WorkerCloseOptions {
  /** Milliseconds that what is underway has to be done. Default 0: it is handed back at once. */
  graceMs?: number
}

/** {@link WorkerOptions} checked and complete. */
export interface WorkerSettings {
  readonly registration: WorkerRegistration
  readonly capacity: number
  readonly payload: PayloadKind
  readonly signal: AbortSignal | undefined
}

const WORKER_OPTIONS = Object.keys({
  identity: true,
  taskQueue: true,
  namespaces: true,
  activityTypes: true,
  node: true,
  activities: true,
  capacity: true,
  payload: true,
  signal: true,
} satisfies Record<keyof WorkerOptions, true>)

/** @throws LiminalError `INVALID_ARGUMENT` that names the option. */
export function checkWorkerOptions(options: WorkerOptions): WorkerSettings {
  if (options === undefined) throw invalidArgument('registration', 'an object', options)
  checkOptions('registration', options)
  checkKnownOptions('registration', options, WORKER_OPTIONS)
  const { identity, taskQueue, namespaces = [], activityTypes = [], node, activities, capacity = 1, payload } = options
  checkName('identity', identity)
  checkSubject('taskQueue', taskQueue)
  checkNames('namespaces', namespaces)
  checkNames('activityTypes', activityTypes)
  if (node !== undefined) checkName('node', node)
  if (activities !== undefined) checkActivities(activities)
  checkInteger('capacity', capacity, 1)
  if (capacity > MAX_WORKER_CAPACITY)
    throw invalidArgument('capacity', `an integer from 1 to ${MAX_WORKER_CAPACITY}`, capacity)
  checkOneOf('payload', payload, ['json', 'bytes'])
  checkSignal(options.signal)
  const registration: WorkerRegistration = {
    namespaces: [...namespaces],
    taskQueue,
    node: node ?? null,
    activityTypes: [...activityTypes],
    identity,
    activities: activities?.map(copyOf) ?? null,
  }
  checkTags(workerTags(registration))
  return { registration, capacity, payload: payload ?? 'json', signal: options.signal }
}

/** What routing functions may choose a worker by. */
export function workerTags({ namespaces, activityTypes, node }: WorkerRegistration): readonly string[] {
  return [
    ...namespaces.map((namespace) => `namespace:${namespace}`),
    ...activityTypes.map((activityType) => `activity:${activityType}`),
    ...(node === null ? [] : [`node:${node}`]),
  ]
}

/** The grace of a close. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkGrace(options: WorkerCloseOptions | undefined): number {
  checkOptions('options', options)
  const graceMs = options?.graceMs ?? 0
  if (typeof graceMs === 'number' && graceMs >= 0 && graceMs <= MAX_TIMEOUT_MS) return graceMs
  throw invalidArgument('graceMs', `a number of milliseconds from 0 to ${MAX_TIMEOUT_MS}`, graceMs)
}

/** The milliseconds of {@link WorkContext.extend}. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkLease(milliseconds: number): void {
  if (typeof milliseconds === 'number' && milliseconds > 0 && milliseconds <= MAX_TIMEOUT_MS) return
  throw invalidArgument('milliseconds', `a number above 0, up to ${MAX_TIMEOUT_MS}`, milliseconds)
}

function checkNames(argument: string, names: unknown): void {
  if (!Array.isArray(names)) throw invalidArgument(argument, 'an array of names', names)
  for (const [at, name] of names.entries()) checkName(`${argument}[${at}]`, name)
}

/** A name that is fit may still make a tag that is not. */
function checkTags(tags: readonly string[]): void {
  if (tags.length > MAX_TAGS) {
    const what = `at most ${MAX_TAGS} namespaces, activity types and nodes in all`
    throw invalidArgument('registration', what, tags)
  }
  for (const tag of tags) {
    if (Buffer.byteLength(tag) > MAX_NAME_BYTES)
      throw invalidArgument('registration', `of names that make tags of at most ${MAX_NAME_BYTES} UTF-8 bytes`, tag)
  }
}

function copyOf({ name, inputSchemaJson, outputSchemaJson }: Activity): Activity {
  return { name, inputSchemaJson, outputSchemaJson }
}

function checkActivities(activities: unknown): void {
  if (!Array.isArray(activities)) throw invalidArgument('activities', 'an array', activities)
  for (const [at, activity] of activities.entries()) {
    const argument = `activities[${at}]`
    if (typeof activity !== 'object' || activity === null) throw invalidArgument(argument, 'an activity', activity)
    checkName(`${argument}.name`, Reflect.get(activity, 'name'))
    for (const member of ['inputSchemaJson', 'outputSchemaJson'])
      checkText(`${argument}.${member}`, Reflect.get(activity, member))
  }
}
