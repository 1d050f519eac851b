import type { Socket } from 'node:net'
import { renewTurn } from '../bus/index.ts'
import type { FrameBatch, FrameDecoder } from '../codec/index.ts'
import { Deferred } from '../deferred.ts'
import { Deque } from '../deque.ts'
import { LiminalError, ProtocolError } from '../errors.ts'
import { Outbox } from '../pressure/index.ts'
import {
  ALL_CAPABILITIES,
  CONNECT_EXTENSIONS,
  Column,
  EXTENSION_MASK,
  type Frame,
  FrameType,
  HEAD_WIDTH,
  HEADER_BYTES,
  ReasonCode,
  ROW_WIDTH,
} from '../protocol/index.ts'
import { asSentence, toLiminalError } from '../thrown.ts'
import type { InboundConversations } from './inbound-conversations.ts'
import type { InboundPushes } from './inbound-pushes.ts'
import type { Settings } from './options.ts'
import { errorFromPeer } from './peer-error.ts'
import { PublishWindow } from './publish-window.ts'
import { keepReceived } from './received-bytes.ts'
import { SendConfirmation } from './send-confirmation.ts'
import { type StreamOwner, StreamTable } from './streams.ts'
import type { ServerAddress } from './url.ts'

const VERSION = { major: 1, minor: 0 }

/** Payload bytes of waiting deliveries above which a connection without credits is not read from; and below which it is again. */
const PAUSE_ABOVE = 64 * 1024 * 1024
const RESUME_BELOW = PAUSE_ABOVE / 2

/** A client never holds its own callers by time: they wait, within their own limits, for as long as the socket takes. */
const PATIENT = { holdMs: Number.POSITIVE_INFINITY, stallMs: Number.POSITIVE_INFINITY }

type Phase = 'handshake' | 'open' | 'finishing' | 'lost'

/** The life of one socket: handshake, frames in both directions, liveness, end. It is never used again after that. */
export class Connection {
  readonly address: ServerAddress
  readonly settings: Settings
  readonly outbox: Outbox
  readonly streams = new StreamTable()
  /** Finds out which unacknowledged publishes have arrived. */
  readonly confirmation = new SendConfirmation(this)
  /** How many bytes of publishes may still be written before the server has dealt with earlier ones. */
  readonly window = new PublishWindow(this)
  /** Settles with the handshake. */
  readonly ready: Promise<void>
  /** The server answered the handshake with a refusal. */
  refused = false
  /** Publishes written and not yet answered. */
  unacknowledged = 0
  /** Bytes of those that are kept for another attempt. */
  retainedBytes = 0
  /** Who takes the frames of streams that the server opened. */
  inbound: InboundConversations | null = null
  /** Told once when the connection is gone, after all its streams. */
  onLost: ((error: LiminalError) => void) | null = null

  readonly #socket: Socket
  readonly #decoder: FrameDecoder
  #pushes: InboundPushes | null = null
  /** Pushes that came in one piece with the answer to the handshake, before anybody could take them: no more than one read brings. */
  #early: (() => void)[] = []
  /** What to do on the Pongs that are underway, in order. */
  readonly #pings = new Deque<(() => void) | null>()
  #phase: Phase = 'handshake'
  #capabilities = 0
  #settleReady: { resolve: () => void; reject: (error: LiminalError) => void } | null = null
  #keepalive: NodeJS.Timeout | null = null
  #heard = false
  #silentIntervals = 0
  #waitingDeliveryBytes = 0
  #error: LiminalError | null = null
  readonly #over = new Deferred<void>()

  constructor(socket: Socket, address: ServerAddress, settings: Settings) {
    this.#socket = socket
    this.address = address
    this.settings = settings
    const { outboxBytes } = settings
    const congestion = { highWater: outboxBytes / 2, lowWater: outboxBytes / 8, ...PATIENT }
    this.outbox = new Outbox(socket, { capacityBytes: outboxBytes, congestion })
    this.#decoder = new settings.codec.FrameDecoder({ maxFrameBytes: settings.frameBytes })
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject }
    })
    socket.on('error', (error) => this.lose(this.#lostBecause(error.message, error)))
    socket.on('end', () => this.#ended())
    socket.on('close', () => this.lose(this.#lostBecause('its socket was closed')))
    this.write({
      type: 'Connect',
      flags: settings.extensions ? CONNECT_EXTENSIONS : 0,
      streamId: 0,
      minVersion: VERSION,
      maxVersion: VERSION,
      authToken: settings.authToken,
    })
  }

  /** Whether frames can be written. */
  get open(): boolean {
    return this.#phase === 'open'
  }

  /** Settles when the connection is gone. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Why the connection is gone; `null` while it is not. */
  get error(): LiminalError | null {
    return this.#error
  }

  /** The extension bits that the server granted and this client understands. */
  get capabilities(): number {
    return this.#capabilities
  }

  /** Who takes what the server pushes, and its answers to workers; `null` until somebody does. */
  get pushes(): InboundPushes | null {
    return this.#pushes
  }

  /** Hands over what the server pushes from now on, and what it has pushed already. */
  takePushes(pushes: InboundPushes): void {
    this.#pushes = pushes
    const early = this.#early
    this.#early = []
    for (const push of early) push()
  }

  granted(capability: number): boolean {
    return (this.#capabilities & capability) !== 0
  }

  /** Writes a frame. For those that are small or rare; the frequent ones have prepared heads. */
  write(frame: Frame): void {
    const { codec } = this.settings
    const offset = this.outbox.reserve(codec.encodedLength(frame))
    this.outbox.commit(codec.encodeInto(frame, this.outbox.block, offset))
  }

  /** Sends a Ping. `onPong` is called once the server has dealt with everything that was written before. */
  ping(onPong: (() => void) | null): void {
    this.#pings.push(onPong)
    this.write({ type: 'Ping', flags: 0, streamId: 0 })
  }

  /**
   * Counts payload bytes of deliveries that wait for their subscribers: positive as they come, negative as they are taken. A server without credits knows no
   * other way to be slowed down than a socket that is not read.
   */
  deliveriesWaiting(change: number): void {
    this.#waitingDeliveryBytes += change
    if (this.#phase !== 'open') return
    if (this.#waitingDeliveryBytes > PAUSE_ABOVE) this.#socket.pause()
    else if (change < 0 && this.#waitingDeliveryBytes < RESUME_BELOW && this.#socket.isPaused()) this.#socket.resume()
  }

  /** Takes what was just read from the socket: the first `length` bytes of `readBuffer`. Returns that reading goes on. */
  receive(length: number): boolean {
    this.#heard = true
    renewTurn()
    if (this.#phase === 'lost' || this.#phase === 'finishing') return true
    try {
      this.#decoder.push(keepReceived(length))
      while (this.#decoder.next()) if (!this.#dispatch(this.#decoder.batch)) break
    } catch (thrown) {
      const error = toLiminalError(thrown)
      this.lose(this.#lostBecause(error.message, error))
    }
    return true
  }

  /** The peer sent what the protocol does not allow in this place: the end of the connection. */
  violated(what: string): void {
    const cause = new ProtocolError('InvalidStateTransition', ReasonCode.InvalidStateTransition, what)
    this.lose(this.#lostBecause(what, cause))
  }

  /** Ends the connection at once and tells everybody on it. Later calls change nothing. */
  lose(error: LiminalError): void {
    if (this.#phase === 'lost') return
    const finishing = this.#phase === 'finishing'
    this.#phase = 'lost'
    this.#error = error
    this.#stopKeepalive()
    this.outbox.close()
    this.#socket.destroy()
    this.#settleReady?.reject(error)
    this.#settleReady = null
    this.#over.resolve()
    if (finishing) return
    this.streams.lose(error)
    this.inbound?.lost(error)
    this.#pushes?.lost(error)
    this.onLost?.(error)
  }

  /**
   * Says goodbye, so that everything written before arrives: resolves when the server has closed its side, or after `deadlineMs`. Streams are not told.
   *
   * @param isClean whether nothing that the server has sent can be left undone here. Otherwise the connection ends without Disconnect, which would say so: the server then
   * gives to others what was not answered.
   */
  async finish(deadlineMs: number, isClean = true): Promise<void> {
    if (this.#phase !== 'open') return
    if (isClean) this.write({ type: 'Disconnect', flags: 0, streamId: 0 })
    this.#phase = 'finishing'
    this.#stopKeepalive()
    this.outbox.finish()
    const socket = this.#socket
    const closed = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs)
      socket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
    // Unread bytes would turn the end into a reset, which may overtake what was written last.
    socket.resume()
    socket.end()
    await closed
    this.lose(new LiminalError('CLOSED', `The connection to ${this.address.url} was closed.`))
  }

  /** Returns whether the connection still takes frames. */
  #dispatch(batch: FrameBatch): boolean {
    const { columns, count } = batch
    for (let row = 0; row < count; ) {
      const at = HEAD_WIDTH + row * ROW_WIDTH
      const stream = columns[at + Column.STREAM] >>> 0
      const rows = Math.max(1, columns[at + Column.RUN])
      if (stream === 0) this.#control(batch, row, columns[at + Column.TYPE])
      else if ((stream & 1) === 1) this.#ownerOf(batch, row, stream)?.receive(batch, row, rows)
      else this.inbound?.receive(batch, row)
      if (this.#phase === 'lost' || this.#phase === 'finishing') return false
      row += rows
    }
    return true
  }

  #ownerOf(batch: FrameBatch, row: number, stream: number): StreamOwner | undefined {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const type = batch.columns[at + Column.TYPE]
    // Pushes share stream 1 with whatever was opened there (spec server §8.1).
    if (type === FrameType.Push) {
      this.#pushed(batch.key(row), batch.columns[at + Column.FLAGS], batch.payload(row))
      return undefined
    }
    // A server of liminal 0.2.1 reports a refused ConversationOpen on stream 1 (spec server §7.2); ids tell whose it is, because a conversation's id is
    // the stream that it was opened on.
    if (type === FrameType.ConversationError && stream === 1 && this.#capabilities === 0)
      return this.streams.owner(Number(batch.id(row)))
    return this.streams.owner(stream)
  }

  #pushed(key: number | bigint, flags: number, payload: Uint8Array): void {
    if (this.#pushes !== null) this.#pushes.receive(key, flags, payload)
    else if (this.#phase === 'open') this.#early.push(() => this.#pushes?.receive(key, flags, payload))
  }

  #control(batch: FrameBatch, row: number, type: number): void {
    if (type === FrameType.Ping) this.#pong()
    else if (type === FrameType.Pong) this.#pings.shift()?.()
    else if (type === FrameType.Disconnect) {
      const cause = new LiminalError('SHUTTING_DOWN', 'The server said goodbye.')
      this.lose(this.#lostBecause('the server ended it', cause))
    } else if (type === FrameType.WorkerRegisterAck) {
      const frame = batch.frame(row)
      if (frame.type === 'WorkerRegisterAck') this.#pushes?.acknowledged(frame)
    } else if (type === FrameType.ConnectAck || type === FrameType.ConnectError) this.#answered(batch.frame(row))
  }

  #pong(): void {
    if (this.outbox.fits(HEADER_BYTES)) this.write({ type: 'Pong', flags: 0, streamId: 0 })
    else this.lose(this.#lostBecause('the server sends Pings and reads no answers'))
  }

  #answered(frame: Frame): void {
    if (frame.type === 'ConnectError') {
      const error = errorFromPeer(frame)
      this.refused = this.#phase === 'handshake'
      // After the handshake it says why the server gives this connection up.
      this.lose(this.refused ? error : this.#lostBecause(`the server ended it: ${error.message}`, error))
    } else if (frame.type === 'ConnectAck') {
      if (this.#phase !== 'handshake') {
        this.violated('the server answered the handshake twice')
        return
      }
      const { selectedVersion } = frame
      if (selectedVersion.major !== VERSION.major || selectedVersion.minor !== VERSION.minor) {
        this.violated(
          `the server chose version ${selectedVersion.major}.${selectedVersion.minor}, which was not offered`,
        )
        return
      }
      if (this.settings.extensions) this.#capabilities = frame.capabilities & EXTENSION_MASK & ALL_CAPABILITIES
      this.#phase = 'open'
      this.#startKeepalive()
      this.#settleReady?.resolve()
      this.#settleReady = null
    }
  }

  #ended(): void {
    try {
      this.#decoder.end()
    } catch (thrown) {
      const error = toLiminalError(thrown)
      this.lose(this.#lostBecause(`the server closed it in the middle of a frame. ${error.message}`, error))
      return
    }
    this.lose(this.#lostBecause('the server closed it'))
  }

  #startKeepalive(): void {
    const { keepaliveMs } = this.settings
    if (keepaliveMs === 0) return
    this.#keepalive = setInterval(() => this.#checkLiveness(), keepaliveMs)
    // The socket keeps the process alive, not the look at it.
    this.#keepalive.unref()
  }

  #stopKeepalive(): void {
    if (this.#keepalive !== null) clearInterval(this.#keepalive)
    this.#keepalive = null
  }

  #checkLiveness(): void {
    // Nothing can be heard from a socket that is not read; the Ping still shows the server that we are here.
    if (this.#heard || this.#socket.isPaused()) this.#silentIntervals = 0
    else this.#silentIntervals++
    if (this.#silentIntervals < 2) {
      if (!this.#heard) this.ping(null)
      this.#heard = false
      return
    }
    // Timers come before sockets: after a long block of this process an answer may lie there, unread.
    setImmediate(() => {
      if (this.#heard || this.#phase !== 'open') return
      const silentMs = 2 * this.settings.keepaliveMs
      this.lose(this.#lostBecause(`nothing was heard from the server for ${silentMs} ms`))
    })
  }

  #lostBecause(why: string, cause?: Error): LiminalError {
    const text = asSentence(`The connection to ${this.address.url} was lost: ${why}`)
    return new LiminalError('CONNECTION_LOST', text, { cause })
  }
}
