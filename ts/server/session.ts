import type { Socket } from 'node:net'
import type { BusCore } from '../bus/index.ts'
import type { FrameBatch, FrameDecoder } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { type ExitReason, exitKilled, exitNoConnection, exitNormal, type PassiveProcess } from '../process/index.ts'
import type { Accept, Connect, Defer, Frame, Reject } from '../protocol/index.ts'
import { Capability, CONFIRM, Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { WaitLimits } from '../waiting.ts'
import type { SessionContext } from './context.ts'
import { saySessionClosed, saySessionFailed, saySessionOpened } from './diagnostics.ts'
import { checkBeforeConnect, connect, connectedAlready, DISCONNECT, PING, PONG } from './handlers/connection.ts'
import { Exchange } from './handlers/exchange.ts'
import { Publishing } from './handlers/publish.ts'
import { Subscriptions } from './handlers/subscription.ts'
import { Intake } from './intake.ts'
import { Keepalive, patienceOf } from './keepalive.ts'
import type { ResolvedOptions } from './options.ts'
import { Output } from './output.ts'
import { Probe } from './probe.ts'
import type { PushAwaiter } from './push-awaiter.ts'
import { type Correlations, connectionLost } from './pushes.ts'
import { type Refusal, refusalOf } from './refusals.ts'
import {
  ENDED,
  frameTooLarge,
  handshakeTimeout,
  MOST_HANDSHAKE_BYTES,
  silence,
  unreadHandshake,
} from './session-errors.ts'
import type { SessionInfo, SessionPhase } from './session-info.ts'
import { Work } from './work.ts'
import type { WorkerInfo } from './worker-options.ts'

/** Milliseconds for the last frames to reach a peer: one that broke the protocol, and one that ended in order. */
const FAILED_LINGER_MS = 250
const ORDERLY_LINGER_MS = 5_000
/** For how long a drain waits for a subscriber that accepts nothing, in milliseconds. */
const CREDIT_PATIENCE_MS = 250

export interface SessionOptions {
  readonly id: number
  readonly bus: BusCore
  readonly options: ResolvedOptions
  readonly correlations: Correlations
  /** The socket is closed and nothing is held any more. */
  readonly onClosed: (session: Session) => void
}

/** One connection's protocol state: what its peer may do now, and what it holds. */
export class Session implements SessionContext {
  readonly id: number
  readonly bus: BusCore
  readonly options: ResolvedOptions
  readonly output: Output
  readonly remoteAddress: string
  readonly publisher: Uint8Array
  /** The session as a process: who kills it ends the connection. */
  readonly process: PassiveProcess
  readonly #socket: Socket
  readonly #onClosed: (session: Session) => void
  readonly #intake: Intake
  readonly #keepalive: Keepalive
  readonly #probe = new Probe(() => this.#ping())
  readonly #publishing = new Publishing(this)
  readonly #subscriptions: Subscriptions
  /** Made with the first frame of a conversation: most connections never have one. */
  #exchange: Exchange | null = null
  /** Made with the first push or registration. */
  #work: Work | null = null
  readonly #correlations: Correlations
  #phase: SessionPhase = 'handshake'
  #capabilities = 0
  #refusing: LiminalError | null = null
  /** Sent last by a drain. */
  #farewell: Frame | null = null
  #checking = false
  #error: Error | null = null
  /** The handshake deadline, the patience of a drain, or the linger of an end: one at a time. */
  #timer: NodeJS.Timeout | null = null

  constructor(socket: Socket, { id, bus, options, correlations, onClosed }: SessionOptions) {
    this.id = id
    this.#correlations = correlations
    this.bus = bus
    this.options = options
    this.process = bus.conversations.processes.spawnPassive({
      name: 'session',
      about: () => `connection ${id} from ${this.remoteAddress}`,
      onExit: (exit) => this.#killed(exit.reason),
    })
    this.#subscriptions = new Subscriptions(this)
    this.remoteAddress = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    this.publisher = Buffer.from(this.remoteAddress)
    this.#socket = socket
    this.#onClosed = onClosed
    this.output = new Output(socket, {
      codec: options.codec,
      frames: options.frames,
      capacityBytes: options.limits.outboxBytes,
      frameBytes: options.limits.frameBytes,
      answerBytes: options.limits.pendingRequestBytesPerConnection,
      patienceMs: patienceOf(options.keepaliveMs),
      onOverflow: (error) => this.#fail(error),
      onAnswered: () => this.settled(),
    })
    const { codec, limits } = options
    const { names } = bus.channels
    const decoder = new codec.FrameDecoder({ maxFrameBytes: limits.frameBytes, names })
    this.#intake = new Intake(socket, {
      decoder,
      names,
      hold: (batch, row) => this.#hold(batch, row),
      take: (batch, row) => this.#take(batch, row),
      onEnd: () => this.#peerEnded(),
      onError: (error) => this.#fail(toLiminalError(error)),
    })
    this.#keepalive = new Keepalive({
      intervalMs: options.keepaliveMs,
      listening: () => !this.#intake.paused,
      ping: () => this.#ping(),
      onSilence: (silentMs) => this.#fail(silence(silentMs)),
    })
    this.#setTimer(options.handshakeTimeoutMs, () => this.#fail(handshakeTimeout(options.handshakeTimeoutMs)))
    this.#listen(decoder)
    saySessionOpened({ sessionId: id, remoteAddress: this.remoteAddress })
  }

  get capabilities(): number {
    return this.#capabilities
  }

  get refusing(): LiminalError | null {
    return this.#refusing
  }

  get info(): SessionInfo {
    return {
      id: this.id,
      pid: this.process.pid,
      remoteAddress: this.remoteAddress,
      phase: this.#phase,
      capabilities: this.#capabilities,
      subscriptions: this.#subscriptions.size,
      conversations: this.#exchange?.conversations.size ?? 0,
      responders: this.#exchange?.responders.size ?? 0,
      pendingRequests: this.#exchange?.conversations.pending ?? 0,
      outboxBytes: this.output.waitingBytes + this.#subscriptions.queueBytes,
    }
  }

  /** The worker that is registered here, `null` if none is. */
  get worker(): WorkerInfo | null {
    return this.#work?.workers.current ?? null
  }

  /** Pushes a message to the peer. @throws LiminalError `CONNECTION_LOST`, `SHUTTING_DOWN`, `LIMIT_EXCEEDED`, `OUTBOX_FULL`: nothing was sent. */
  push(payload: Uint8Array, limits: WaitLimits): PushAwaiter {
    if (this.#refusing !== null) throw this.#refusing
    if (this.#phase !== 'open') throw connectionLost()
    return this.#working.push(payload, limits)
  }

  granted(capability: number): boolean {
    return (this.#capabilities & capability) !== 0
  }

  confirm(batch: FrameBatch, row: number): void {
    const flags = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.FLAGS]
    if ((flags & CONFIRM) !== 0 && this.granted(Capability.CONFIRMATIONS)) this.output.converse(batch.frame(row))
  }

  refusal(error: LiminalError): Refusal {
    return refusalOf(error, this.#capabilities)
  }

  settled(): void {
    if (this.#phase !== 'draining' || this.#checking) return
    this.#checking = true
    // Later, when what has just settled has reached those who wait for it.
    setImmediate(() => {
      this.#checking = false
      if (this.#phase === 'draining' && this.#isIdle()) this.#end(this.#farewell, ORDERLY_LINGER_MS, exitNormal())
    })
  }

  /** Takes no new work; finishes what is underway, says Disconnect and ends. */
  drain(reason: LiminalError): void {
    if (this.#phase === 'ended') return
    this.#refusing = reason
    this.#farewell = DISCONNECT
    this.#phase = 'draining'
    this.#exchange?.responders.withdrawAll()
    this.#work?.workers.withdrawAll()
    this.#setTimer(CREDIT_PATIENCE_MS, () => {
      this.#subscriptions.closeAll('left')
      this.settled()
    })
    this.settled()
  }

  /** The grace is over: what is underway here is aborted, the peer is told, and what is written gets a moment to leave. */
  abort(reason: LiminalError): void {
    this.#end(DISCONNECT, FAILED_LINGER_MS, exitKilled(reason))
  }

  /** Ends it at once; what is on its way is lost. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** What has to be waited for before the frames at `row` are handled. */
  #hold(batch: FrameBatch, row: number): Promise<void> | null {
    const unread = this.output.hold()
    if (unread !== null || this.#phase === 'handshake') return unread
    const typeId = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (typeId === FrameType.Publish) return this.#publishing.hold(batch, row)
    // What was published before is not for who subscribes now.
    return typeId === FrameType.Subscribe ? this.#publishing.settled() : null
  }

  #take(batch: FrameBatch, row: number): number {
    const typeId = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (this.#phase === 'handshake') checkBeforeConnect(typeId)
    switch (typeId) {
      case FrameType.Publish:
        return this.#publishing.publish(batch, row)
      case FrameType.ConversationOpen:
        this.#conversing.open(batch, row)
        break
      case FrameType.ConversationMessage:
        this.#conversing.message(batch, row)
        break
      case FrameType.ConversationError:
        this.#conversing.fail(batch, row)
        break
      case FrameType.ConversationClose:
        this.#conversing.close(batch, row)
        break
      case FrameType.Unsubscribe:
        this.#subscriptions.unsubscribe(batch, row)
        break
      default:
        this.#dispatch(batch.frame(row))
    }
    return 1
  }

  #dispatch(frame: Frame): void {
    switch (frame.type) {
      case 'Connect':
        this.#connect(frame)
        break
      case 'Disconnect':
        this.#end(null, ORDERLY_LINGER_MS, exitNormal())
        break
      case 'Ping':
        this.#pong()
        break
      case 'Subscribe':
        this.#subscriptions.subscribe(frame)
        break
      case 'Accept':
      case 'Reject':
      case 'Defer':
        this.#answered(frame)
        break
      case 'PushReply':
        this.#work?.reply(frame)
        break
      case 'WorkerRegister':
        this.#working.workers.register(frame)
        break
      default:
        // Types that only a server sends, and those that the protocol does not know: skipped, never an error (design §5.1).
        break
    }
  }

  get #conversing(): Exchange {
    this.#exchange ??= new Exchange(this)
    return this.#exchange
  }

  get #working(): Work {
    this.#work ??= new Work(this, this.#correlations)
    return this.#work
  }

  #connect(frame: Connect): void {
    if (this.#phase !== 'handshake') throw connectedAlready()
    this.#capabilities = connect(this, frame)
    this.#phase = 'open'
    this.#setTimer(null)
  }

  #pong(): void {
    if (this.#phase === 'handshake' && this.output.waitingBytes >= MOST_HANDSHAKE_BYTES) throw unreadHandshake()
    this.output.reply(PONG)
  }

  /** The peer says something of what it got. */
  #answered(frame: Accept | Reject | Defer): void {
    if (frame.type === 'Accept' && this.#exchange?.conversations.taken(frame) === true) return
    this.#subscriptions.answered(frame)
    // A subscriber that goes on accepting is waited for.
    if (this.#phase === 'draining') this.#timer?.refresh()
  }

  #listen(decoder: FrameDecoder): void {
    const socket = this.#socket
    socket.on('data', (chunk: Buffer) => {
      this.#keepalive.heard()
      this.#intake.push(chunk)
      const unadmitted = this.#phase === 'handshake' && decoder.pendingBytes > MOST_HANDSHAKE_BYTES
      if (unadmitted) this.#fail(frameTooLarge(decoder.pendingBytes))
    })
    socket.on('end', () => this.#intake.end())
    socket.on('error', (error: Error) => {
      this.#error ??= error
    })
    socket.on('close', () => {
      this.#end(null, 0, this.#error === null ? ENDED : exitNoConnection(this.#error))
      this.#setTimer(null)
      this.#onClosed(this)
      saySessionClosed({ sessionId: this.id, remoteAddress: this.remoteAddress, error: this.#error })
    })
  }

  /** The peer sends no more, and may still read: it gets the answers to what it sent, then the connection ends. */
  #peerEnded(): void {
    this.#subscriptions.closeAll('died')
    // It said no Disconnect: whoever worked there may be dead, and nobody could tell later.
    this.#work?.gone(ENDED)
    this.#exchange?.responders.gone(ENDED)
    this.#phase = 'draining'
    this.#keepalive.stop()
    if (this.#isIdle()) this.#end(this.#farewell, ORDERLY_LINGER_MS, ENDED)
    else this.#probe.start()
  }

  #isIdle(): boolean {
    const asked = (this.#exchange?.pending ?? 0) + (this.#work?.pending ?? 0)
    const waiting = asked + this.#publishing.pending + this.#subscriptions.pending
    return waiting === 0 && !this.output.answering && !this.#intake.waiting
  }

  #ping(): void {
    // A client of 0.2.1 takes any unexpected frame for an answer.
    if (this.options.deliver || this.#capabilities !== 0) this.output.reply(PING)
  }

  /** Ends the connection for what the peer did, and says so. */
  #fail(error: LiminalError): void {
    if (this.#phase === 'ended') return
    this.#error ??= error
    saySessionFailed({ sessionId: this.id, remoteAddress: this.remoteAddress, error })
    const farewell = { type: 'ConnectError', flags: 0, streamId: 0, ...this.refusal(error) } as const
    this.#end(farewell, FAILED_LINGER_MS, exitNoConnection(error))
  }

  /** Somebody ended the process of this session: the connection goes with it. */
  #killed(reason: ExitReason): void {
    if (this.#phase === 'ended') return
    const text = `The session was ended from inside (${reason.is}).`
    this.#error ??= new LiminalError('CONNECTION_LOST', text, { cause: reason })
    this.#end(null, 0, reason)
    this.destroy()
  }

  /**
   * Releases everything that this session holds, sends what is left, at last `farewell`, and closes the socket within `lingerMs`.
   * @param reason what the end means to those who wait for this peer: after a normal one nothing that it had is done again.
   */
  #end(farewell: Frame | null, lingerMs: number, reason: ExitReason): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#keepalive.stop()
    this.#probe.stop()
    // First of all: whoever waits for this peer's work is helped in the turn in which its end was seen.
    this.#work?.gone(reason)
    this.#exchange?.gone(reason)
    this.#subscriptions.closeAll(reason.is === 'noconnection' ? 'died' : 'left')
    this.process.end(reason)
    this.output.close(farewell)
    // What still comes is read and dropped: a socket closed with unread bytes resets the connection, and the last frames are lost on their way.
    this.#intake.stop()
    this.#socket.end()
    this.#setTimer(lingerMs, () => this.destroy())
  }

  #setTimer(delayMs: number | null, elapsed?: () => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = delayMs === null || elapsed === undefined ? null : setTimeout(elapsed, delayMs)
    // The listener keeps a server's process alive, its timers never do.
    this.#timer?.unref()
  }
}
