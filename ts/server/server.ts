import type { Socket } from 'node:net'
import { checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { BUS_OPTIONS, type Bus, type BusCore, type BusOptions, coreOf, createBus, type LocalBus } from '../bus/index.ts'
import { LiminalError } from '../errors.ts'
import { checkWait, MAX_TIMEOUT_MS, type WaitLimits } from '../waiting.ts'
import { Listener } from './listener.ts'
import { integer, type ResolvedOptions, resolveOptions, SERVER_OPTIONS, type ServerOptions } from './options.ts'
import type { PushAwaiter } from './push-awaiter.ts'
import type { Correlations } from './pushes.ts'
import { Refused } from './refused.ts'
import { Session } from './session.ts'
import type { SessionInfo } from './session-info.ts'
import type { WorkerInfo } from './worker-options.ts'

export interface ServerAddress {
  /** The address listened on, numeric. */
  readonly host: string
  readonly port: number
}

export interface CloseOptions {
  /** Milliseconds for requests underway and unsent bytes. Default 5,000. What is left then is cut off. */
  graceMs?: number
}

/** A bus on the network. */
export interface Server extends AsyncDisposable {
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
   * everybody and closes; what has not finished within the grace is cut off. Always settles. Idempotent: the first call's grace holds. The bus stays open.
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
  #lastId = 0
  readonly #correlations = new CorrelationCounter()
  #closing: Promise<void> | null = null
  #allClosed: (() => void) | null = null

  static async open(core: BusCore, options: ResolvedOptions): Promise<ListeningServer> {
    if (core.closed) throw new LiminalError('CLOSED', 'The bus is closed and cannot be served.')
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
    this.#unregister = core.onClose(() => this.close())
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

  async close(options: CloseOptions = {}): Promise<void> {
    const graceMs = integer('graceMs', options.graceMs ?? 5_000, 0, MAX_TIMEOUT_MS)
    this.#closing ??= this.#close(graceMs)
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
    const stopped = this.#listener.close()
    for (const session of this.#sessions) session.drain(shuttingDown())
    if (this.#sessions.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          for (const session of this.#sessions) session.destroy()
        }, graceMs)
        // The sockets keep the process alive for as long as there is something to wait for.
        timer.unref()
        this.#allClosed = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#refused.close()
    await stopped
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

  get workers(): readonly WorkerInfo[] {
    return this.#server.workers
  }

  push(sessionId: number, payload: Uint8Array, options?: WaitLimits): PushAwaiter {
    return this.#server.push(sessionId, payload, options)
  }

  async close(options: CloseOptions = {}): Promise<void> {
    await this.#server.close(options)
    await this.bus.close()
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
