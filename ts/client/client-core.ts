import { CoarseClock } from '../coarse-clock.ts'
import { ConversationFrames } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import type { WaitLimits } from '../waiting.ts'
import { Backlog, type Call } from './backlog.ts'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { hasLeft, takeLeave } from './farewell.ts'
import { InboundConversations } from './inbound-conversations.ts'
import { InboundPushes } from './inbound-pushes.ts'
import type { Settings } from './options.ts'
import { closedError, endedError } from './peer-error.ts'
import { PublishLane } from './publish-lane.ts'
import type { PublishRequest } from './publish-request.ts'
import { PushHandlers } from './push-handlers.ts'
import { Reconnection } from './reconnection.ts'
import { ResponderTable } from './responder-table.ts'
import type { Restorable } from './restorable.ts'
import { RoomLine } from './room-line.ts'
import { StatusFeed } from './status.ts'

/** Milliseconds that a request waits for its reply unless told otherwise. */
export const DEFAULT_REPLY_TIMEOUT_MS = 5_000
/** Calls that may wait for room or for a connection. */
const MAX_WAITING_CALLS = 65_536
/** Bytes that may wait so, and bytes kept for another attempt: this many outboxes. */
const WAITING_OUTBOXES = 8
/** How long `close` waits for the server to take what was written. */
const FAREWELL_MS = 1_000
/** Of these, how long it waits for the answers to publishes, and for what the server still sends to be handed back: what is left is for the goodbye. */
const LAST_ANSWERS_MS = 750

/** Publishes of one channel with a deadline on the coarse clock. */
export interface Expiring {
  /** Gives up what is due. Returns whether anything is still underway. */
  expire(tick: number): boolean
}

/** What the parts of a remote bus share: the connection while there is one, what waits for it, and the way back to the next one. */
export class ClientCore {
  readonly settings: Settings
  readonly status = new StatusFeed()
  readonly responders = new ResponderTable()
  readonly pushHandlers = new PushHandlers()
  readonly frames: ConversationFrames
  readonly restorables = new Set<Restorable>()
  readonly lanes = new Set<Expiring>()
  readonly maxRetainedBytes: number

  #connection: Connection | null = null
  readonly #backlog: Backlog
  readonly #clock: CoarseClock
  readonly #closing = new AbortController()
  #reconnection: Reconnection<Connection> | null = null
  #retries: PublishRequest[] = []
  /** `send` was refused and has not been told of room yet. */
  #crowded = false
  readonly #roomLine = new RoomLine()
  #awaitingRoomOn: Connection | null = null
  #pumping = false
  #closed: LiminalError | null = null
  #closeDone: Promise<void> | null = null
  /** `close` waits for the last answers. */
  #lastAnswers: { readonly connection: Connection; readonly done: () => void } | null = null

  constructor(settings: Settings) {
    this.settings = settings
    this.frames = new ConversationFrames(settings.codec)
    this.maxRetainedBytes = settings.outboxBytes * WAITING_OUTBOXES
    this.#backlog = new Backlog(MAX_WAITING_CALLS, this.maxRetainedBytes)
    const spanMs = Math.min(settings.requestTimeoutMs, DEFAULT_REPLY_TIMEOUT_MS)
    this.#clock = new CoarseClock(spanMs, (tick) => this.#expire(tick))
  }

  /** The connection, while it can be written to. */
  get connection(): Connection | null {
    return this.#connection
  }

  /** Calls that wait for room or for a connection. */
  get waitingCalls(): number {
    return this.#backlog.size
  }

  /** @throws LiminalError `CLOSED`. `what` is the subject of its sentence. */
  assertOpen(what: string): void {
    if (this.#closed !== null) throw closedError(what, this.#closed)
  }

  /** Aborted when the bus ends. */
  get ending(): AbortSignal {
    return this.#closing.signal
  }

  /** Whether the bus is closed, or being closed. */
  get closed(): boolean {
    return this.#closed !== null
  }

  /** The tick at which a publish without a timeout of its own gives up. */
  deadline(): number {
    return this.#clock.deadline(this.settings.requestTimeoutMs)
  }

  /** The same for a request. */
  replyDeadline(): number {
    return this.#clock.deadline(DEFAULT_REPLY_TIMEOUT_MS)
  }

  /** Starts to use a connection. */
  adopt(connection: Connection): void {
    const { reconnect } = this.settings
    if (reconnect !== null) {
      this.#reconnection ??= new Reconnection(reconnect, {
        dial: (signal) => dial(connection.address, this.settings, signal),
        waiting: (attempt, delayMs) => this.status.enter({ type: 'reconnecting', attempt, delayMs }),
      })
      this.#reconnection.connected()
    }
    const again = this.status.state.type !== 'connecting'
    const { address, capabilities } = connection
    this.status.enter({ type: 'connected', address, capabilities })
    if (connection.error !== null) {
      this.#lost(connection.error)
      return
    }
    connection.inbound = new InboundConversations(this, connection)
    connection.onLost = (error) => this.#lost(error)
    connection.window.onRoom = () => this.acknowledged()
    this.#connection = connection
    connection.takePushes(new InboundPushes(this, connection))
    const restored = [...this.restorables].map(async (part) => ((await part.attach(connection)) ? part : null))
    if (again) void this.#announce(connection, restored)
    this.#pump()
  }

  /** Whether `bytes` may be written to a connection now, past nobody who waits. */
  hasRoom(connection: Connection, bytes: number): boolean {
    if (connection !== this.#connection || this.#backlog.size > 0) return false
    const { outbox } = connection
    return outbox.fits(bytes) || outbox.waitingBytes === 0
  }

  /**
   * Writes a call where there is a connection with room and nobody waits before it; parks it otherwise.
   *
   * @throws LiminalError `CLOSED`; `OUTBOX_FULL` if too much waits already.
   */
  submit(call: Call): void {
    const connection = this.#connection
    if (connection !== null && this.#backlog.size === 0 && admits(connection, call)) {
      call.write(connection)
      return
    }
    this.assertOpen(call.what)
    if (!this.#backlog.fits(call)) {
      throw new LiminalError(
        'OUTBOX_FULL',
        `${call.what} was not sent: ${this.#backlog.size} calls with ${this.#backlog.bytes} bytes wait already. ` +
          'Await the calls made before making more.',
      )
    }
    call.park()
    this.#backlog.push(call)
    if (connection !== null) this.#awaitRoom(connection, call)
  }

  /**
   * The connection, if `bytes` can be written to it now.
   *
   * @throws LiminalError `CLOSED`, `OUTBOX_FULL`; see {@link whenRoom}.
   */
  claimRoom(bytes: number, what: string): Connection {
    const connection = this.#connection
    if (connection !== null && this.#backlog.size === 0) {
      const { outbox, window } = connection
      if ((outbox.fits(bytes) || outbox.waitingBytes === 0) && window.fits(bytes)) return connection
    }
    this.assertOpen(what)
    this.#crowded = true
    const why = connection === null ? 'there is no connection at the moment' : 'too many bytes are underway'
    throw new LiminalError('OUTBOX_FULL', `${what} was not sent: ${why}. Await ready() before the next one.`)
  }

  /** Resolves once {@link claimRoom} is worth another try. @throws LiminalError `CLOSED`, `TIMEOUT`, `ABORTED`. */
  whenRoom(what: string, limits: WaitLimits): Promise<void> {
    this.assertOpen(what)
    const connection = this.#connection
    if (connection !== null && !this.#crowded && this.#backlog.size === 0) return Promise.resolve()
    if (connection !== null) this.#awaitRoom(connection, null)
    return this.#roomLine.wait(what, limits)
  }

  /** Answers came: what waited for them may go on. */
  acknowledged(): void {
    if (this.#lastAnswers?.connection.unacknowledged === 0) this.#lastAnswers.done()
    if (this.#backlog.size > 0 || this.#crowded) this.#pump()
  }

  /** A keyed publish lost its connection; it is written again on the next one. */
  retry(request: PublishRequest): void {
    if (this.#closed === null) this.#retries.push(request)
    else request.end(this.#closed)
  }

  /** Ends everything. Always resolves, within little more than a second. */
  close(): Promise<void> {
    this.#closeDone ??= this.#close()
    return this.#closeDone
  }

  async #close(): Promise<void> {
    if (this.#closed !== null) return
    const connection = this.#connection
    const error = new LiminalError('CLOSED', 'The bus was closed.')
    if (connection === null) this.#end(error)
    else {
      const started = performance.now()
      this.#settleDebts(connection)
      const left = takeLeave(connection, this.restorables, error)
      this.#end(error)
      connection.streams.lose(error, (owner) => owner instanceof PublishLane)
      const [isClean] = await Promise.all([
        hasLeft(left, connection, LAST_ANSWERS_MS),
        this.#awaitLastAnswers(connection),
      ])
      connection.streams.lose(error)
      await connection.finish(FAREWELL_MS - (performance.now() - started), isClean)
    }
    this.status.enter({ type: 'closed', error: null })
  }

  /** Settles when no publish is without its answer, when none can come any more, or when it has taken too long. */
  #awaitLastAnswers(connection: Connection): Promise<void> {
    connection.onLost = null
    if (connection.unacknowledged === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        connection.onLost = null
        this.#lastAnswers = null
        resolve()
      }
      const timer = setTimeout(done, LAST_ANSWERS_MS)
      connection.onLost = done
      this.#lastAnswers = { connection, done }
    })
  }

  /** Writes what waits and is owed to the server. The backlog's cap bounds it. */
  #settleDebts(connection: Connection): void {
    for (const call of this.#backlog.list()) {
      if (!call.owed(connection)) continue
      call.unpark()
      writeWaiting(connection, call)
    }
  }

  /** Nothing works from now on; everybody who waits is told. */
  #end(error: LiminalError): void {
    this.#closed = error
    this.#connection = null
    this.#closing.abort(error)
    this.#clock.stop()
    for (const call of [...this.#retries, ...this.#backlog.list()]) {
      call.unpark()
      call.end(endedError(call.what, error))
    }
    this.#retries = []
    for (const part of [...this.restorables]) part.end(error)
    this.restorables.clear()
    this.pushHandlers.clear()
    this.lanes.clear()
    this.#roomLine.end(endedError('Waiting for room', error))
  }

  #lost(error: LiminalError): void {
    this.#connection = null
    this.status.enter({ type: 'disconnected', error })
    for (const call of this.#backlog.list()) if (!call.survives(error)) call.unpark()
    const retries = this.#retries.sort((one, other) => one.order - other.order)
    this.#retries = []
    this.#backlog.putBack(retries)
    if (this.#reconnection === null) this.#give(error)
    else void this.#return(this.#reconnection)
  }

  async #return(reconnection: Reconnection<Connection>): Promise<void> {
    let connection: Connection
    try {
      connection = await reconnection.run(this.#closing.signal)
    } catch (thrown) {
      if (this.#closed === null) this.#give(toLiminalError(thrown))
      return
    }
    if (this.#closed === null) this.adopt(connection)
    else await connection.finish(FAREWELL_MS)
  }

  /** There will be no further connection. */
  #give(error: LiminalError): void {
    this.#end(error)
    this.status.enter({ type: 'closed', error })
  }

  async #announce(connection: Connection, restored: readonly Promise<Restorable | null>[]): Promise<void> {
    const parts = await Promise.all(restored)
    const channelsOf = (resumed: boolean): string[] =>
      parts.flatMap((part) => (part !== null && (part.resumed ?? false) === resumed ? (part.channel ?? []) : []))
    if (this.#connection !== connection) return
    const channels = channelsOf(false)
    if (channels.length > 0) this.status.tell({ type: 'resubscribed', channels })
    const resumed = channelsOf(true)
    if (resumed.length > 0) this.status.tell({ type: 'resumed', channels: resumed })
  }

  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      for (let call = this.#backlog.first; call !== null; call = this.#backlog.first) {
        const connection = this.#connection
        if (connection === null) return
        if (!admits(connection, call)) {
          this.#awaitRoom(connection, call)
          return
        }
        this.#backlog.remove(call)
        writeWaiting(connection, call)
      }
    } finally {
      this.#pumping = false
    }
    this.#roomAppeared()
  }

  #roomAppeared(): void {
    const connection = this.#connection
    if (connection === null || this.#awaitingRoomOn !== null || connection.window.full) return
    this.#crowded = false
    this.#roomLine.open()
  }

  /** Pumps again when the outbox has drained far enough. A call that only waits for acknowledgements is pumped when those come. */
  #awaitRoom(connection: Connection, call: Call | null): void {
    if (call !== null && !call.admitted(connection)) return
    if (this.#awaitingRoomOn === connection) return
    this.#awaitingRoomOn = connection
    const { outbox } = connection
    void (outbox.congestion.hold() ?? outbox.drained()).then(() => {
      if (this.#awaitingRoomOn === connection) this.#awaitingRoomOn = null
      if (this.#connection === connection) this.#pump()
    })
  }

  #expire(tick: number): boolean {
    let waiting = this.#backlog.size > 0
    for (const call of this.#backlog.list()) call.expire(tick)
    for (const lane of this.lanes) waiting = lane.expire(tick) || waiting
    return this.#connection?.streams.expire(tick) || waiting
  }
}

function admits(connection: Connection, call: Call): boolean {
  const { outbox } = connection
  return call.admitted(connection) && (outbox.fits(call.bytes) || outbox.waitingBytes === 0)
}

/** Writes a call whose caller is gone: what prevents it is said to the one who waits, and not to whoever made the room. */
function writeWaiting(connection: Connection, call: Call): void {
  try {
    call.write(connection)
  } catch (thrown) {
    call.end(toLiminalError(thrown))
  }
}
