import { checkName, checkSubject } from '../../arguments.ts'
import { workerTags } from '../../bus/index.ts'
import { Deque } from '../../deque.ts'
import { LiminalError } from '../../errors.ts'
import { type ExitReason, exitError } from '../../process/index.ts'
import {
  Capability,
  HAS_HEAD,
  type PushReply,
  readAnswerHead,
  readHead,
  WORKER_LEAVE,
  type WorkerRegister,
  type WorkerRegistration,
} from '../../protocol/index.ts'
import { MAX_TAGS } from '../../routing/index.ts'
import { textOf, toLiminalError } from '../../thrown.ts'
import { waitFor } from '../../waiting.ts'
import type { SessionContext } from '../context.ts'
import { sayWorkerHookFailed, sayWorkerRefused, sayWorkerRegistered, sayWorkerUnregistered } from '../diagnostics.ts'
import type { Pushes } from '../pushes.ts'
import { SessionWorker } from '../session-worker.ts'
import type { WorkerInfo } from '../worker-options.ts'

/** Registrations that may wait for the one before them. */
const MOST_WAITING = 16
const CROWDED = `${MOST_WAITING} registrations of this connection wait already; wait for an answer first.`
/** UTF-16 units of a refusal's reason. */
const LONGEST_REASON = 1_024

/**
 * The worker of one connection (spec server §8). A connection has one: the next accepted registration replaces it. Registrations are dealt with one after the other, in the order in which they
 * came, while everything else on the connection goes on.
 */
export class Workers {
  readonly #context: SessionContext
  readonly #pushes: Pushes
  readonly #waiting = new Deque<WorkerRegister>()
  readonly #gone = new AbortController()
  #current: SessionWorker | null = null
  /** Replaced or withdrawn, and still in some conversation. */
  readonly #former = new Set<SessionWorker>()
  /** Those that found no place: they are refused in their turn, because an answer does not say to what it is one. */
  readonly #crowded = { registrations: 0, withdrawals: 0 }
  #isBusy = false
  #isGone = false

  constructor(context: SessionContext, pushes: Pushes) {
    this.#context = context
    this.#pushes = pushes
  }

  /** The worker that takes messages now. */
  get current(): WorkerInfo | null {
    return this.#current?.info ?? null
  }

  /** WorkerRegister. */
  register(frame: WorkerRegister): void {
    const crowded = this.#crowded
    if (this.#waiting.size >= MOST_WAITING || crowded.registrations + crowded.withdrawals > 0) {
      sayWorkerRefused({ sessionId: this.#context.id, registration: frame.registration, reason: CROWDED })
      if (isLeaving(this.#context, frame)) crowded.withdrawals++
      else crowded.registrations++
      return
    }
    this.#waiting.push(frame)
    if (!this.#isBusy) void this.#advance()
  }

  /** PushReply 0: what the worker says of itself. What cannot be read changes nothing. */
  announce({ flags, payload }: PushReply): void {
    if (!this.#pushes.tells || (flags & HAS_HEAD) === 0) return
    let capacity: number | undefined
    try {
      capacity = readAnswerHead(readHead(payload)).capacity
    } catch {
      // There is nobody to tell: the frame is no request.
      return
    }
    if (capacity !== undefined) this.#current?.resize(capacity)
  }

  /** The connection is being closed in good order: nothing more reaches the worker. */
  withdrawAll(): void {
    this.#current?.withdraw()
  }

  /** The connection is over. */
  gone(reason: ExitReason): void {
    this.#isGone = true
    this.#waiting.clear()
    this.#crowded.registrations = 0
    this.#crowded.withdrawals = 0
    const current = this.#current
    this.#current = null
    // This one first: what the others had must not be given to it.
    current?.exit(reason)
    for (const worker of this.#former) worker.exit(reason)
    this.#former.clear()
    if (current !== null) this.#unregistered(current)
    this.#gone.abort(new LiminalError('CONNECTION_LOST', 'The connection of the worker is gone.'))
  }

  async #advance(): Promise<void> {
    this.#isBusy = true
    for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
      if (isLeaving(this.#context, frame)) this.#leave(frame)
      else await this.#admit(frame)
      if (this.#waiting.size === 0) this.#refuseCrowded()
    }
    this.#isBusy = false
  }

  #refuseCrowded(): void {
    const { registrations, withdrawals } = this.#crowded
    this.#crowded.registrations = 0
    this.#crowded.withdrawals = 0
    const { output } = this.#context
    const outcome = { status: 'Rejected', reason: CROWDED } as const
    if (registrations > 0) output.repeat({ type: 'WorkerRegisterAck', flags: 0, streamId: 0, outcome }, registrations)
    if (withdrawals > 0)
      output.repeat({ type: 'WorkerRegisterAck', flags: WORKER_LEAVE, streamId: 0, outcome }, withdrawals)
  }

  async #admit(frame: WorkerRegister): Promise<void> {
    const { registration } = frame
    // A peer that is refused does not come back. This one is told to leave by Disconnect, and registers with the next server.
    if (this.#context.refusing !== null) return
    const why = unfit(registration)
    if (why !== null) {
      this.#refuse(frame, why)
      return
    }
    const worker = new SessionWorker(this.#context, this.#pushes, registration)
    try {
      await this.#ask(worker)
    } catch (thrown) {
      if (!this.#isGone) this.#refuse(frame, textOf(thrown))
      return
    }
    if (this.#isGone || this.#context.refusing !== null) {
      // Accepted, and too late.
      this.#unregistered(worker)
      return
    }
    const before = this.#current
    if (before !== null) this.#retire(before)
    this.#current = worker
    // First of all: work may wait for it, and what comes before the answer finds nobody there.
    this.#context.output.reply({
      type: 'WorkerRegisterAck',
      flags: 0,
      streamId: frame.streamId,
      outcome: { status: 'Accepted', reason: null },
    })
    try {
      worker.register()
    } catch (thrown) {
      // It was told already that it is accepted: only the end of its connection takes that back.
      this.#context.process.exit(exitError(toLiminalError(thrown)))
      return
    }
    sayWorkerRegistered(worker.info)
  }

  /** @throws what the hook throws, and `TIMEOUT`. */
  async #ask(worker: SessionWorker): Promise<void> {
    const { onRegister, registerTimeoutMs } = this.#context.options.workers
    if (onRegister === null) return
    const late = new AbortController()
    const signal = AbortSignal.any([this.#gone.signal, late.signal])
    const decided = (async () => onRegister(worker.info, signal))()
    try {
      const limits = { timeoutMs: registerTimeoutMs, signal: this.#gone.signal }
      await waitFor(decided, { ...limits, what: 'The decision about the registration' })
    } catch (error) {
      late.abort(error)
      // Accepted after all, when it was refused already.
      decided.then(
        () => this.#unregistered(worker),
        () => {},
      )
      throw error
    }
  }

  #leave(frame: WorkerRegister): void {
    const current = this.#current
    if (current !== null) {
      this.#current = null
      this.#retire(current)
    }
    this.#context.output.reply({
      type: 'WorkerRegisterAck',
      flags: WORKER_LEAVE,
      streamId: frame.streamId,
      outcome: { status: 'Accepted', reason: null },
    })
  }

  /** What it is at may still be answered. */
  #retire(worker: SessionWorker): void {
    worker.withdraw()
    this.#former.add(worker)
    void worker.idle().then(() => this.#former.delete(worker))
    this.#unregistered(worker)
  }

  #unregistered(worker: SessionWorker): void {
    const { info } = worker
    sayWorkerUnregistered(info)
    const { onUnregister } = this.#context.options.workers
    if (onUnregister === null) return
    const failed = (error: unknown): void => sayWorkerHookFailed({ worker: info, error })
    ;(async () => onUnregister(info))().catch(failed)
  }

  #refuse({ streamId, registration }: WorkerRegister, why: string): void {
    const { id, output } = this.#context
    const reason = Buffer.from(why.slice(0, LONGEST_REASON)).toString()
    sayWorkerRefused({ sessionId: id, registration, reason })
    output.reply({ type: 'WorkerRegisterAck', flags: 0, streamId, outcome: { status: 'Rejected', reason } })
  }
}

function isLeaving(context: SessionContext, { flags }: WorkerRegister): boolean {
  return (flags & WORKER_LEAVE) !== 0 && context.granted(Capability.WORK)
}

/** Why a registration cannot be taken, or `null`. */
function unfit(registration: WorkerRegistration): string | null {
  const { identity, taskQueue, namespaces, activityTypes, node } = registration
  // Counted first: checking is dear for very many.
  if (namespaces.length + activityTypes.length + 1 > MAX_TAGS) {
    return `A worker has ${MAX_TAGS - 1} namespaces and activity types at most.`
  }
  try {
    checkName('identity', identity)
    checkSubject('task queue', taskQueue)
    if (node !== null) checkName('node', node)
    for (const name of [...namespaces, ...activityTypes]) checkName('namespace or activity type', name)
    for (const tag of workerTags(registration)) checkName('namespace, activity type or node', tag)
    return null
  } catch (error) {
    return textOf(error)
  }
}
