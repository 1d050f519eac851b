import { MOST_UNANSWERED } from '../bus/index.ts'
import type { CursorSubscription, Logged, MessageRun, Sink } from '../channel/index.ts'
import type { FrameRows } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import {
  ACCEPT_CHECKPOINT,
  ACCEPT_EXTEND,
  ACCEPT_ONE,
  ACCEPT_TAKEN,
  type Accept,
  type Defer,
  type Reject,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import type { SessionContext } from './context.ts'
import { DeliverWriter } from './deliver-writer.ts'
import { readingStep } from './reading-step.ts'
import { RoomListener, type RoomOwner } from './room-listener.ts'
import { SentSpans } from './sent-spans.ts'

/** Flags of a delivery, at most: the attempt less one. */
const MOST_FLAGS = 0xff
/** Checkpoints of one subscription that are being written, at most. */
const MOST_CHECKPOINTS = 1_024
/** Milliseconds that a part of the window waits to become a step. */
const LINGER_MS = 2

export interface LogSubscriptionOptions {
  readonly channel: string
  readonly streamId: number
  /** Deliveries sent and not yet accepted, at most; `null` for a peer without credits. */
  readonly window: number | null
  /** Whether deliveries are accepted one by one. */
  readonly acceptsEach: boolean
  /** Whether the peer says what it has taken. A delivery whose lease has ended takes no room in the window then: it was looked at, and forgotten. */
  readonly tellsTaken: boolean
  /** Ended from this side: its channel closed, or its cursor was taken. */
  readonly onEnded: (subscription: SessionLogSubscription, error: LiminalError) => void
}

/**
 * One subscription of a session to a log (extension `DURABLE`): its deliveries are numbered by their positions. Nothing waits here: what the window or the outbox has no room for stays in
 * the log, and a subscriber that is slow is neither shed nor holds anybody up.
 */
export class SessionLogSubscription implements Sink, RoomOwner {
  readonly channel: string
  readonly streamId: number
  readonly #context: SessionContext
  readonly #options: LogSubscriptionOptions
  readonly #writer: DeliverWriter
  readonly #sent: SentSpans
  readonly #roomListener: RoomListener
  /** What has to be free of the window before the log is read on: not a page for every delivery. */
  readonly #step: number
  #cursor: CursorSubscription | null = null
  /** The peer knows that it is subscribed. */
  #started = false
  #live = true
  /** Until a part of the window is used that is smaller than a step, and whether that time is over. */
  #lingering: NodeJS.Timeout | null = null
  #hasLingered = false
  #checkpoints = 0

  constructor(context: SessionContext, options: LogSubscriptionOptions) {
    this.channel = options.channel
    this.streamId = options.streamId
    this.#context = context
    this.#options = options
    this.#writer = new DeliverWriter(context, options.streamId)
    this.#step = readingStep(options.window)
    this.#sent = new SentSpans(options.tellsTaken)
    this.#roomListener = new RoomListener(context.output, this)
  }

  /** Deliveries that a cursor awaits the answer to. */
  get unanswered(): number {
    return this.#cursor === null ? 0 : this.#sent.outstanding
  }

  /** Deliveries may begin. @param cursor what they are answered to; `null`: nobody. */
  start(cursor: CursorSubscription | null): void {
    this.#cursor = cursor
    this.#started = true
    this.#roomListener.tell()
  }

  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged | null): boolean {
    if (!this.#live) return false
    if (!this.#context.options.deliver) return true
    if (logged === null) return this.#fail('INTERNAL', 'a delivery without a position came')
    const rows: FrameRows = { bytes: run.bytes, columns: run.columns, count: run.first + run.count }
    const length = this.#writer.length(rows, run.first, run.count)
    if (this.#writer.hasOversized(rows, run.first, run.count, length)) {
      const most = this.#context.options.limits.frameBytes
      return this.#fail(
        'SUBSCRIPTION_SHED',
        `a message is too large to be delivered; a frame of this server carries ${most} bytes at most, header and all`,
      )
    }
    const sequence = logged.position + 1n
    const flags = Math.min(logged.attempt - 1, MOST_FLAGS)
    this.#writer.write(rows, run.first, run.count, length, sequence, flags, schemaId)
    if (this.#options.window !== null) this.#sent.sent(Number(sequence), run.count, flags)
    this.#endLingering()
    return true
  }

  /** See Sink: what is behind here stays in the log. */
  hold(): null {
    return null
  }

  room(): number {
    const { output, refusing, options } = this.#context
    if (!this.#live || !this.#started || refusing !== null) return 0
    if (!options.deliver) return Number.POSITIVE_INFINITY
    if (!this.#hasStep) return 0
    // What is not behind takes a page of any size.
    return output.hasRoom(options.limits.outboxBytes) ? this.#allowance : 0
  }

  onRoom(listener: () => void): void {
    this.#roomListener.listen(listener)
    this.#linger()
  }

  /** See RoomOwner. */
  get onlyWaitsForDrain(): boolean {
    return this.#live && this.#started && this.#context.refusing === null && this.#hasStep
  }

  /** See RoomOwner. */
  drained(): void {
    this.#roomListener.tell()
  }

  end(error: LiminalError): void {
    if (!this.#live) return
    this.close()
    this.#options.onEnded(this, error)
  }

  /** The peer says something of what it got. What it names and was not sent, or is answered, changes nothing. */
  accept(frame: Accept): void {
    if ((frame.flags & ACCEPT_CHECKPOINT) !== 0) {
      void this.#checkpoint(frame)
      return
    }
    const named = deliveryIn(frame.referencedMessageId)
    if (named === null) return
    const { sequence, flags } = named
    this.#taken(sequence, flags)
    if ((frame.flags & ACCEPT_TAKEN) !== 0) return
    if ((frame.flags & ACCEPT_EXTEND) !== 0) {
      if (this.#sent.has(sequence, flags)) this.#cursor?.extend(BigInt(sequence - 1), attemptOf(flags))
    } else if ((frame.flags & ACCEPT_ONE) !== 0) {
      // However late: it was processed.
      if (this.#sent.takeOne(sequence, flags, !this.#options.acceptsEach)) this.#cursor?.acceptOne(BigInt(sequence - 1))
    } else {
      const last = this.#sent.takeThrough(sequence, flags).at(-1)
      if (last !== undefined) {
        this.#cursor?.accept(BigInt(last.sequence + last.count - 2), attemptOf(last.flags))
      }
    }
    this.#answered()
  }

  /** The peer hands a delivery back, or wants it later. Without a cursor it is done with it. */
  reject(frame: Reject | Defer): void {
    const named = deliveryIn(frame.referencedMessageId)
    if (named === null) return
    this.#taken(named.sequence, named.flags)
    if (!this.#sent.takeOne(named.sequence, named.flags, !this.#options.acceptsEach)) return
    this.#cursor?.reject(BigInt(named.sequence - 1), { ...rejectionIn(frame), attempt: attemptOf(named.flags) })
    this.#answered()
  }

  /** Takes no more. */
  close(): void {
    this.#live = false
    this.#endLingering()
    this.#roomListener.end()
    this.#cursor = null
    this.#sent.clear()
  }

  get #allowance(): number {
    const { window, tellsTaken } = this.#options
    if (window === null) return Number.POSITIVE_INFINITY
    const { outstanding } = this.#sent
    if (this.#cursor === null || !tellsTaken) return Math.max(0, window - outstanding)
    const inFlight = Math.min(outstanding, this.#cursor.inFlight)
    return Math.max(0, Math.min(window - inFlight, MOST_UNANSWERED - outstanding))
  }

  async #checkpoint(frame: Accept): Promise<void> {
    const { streamId, referencedMessageId } = frame
    try {
      if (this.#checkpoints >= MOST_CHECKPOINTS) {
        const text = `${MOST_CHECKPOINTS} checkpoints of this subscription are underway; await some of them.`
        throw new LiminalError('LIMIT_EXCEEDED', text)
      }
      this.#checkpoints++
      try {
        await this.#cursor?.checkpoint()
      } finally {
        this.#checkpoints--
      }
      this.#context.output.reply({ type: 'Accept', flags: frame.flags, streamId, referencedMessageId })
    } catch (thrown) {
      const { reasonCode, message } = this.#context.refusal(toLiminalError(thrown))
      const reason = `${reasonCode} ${message}`
      this.#context.output.reply({ type: 'Reject', flags: ACCEPT_CHECKPOINT, streamId, referencedMessageId, reason })
    }
  }

  /** Whoever says anything of a delivery has it, and all that were sent before it. */
  #taken(sequence: number, flags: number): void {
    for (const span of this.#sent.taken(sequence, flags)) this.#cursor?.seen(BigInt(span.sequence - 1), span.count)
  }

  #answered(): void {
    if (this.#sent.outstanding === 0) this.#context.settled()
    this.#roomListener.tell()
    this.#linger()
  }

  /** Whether enough of the window is free to read on for it. */
  get #hasStep(): boolean {
    const allowance = this.#allowance
    return allowance >= this.#step || (allowance > 0 && this.#hasLingered)
  }

  #endLingering(): void {
    this.#hasLingered = false
    if (this.#lingering !== null) clearTimeout(this.#lingering)
    this.#lingering = null
  }

  /** A part of the window is free, and less than a step: who waits for all of his window before he answers gets it a little later. */
  #linger(): void {
    if (this.#lingering !== null || this.#hasLingered || !this.#live) return
    if (this.#allowance === 0 || this.#allowance >= this.#step) return
    this.#lingering = setTimeout(() => {
      this.#lingering = null
      this.#hasLingered = true
      this.#roomListener.tell()
    }, LINGER_MS)
    this.#lingering.unref()
  }

  #fail(code: 'INTERNAL' | 'SUBSCRIPTION_SHED', why: string): false {
    this.end(new LiminalError(code, `The subscription to '${this.channel}' was ended: ${why}.`))
    return false
  }
}

/** What names a delivery: its sequence, and behind a point the flags if they are not 0. */
function deliveryIn(referencedMessageId: string): { readonly sequence: number; readonly flags: number } | null {
  const [, sequence, flags = '0'] = /^(\d{1,15})(?:\.(\d{1,3}))?$/.exec(referencedMessageId) ?? []
  return sequence === undefined ? null : { sequence: Number(sequence), flags: Number(flags) }
}

/** A Reject has a reason; a Defer milliseconds, and a reason behind a space. */
function rejectionIn(frame: Reject | Defer): { readonly reason?: string | undefined; readonly delayMs?: number } {
  const reason = frame.reason ?? undefined
  if (frame.type === 'Reject') return { reason }
  const [, delay = '0', text] = /^(\d{1,10})(?: (.*))?$/s.exec(frame.reason ?? '') ?? []
  return { delayMs: Math.min(Number(delay), MAX_TIMEOUT_MS), reason: text }
}

/** Flags end before attempts do. */
function attemptOf(flags: number): number | undefined {
  return flags === MOST_FLAGS ? undefined : flags + 1
}
