import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import type { Burial } from './burial.ts'
import { CheckpointSchedule } from './checkpoint-policy.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { CursorVoice } from './diagnostics.ts'
import { type CursorLog, Feed } from './feed.ts'
import { type CursorTerms, LEASE_MS, MOST_IN_FLIGHT } from './terms.ts'
import type { DeliveryTracker } from './tracker.ts'

/** What a session has of its cursor. */
export interface SessionSurroundings {
  readonly log: CursorLog
  readonly cursor: string
  readonly epoch: number
  readonly tracker: DeliveryTracker
  readonly writer: CheckpointWriter
  readonly burial: Burial
  readonly voice: CursorVoice
  /** See FeedOptions. */
  readonly recordedBelow: number
  /** It is not the owner any more: it left, or it died. Not called when the cursor itself ended it. */
  readonly onLeft: (how: 'left' | 'died') => void
}

/** How a message is handed back; see Delivery.reject of the bus. */
export interface RejectOptions {
  /** At most 1,024 characters are kept. Default: none. */
  readonly reason?: string | undefined
  /** Milliseconds until it is delivered again. Default 0. */
  readonly delayMs?: number | undefined
  /** Which delivery of the message is handed back: one that is not the last any more changes nothing. Default: the last. */
  readonly attempt?: number | undefined
}

const REASON_CHARACTERS = 1_024
const NO_REASON = 'It was rejected without a reason.'

/**
 * One owner's time with a cursor: deliveries go to its target, and its answers come here. After its end (closed, fenced, or its target gone) nothing that it says counts.
 *
 * Positions that it was never given, or has answered already, change nothing: every answer is idempotent.
 */
export class CursorSession {
  /** Counts the acquisitions of the cursor. */
  readonly epoch: bigint
  /** Resolves once the acquisition is durable: deliveries begin, and nothing published from here on is missed. Rejects with what ended the session before. */
  readonly ready: Promise<void>
  readonly #terms: CursorTerms
  readonly #leaseMs: number
  readonly #surroundings: SessionSurroundings
  readonly #feed: Feed
  readonly #schedule: CheckpointSchedule
  readonly #stopListening: () => void
  #ended: LiminalError | null = null
  #closing: Promise<void> | null = null

  constructor(terms: CursorTerms, surroundings: SessionSurroundings) {
    const { log, tracker, writer, burial, voice } = surroundings
    this.#terms = terms
    this.#leaseMs = terms.leaseMs ?? LEASE_MS
    this.#surroundings = surroundings
    this.epoch = BigInt(surroundings.epoch)
    this.#schedule = new CheckpointSchedule(terms.checkpoint ?? 'message', () => writer.request())
    this.#feed = new Feed({
      log,
      tracker,
      target: terms.target,
      maxInFlight: Math.min(terms.maxInFlight, MOST_IN_FLIGHT),
      // None begins with a delivery where the owner has to see it first.
      leaseMs: terms.leaseBegins === 'seen' ? null : this.#leaseMs,
      // With a limit each attempt counts; without one it only informs.
      recordedBelow: terms.maxAttempts === undefined ? surroundings.recordedBelow : Number.POSITIVE_INFINITY,
      record: () => writer.persist(),
      voice,
      onSkipped: () => this.#schedule.accepted(0, true),
      onExpired: () => burial.wake(),
      onGone: () => this.#leave(this.#closedError('its subscription takes nothing any more'), 'left'),
      onFailed: (error) => this.fail(error),
    })
    this.#stopListening = log.onAppended(() => this.#feed.wake())
    this.ready = this.#start()
    this.ready.catch(() => {})
  }

  /** Why it is over; `null` while it is not. */
  get ended(): LiminalError | null {
    return this.#ended
  }

  /** Messages that reached the target, have not been answered, and whose leases have not ended. */
  get inFlight(): number {
    return this.#ended === null ? this.#surroundings.tracker.out - this.#feed.undelivered : 0
  }

  /**
   * A message, and all that were handed out before it, are accepted; not what was handed back.
   *
   * @param attempt Which delivery of it is meant, if it may have been delivered again since. Without it nothing that was handed out after the first one is accepted with it.
   */
  accept(position: bigint, attempt?: number): void {
    if (this.#ended !== null) return
    const { tracker } = this.#surroundings
    const before = tracker.watermark
    this.#accepted(tracker.accept(Number(position), attempt ?? null), before)
  }

  /** One message is accepted, however late: it was processed. */
  acceptOne(position: bigint): void {
    if (this.#ended !== null) return
    const { tracker } = this.#surroundings
    const before = tracker.watermark
    this.#accepted(tracker.acceptOne(Number(position)), before)
  }

  /** A message is handed back: it is delivered again, with a higher attempt, or goes to the dead-letter channel. */
  reject(position: bigint, { reason = '', delayMs = 0, attempt }: RejectOptions = {}): void {
    if (this.#ended !== null) return
    const { tracker, burial } = this.#surroundings
    const at = performance.now() + Math.max(0, delayMs)
    const kept = reason === '' ? NO_REASON : reason.slice(0, REASON_CHARACTERS)
    if (!tracker.reject(Number(position), attempt ?? null, kept, at)) return
    burial.wake()
    if (delayMs > 0) this.#feed.wakeAt(at)
    this.#feed.wake()
  }

  /** The lease of a delivery begins anew, unless it has ended. */
  extend(position: bigint, attempt?: number): void {
    if (this.#ended !== null) return
    this.#surroundings.tracker.extend(Number(position), attempt ?? null, performance.now())
  }

  /** The owner has seen `count` messages from a position on that waited at its target: their leases begin. For terms where that is when they do. */
  seen(position: bigint, count: number): void {
    if (this.#ended !== null) return
    const now = performance.now()
    const start = Number(position)
    this.#surroundings.tracker.seen({ start, end: start + count }, now)
    this.#feed.wakeAt(now + this.#leaseMs)
  }

  /**
   * Writes down what was accepted so far, and resolves once that is durable.
   *
   * @throws LiminalError `CURSOR_FENCED`, `CLOSED` and what else ended the session; `STORE_FAILED`, `STORE_FULL`, `STORE_BUSY`: not durable yet, but it is tried again.
   */
  checkpoint(): Promise<void> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    this.#surroundings.tracker.commit()
    this.#feed.wake()
    return this.#surroundings.writer.write()
  }

  /**
   * Gives the cursor up. What was accepted is written down (with checkpoints that are explicit: only what was checkpointed), the rest goes to the next owner. Idempotent.
   *
   * @param how It left in order, or it died with whatever it was doing. With `maxAttempts` what a dead owner had seen and not answered goes to the next one message by message, so that one that kills its
   * owners does not take the attempts of others along.
   * @throws LiminalError `STORE_FAILED`, `STORE_FULL`, `STORE_BUSY`: not durable yet, but it is tried again while the bus lives.
   */
  close(how: 'left' | 'died' = 'left'): Promise<void> {
    if (this.#closing !== null) return this.#closing
    if (this.#ended !== null) return Promise.resolve()
    this.#leave(this.#closedError('it was closed'), how)
    this.#closing = this.#surroundings.writer.write()
    return this.#closing
  }

  /** The cursor was taken away. */
  fence(error: LiminalError): void {
    if (this.#ended !== null) return
    this.#leave(error, 'fenced')
    this.#tell(() => this.#terms.fenced(error))
  }

  /** Deliveries cannot go on, whoever is to blame. */
  fail(error: LiminalError): void {
    if (this.#ended !== null) return
    this.#leave(error, 'left')
    this.#tell(() => this.#terms.target.end(error))
  }

  /** A checkpoint begins, whoever asked for it. */
  checkpointBegan(): void {
    this.#schedule.began()
  }

  /** There may be something to deliver. */
  wake(): void {
    this.#feed.wake()
  }

  async #start(): Promise<void> {
    const { writer, burial } = this.#surroundings
    try {
      await writer.persist()
    } catch (error) {
      this.fail(toLiminalError(error))
    }
    if (this.#ended !== null) throw this.#ended
    burial.wake()
    this.#feed.open()
  }

  #accepted(count: number, before: number): void {
    if (count === 0) return
    this.#schedule.accepted(count, this.#surroundings.tracker.watermark > before)
    this.#feed.wake()
  }

  #leave(error: LiminalError, how: 'left' | 'died' | 'fenced'): void {
    this.#ended = error
    this.#stopListening()
    this.#feed.close()
    this.#schedule.close()
    if (how !== 'fenced') this.#surroundings.onLeft(how)
  }

  #tell(say: () => void): void {
    try {
      say()
    } catch (error) {
      this.#surroundings.voice.failed('ownerFailed', toLiminalError(error))
    }
  }

  #closedError(why: string): LiminalError {
    const { cursor, log } = this.#surroundings
    return new LiminalError('CLOSED', `The session of cursor '${cursor}' of channel '${log.name}' is over: ${why}.`)
  }
}
