import type { Socket } from 'node:net'
import { checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { BUS_OPTIONS, type Bus, type BusCore, type BusOptions, coreOf, createBus, type LocalBus } from '../bus/index.ts'
import { LiminalError } from '../errors.ts'
import { checkWait, MAX_TIMEOUT_MS, type WaitLimits } from '../waiting.ts'
import { serveAdministration } from './administration.ts'
import { sayServerState } from './diagnostics.ts'
import { Listener } from './listener.ts'
import { integer, type ResolvedOptions, resolveOptions, SERVER_OPTIONS, type ServerOptions } from './options.ts'
import type { PushAwaiter } from './push-awaiter.ts'
import type { Correlations } from './pushes.ts'
import { Refused } from './refused.ts'
import { Session } from './session.ts'
import type { SessionInfo } from './session-info.ts'
import type { WorkerInfo } from './worker-options.ts'

/** Milliseconds that a close waits for what is underway, unless told otherwise. */
const DEFAULT_GRACE_MS = 5_000
/** Milliseconds for the last bytes of connections that are cut off. */
const LAST_BYTES_MS = 400

export interface ServerAddress {
  /** The address listened on, numeric. */
  readonly host: string
  readonly port: number
}

export interface CloseOptions {
  /** Milliseconds for requests underway and unsent bytes. Default 5,000. What is left then is cut off. */
  graceMs?: number | undefined
}

/**
 * Where a server stands. `listening`: takes connections. `draining`: takes nothing new, and lets what is underway finish. `aborting`: the grace is over; what is left is
 * aborted, and connections get a moment for their last bytes. `closed`.
 */
export type ServerState = 'listening' | 'draining' | 'aborting' | 'closed'

/** A bus on the network. */
export interface Server extends AsyncDisposable {
  readonly state: ServerState
  /** Whether it takes connections and work: what a readiness probe should say. */
  readonly ready: boolean
  readonly address: ServerAddress
  /** What `connect` takes: `liminal://host:port`. */
  readonly url: string
  /** The connections of this moment. */
  readonly sessions: readonly SessionInfo[]
  /** The workers registered at this moment. */
  readonly workers: readonly WorkerInfo[]
  /**
   * Pushes bytes to a connection and waits for its answer. Clients take them with `RemoteBus.onPush`.
   *
   * @param sessionId see {@link SessionInfo.id}.
   * @param options Default: no limit. When they end the push the peer is told, and what it answers later is dropped.
   * @throws LiminalError `CONNECTION_LOST` if there is no such connection, `LIMIT_EXCEEDED`, `OUTBOX_FULL`, `SHUTTING_DOWN`, `ABORTED`, `INVALID_ARGUMENT`: nothing was sent.
   */
  push(sessionId: number, payload: Uint8Array, options?: WaitLimits): PushAwaiter
  /**
   * Stops: accepts no connection, refuses new work with `SHUTTING_DOWN`, lets requests underway finish, sends what waits, says Disconnect to
   * everybody and closes. What has not finished within the grace is aborted, its handlers by their signals, and cut off. Always settles, within the grace and half a second.
   * Idempotent: the first call's grace holds, unless a later one is shorter. A bus of its own takes nothing new meanwhile, and is closed then; that of `serve` stays open.
   */
  close(options?: CloseOptions): Promise<void>
}

/** A server with a bus of its own, which it closes with itself. */
export interface BusServer extends Server {
  readonly bus: LocalBus
}

/**
 * Puts a bus on the network. Closing the bus closes the server first.
 *
 * ```ts
 * await using server = await serve(bus, { port: 0 })
 * console.log(server.url)
 * ```
 *
 * @throws LiminalError `LISTEN_FAILED` with the address; `INVALID_ARGUMENT` for an option or a bus that is not of `createBus`; `CLOSED`.
 */
export async function serve(bus: Bus, options: ServerOptions = {}): Promise<Server> {
  checkOptions('options', options)
  checkKnownOptions('options', options, SERVER_OPTIONS)
  const core = coreOf(bus)
  if (core === null) {
    const text = 'Only a bus of createBus, of this copy of the package, can be served; a remote bus is served already.'
    throw new LiminalError('INVALID_ARGUMENT', text)
  }
  return ListeningServer.open(core, resolveOptions(options))
}

/** Creates a bus and puts it on the network. The options are those of `createBus` and of {@link serve}. @throws LiminalError like both. */
export async function createServer(options: BusOptions & ServerOptions = {}): Promise<BusServer> {
  checkOptions('options', options)
  checkKnownOptions('options', options, [...BUS_OPTIONS, ...SERVER_OPTIONS])
  const resolved = resolveOptions(options)
  const isForBus = ([name]: [string, unknown]): boolean => BUS_OPTIONS.includes(name)
  const bus = await createBus(Object.fromEntries(Object.entries(options).filter(isForBus)))
  try {
    const core = coreOf(bus)
    if (core === null) throw new LiminalError('INTERNAL', 'The bus just created is not a bus of createBus.')
    return new OwningServer(await ListeningServer.open(core, resolved), bus)
  } catch (error) {
    await bus.close()
    throw error
  }
}

class ListeningServer implements Server {
  readonly address: ServerAddress
  readonly #core: BusCore
  readonly #options: ResolvedOptions
  readonly #listener: Listener
  readonly #sessions = new Set<Session>()
  readonly #refused = new Refused()
  readonly #unregister: () => void
  readonly #withdraw: () => void
  #lastId = 0
  readonly #correlations = new CorrelationCounter()
  #state: ServerState = 'listening'
  #closing: Promise<void> | null = null
  #allClosed: (() => void) | null = null
  #grace: NodeJS.Timeout | null = null
  #graceEndsAt = Number.POSITIVE_INFINITY

  static async open(core: BusCore, options: ResolvedOptions): Promise<ListeningServer> {
    if (core.state === 'draining') {
      throw new LiminalError('SHUTTING_DOWN', 'The bus is shutting down and cannot be served any more.')
    }
    if (core.state !== 'open') throw new LiminalError('CLOSED', 'The bus is closed and cannot be served.')
    // Connections come in a later turn than the one that the promise settles in, so the server is there for all of them.
    const accepted: { by: ListeningServer | null } = { by: null }
    const listener = await Listener.open(options.host, options.port, (socket) => accepted.by?.accept(socket))
    const server = new ListeningServer(core, options, listener)
    accepted.by = server
    return server
  }

  private constructor(core: BusCore, options: ResolvedOptions, listener: Listener) {
    this.#core = core
    this.#options = options
    this.#listener = listener
    const { address, port } = listener.address
    this.address = { host: address, port }
    this.#unregister = core.onClose((graceMs) => this.close({ graceMs }))
    this.#withdraw = options.administration ? serveAdministration(core) : () => {}
  }

  get url(): string {
    const { host, port } = this.address
    return `liminal://${host.includes(':') ? `[${host}]` : host}:${port}`
  }

  get sessions(): readonly SessionInfo[] {
    return Array.from(this.#sessions, (session) => session.info)
  }

  get workers(): readonly WorkerInfo[] {
    return Array.from(this.#sessions, ({ worker }) => worker).filter((worker) => worker !== null)
  }

  push(sessionId: number, payload: Uint8Array, options: WaitLimits = {}): PushAwaiter {
    integer('sessionId', sessionId, 1, Number.MAX_SAFE_INTEGER)
    if (!(payload instanceof Uint8Array)) throw invalidArgument('payload', 'a Uint8Array', payload)
    checkOptions('options', options)
    checkKnownOptions('options', options, ['timeoutMs', 'signal'])
    checkWait(options)
    for (const session of this.#sessions) if (session.id === sessionId) return session.push(payload, options)
    throw new LiminalError('CONNECTION_LOST', `There is no connection ${sessionId} any more; nothing was pushed.`)
  }

  get state(): ServerState {
    return this.#state
  }

  get ready(): boolean {
    return this.#state === 'listening'
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const graceMs = integer('graceMs', options.graceMs ?? DEFAULT_GRACE_MS, 0, MAX_TIMEOUT_MS)
    if (this.#closing === null) this.#closing = this.#close(graceMs)
    // Who waits longer does not make the first one wait.
    else if (options.graceMs !== undefined && this.#state === 'draining') this.#limit(graceMs)
    await this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  accept(socket: Socket): void {
    const most = this.#options.limits.connections
    if (this.#closing !== null) {
      this.#refused.refuse(socket, this.#options.codec, shuttingDown())
    } else if (this.#sessions.size >= most) {
      const text = `This server has ${most} connections, as many as it takes; try again later.`
      this.#refused.refuse(socket, this.#options.codec, new LiminalError('LIMIT_EXCEEDED', text))
    } else {
      this.#lastId++
      this.#sessions.add(
        new Session(socket, {
          id: this.#lastId,
          bus: this.#core,
          options: this.#options,
          correlations: this.#correlations,
          onClosed: (session) => this.#forget(session),
        }),
      )
    }
  }

  #forget(session: Session): void {
    this.#sessions.delete(session)
    if (this.#sessions.size === 0) this.#allClosed?.()
  }

  async #close(graceMs: number): Promise<void> {
    this.#unregister()
    this.#withdraw()
    this.#enter('draining')
    const stopped = this.#listener.close()
    for (const session of this.#sessions) session.drain(shuttingDown())
    if (this.#sessions.size > 0) {
      await new Promise<void>((resolve) => {
        this.#allClosed = resolve
        this.#limit(graceMs)
      })
      this.#stopGrace()
    }
    this.#refused.close()
    await stopped
    this.#enter('closed')
  }

  /** The grace ends so many milliseconds from now, unless it ends before. */
  #limit(graceMs: number): void {
    const endsAt = performance.now() + graceMs
    if (endsAt >= this.#graceEndsAt) return
    this.#graceEndsAt = endsAt
    this.#stopGrace()
    // The sockets keep the process alive for as long as there is something to wait for.
    this.#grace = setTimeout(() => this.#abort(), graceMs).unref()
  }

  #abort(): void {
    this.#enter('aborting')
    for (const session of [...this.#sessions]) session.abort(shuttingDown())
    this.#grace = setTimeout(() => {
      for (const session of [...this.#sessions]) session.destroy()
    }, LAST_BYTES_MS).unref()
  }

  #stopGrace(): void {
    if (this.#grace !== null) clearTimeout(this.#grace)
    this.#grace = null
  }

  #enter(state: ServerState): void {
    this.#state = state
    const { url } = this
    sayServerState({ url, state })
  }
}

/** From 1: 0 is no correlation id. */
class CorrelationCounter implements Correlations {
  #last = 0

  next(): number {
    this.#last++
    return this.#last
  }
}

class OwningServer implements BusServer {
  readonly bus: LocalBus
  readonly #server: Server
  #isClosing = false

  constructor(server: Server, bus: LocalBus) {
    this.#server = server
    this.bus = bus
  }

  get address(): ServerAddress {
    return this.#server.address
  }

  get url(): string {
    return this.#server.url
  }

  get sessions(): readonly SessionInfo[] {
    return this.#server.sessions
  }

  get state(): ServerState {
    return this.#server.state
  }

  get ready(): boolean {
    return this.#server.ready
  }

  get workers(): readonly WorkerInfo[] {
    return this.#server.workers
  }

  push(sessionId: number, payload: Uint8Array, options?: WaitLimits): PushAwaiter {
    return this.#server.push(sessionId, payload, options)
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const graceMs = options.graceMs ?? (this.#isClosing ? undefined : DEFAULT_GRACE_MS)
    if (graceMs !== undefined) integer('graceMs', graceMs, 0, MAX_TIMEOUT_MS)
    this.#isClosing = true
    // The bus closes its server first, and takes nothing new from the beginning; what was begun in this process has what is left of the grace.
    await this.bus.close(graceMs === undefined ? {} : { graceMs })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function shuttingDown(): LiminalError {
  return new LiminalError(
    'SHUTTING_DOWN',
    'The server is shutting down and takes no new work; connect to it again later.',
  )
}
