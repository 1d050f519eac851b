import type { WorkContext, WorkerSettings } from '../bus/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, ownBytes } from '../payload.ts'
import { Capability, HAS_HEAD, type WorkerRegistration, withHead } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { timeoutError, waitFor } from '../waiting.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { InboundPush, PushTaker } from './inbound-push.ts'
import { writePushReply } from './push-reply.ts'
import type { Restorable } from './restorable.ts'
import { settlePush } from './settle-push.ts'
import { PushedWorkContext } from './work-context.ts'

/** The correlation id of what a worker says of itself (extension `WORK`). */
const OWN_WORD = 0
const NOTHING = new Uint8Array(0)

/** What does the work, its types forgotten. */
export type WorkCall = (work: unknown, context: WorkContext) => unknown

/** One worker, over all connections of the bus. */
export class WorkerLink implements Restorable, PushTaker {
  readonly channel = null
  readonly registration: WorkerRegistration
  /** Settles when it has ended. */
  readonly closed = new Deferred<void>()
  /** Told once when it is over, whoever ended it. */
  onOver: (() => void) | null = null
  readonly #core: ClientCore
  readonly #settings: WorkerSettings
  readonly #call: WorkCall
  readonly #what: string
  readonly #underway = new Set<InboundPush>()
  #connection: Connection | null = null
  #ready = new Deferred<void>()
  #attached: Deferred<boolean> | null = null
  #timer: NodeJS.Timeout | null = null
  #working = true
  /** Settles when no server holds its registration. */
  readonly #left = new Deferred<void>()
  #drained: Deferred<void> | null = null
  #grace: { readonly timer: NodeJS.Timeout; readonly endsAt: number } | null = null
  #closing: Promise<void> | null = null

  /** @throws LiminalError `PAYLOAD_TOO_LARGE` for a registration that no frame carries. */
  constructor(core: ClientCore, settings: WorkerSettings, call: WorkCall) {
    this.#core = core
    this.#settings = settings
    this.#call = call
    this.registration = settings.registration
    const { identity, taskQueue } = settings.registration
    this.#what = `The worker '${identity}' of '${taskQueue}'`
    checkRegistration(core, settings.registration)
  }

  get identity(): string {
    return this.registration.identity
  }

  get taskQueue(): string {
    return this.registration.taskQueue
  }

  /** Whether it takes work: false once it was closed, refused or replaced. */
  get working(): boolean {
    return this.#working
  }

  /** Settles with the registration on the present connection, or on the next one. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Begins to work: now, and on every connection to come. */
  register(): void {
    this.#core.restorables.add(this)
    const { connection } = this.#core
    if (connection !== null) void this.attach(connection)
  }

  attach(connection: Connection): Promise<boolean> {
    const attached = new Deferred<boolean>()
    this.#attached = attached
    this.#connection = connection
    const { requestTimeoutMs } = this.#core.settings
    this.#timer = setTimeout(() => this.#unanswered(requestTimeoutMs), requestTimeoutMs)
    this.#timer.unref()
    connection.pushes?.registrations.register(this)
    return attached.promise
  }

  /** The server took it. */
  accepted(connection: Connection): void {
    this.#answered(true)
    if (!this.#working) return
    if (connection.granted(Capability.WORK)) {
      const head = withHead({ capacity: this.#settings.capacity }, NOTHING)
      writePushReply(connection, OWN_WORD, HAS_HEAD, head)
      // Until it has read that, the server takes the capacity to be 1, and refuses what is asked beyond.
      if (this.#settings.capacity > 1) {
        const ready = this.#ready
        connection.ping(() => ready.resolve())
        return
      }
    }
    this.#ready.resolve()
  }

  /** The server does not want it. Final: what it was refused for is in its registration. */
  refused(reason: string): void {
    this.#answered(false)
    if (!this.#working) return
    const { identity, taskQueue } = this.registration
    const error = new LiminalError('REMOTE_ERROR', `${this.#what} was refused by the server: ${reason}`)
    this.#fail(error)
    this.#core.status.tell({ type: 'worker-refused', identity, taskQueue, error })
  }

  /** Another one of the same connection has its place. What is underway is finished. */
  replaced(by: WorkerLink): void {
    if (!this.#working) return
    const { identity, taskQueue } = this.registration
    const why = `was replaced by the worker '${by.identity}' of '${by.taskQueue}': a connection has one registration`
    this.#fail(new LiminalError('CLOSED', `${this.#what} ${why}. Give each worker a bus of its own.`))
    const replacement = { identity: by.identity, taskQueue: by.taskQueue }
    this.#core.status.tell({ type: 'worker-replaced', identity, taskQueue, by: replacement })
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.#answered(false)
    if (!this.#working || error.code === 'CLOSED') return
    this.#renewReady()
  }

  /** No server holds its registration any more. */
  left(): void {
    if (!this.#working) this.#left.resolve()
  }

  /** The bus is closed. */
  end(error: LiminalError): void {
    this.#over()
    this.#ready.reject(error)
    this.#left.resolve()
    if (error.code === 'CLOSED') this.closed.resolve()
    else this.closed.reject(error)
  }

  take(push: InboundPush, payload: Uint8Array): void {
    this.#underway.add(push)
    const { payload: kind } = this.#settings
    let work: unknown
    try {
      // A handler may keep what it was given.
      work = kind === 'bytes' ? ownBytes(payload) : decodePayload(payload, kind)
    } catch (thrown) {
      const cause = toLiminalError(thrown)
      push.fail(new LiminalError('PAYLOAD_INVALID', `${this.#what} takes JSON. ${cause.message}`, { cause }))
      return
    }
    const context = new PushedWorkContext(push, this.taskQueue)
    settlePush(push, this.#what, kind, () => this.#call(work, context))
  }

  settled(push: InboundPush): void {
    this.#underway.delete(push)
    if (this.#underway.size === 0) this.#drained?.resolve()
  }

  /** Takes no more work, and resolves when nothing is underway and no server counts on it. A later call can only shorten the grace. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close()
    this.#within(graceMs)
    return this.#closing
  }

  async #close(): Promise<void> {
    const drained = new Deferred<void>()
    this.#drained = drained
    if (this.#underway.size === 0) drained.resolve()
    if (this.#working) {
      this.#over()
      this.#core.restorables.delete(this)
      this.#ready.reject(new LiminalError('CLOSED', `${this.#what} was closed.`))
      const registrations = this.#connection?.pushes?.registrations
      if (registrations === undefined) this.#left.resolve()
      else registrations.withdraw(this)
    } else this.#left.resolve()
    await drained.promise
    if (this.#grace !== null) clearTimeout(this.#grace.timer)
    const { requestTimeoutMs } = this.#core.settings
    const what = `Taking back the registration of ${this.#what}`
    // A server that does not answer in time changes nothing: what it still pushes is handed back.
    await waitFor(this.#left.promise, { timeoutMs: requestTimeoutMs, what }).catch(() => {})
    this.closed.resolve()
  }

  /** What is not done in time is handed back. */
  #within(graceMs: number): void {
    if (this.#underway.size === 0) return
    const endsAt = performance.now() + graceMs
    if (this.#grace !== null) {
      if (this.#grace.endsAt <= endsAt) return
      clearTimeout(this.#grace.timer)
    }
    if (graceMs === 0) {
      this.#handBack()
      return
    }
    const timer = setTimeout(() => this.#handBack(), graceMs)
    // The socket keeps the process alive, not the grace of what works for it.
    timer.unref()
    this.#grace = { timer, endsAt }
  }

  #handBack(): void {
    for (const push of [...this.#underway]) push.handBack(`${this.#what} is closing.`)
  }

  #fail(error: LiminalError): void {
    this.#over()
    this.#core.restorables.delete(this)
    this.#ready.reject(error)
    this.closed.reject(error)
  }

  #over(): void {
    this.#working = false
    this.#answered(false)
    this.onOver?.()
    this.onOver = null
  }

  /** The server says nothing to the registration. It may still do so. */
  #unanswered(milliseconds: number): void {
    const error = timeoutError(milliseconds, `Registering ${this.#what}`)
    this.#answered(false)
    this.#ready.reject(error)
    this.#ready = new Deferred()
    const { identity, taskQueue } = this.registration
    this.#core.status.tell({ type: 'worker-unanswered', identity, taskQueue, error })
  }

  #answered(well: boolean): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#attached?.resolve(well)
    this.#attached = null
  }

  /** A wait for the old registration goes on as a wait for the next one. */
  #renewReady(): void {
    const before = this.#ready
    this.#ready = new Deferred()
    this.#ready.promise.then(
      () => before.resolve(),
      (reason: Error) => before.reject(reason),
    )
  }
}

function checkRegistration(core: ClientCore, registration: WorkerRegistration): void {
  const { codec, frameBytes } = core.settings
  const bytes = codec.encodedLength({ type: 'WorkerRegister', flags: 0, streamId: 0, registration })
  if (bytes <= frameBytes) return
  const text = `The registration needs a frame of ${bytes} bytes, more than the ${frameBytes} of the option frameBytes.`
  throw new LiminalError('PAYLOAD_TOO_LARGE', `${text} Shorten its schemas, or raise the limit on both sides.`)
}
