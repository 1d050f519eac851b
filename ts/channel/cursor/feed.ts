import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Backoff, drawDelay } from '../../backoff.ts'
import { Deferred } from '../../deferred.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import type { ChannelLog } from '../channel-log.ts'
import type { LoggedRun } from '../log-reading.ts'
import type { CursorVoice } from './diagnostics.ts'
import type { PositionRange } from './positions.ts'
import type { CursorTarget } from './terms.ts'
import type { DeliveryTracker } from './tracker.ts'
import { WakeTimer } from './wake-timer.ts'

/** What a cursor needs of the log of its channel. */
export type CursorLog = Pick<ChannelLog, 'name' | 'store' | 'first' | 'next' | 'closed' | 'read' | 'onAppended'>

export interface FeedOptions {
  readonly log: CursorLog
  readonly tracker: DeliveryTracker
  readonly target: CursorTarget
  readonly maxInFlight: number
  /** Milliseconds of the lease that begins with a delivery; `null`: none does. */
  readonly leaseMs: number | null
  /** Hand-outs of messages below this position are written down before they are made, so that they count even if they bring the whole bus down. */
  readonly recordedBelow: number
  /** Writes down what was handed out. */
  readonly record: () => Promise<void>
  readonly voice: CursorVoice
  /** Messages were passed over that the log does not have any more. */
  readonly onSkipped: () => void
  /** Leases have ended. */
  readonly onExpired: () => void
  /** The target takes nothing any more. */
  readonly onGone: () => void
  /** Deliveries cannot go on. */
  readonly onFailed: (error: LiminalError) => void
}

/** Bytes of a page at most, but for its first message. */
const PAGE_BYTES = 1024 * 1024
/** Messages that are to be handed out again are read, and written down, together if they lie so close. */
const REDELIVERED_TOGETHER = 256
/** A log that is read from memory, by an owner that accepts at once, would leave no time for anything else. */
const STEPS_PER_TURN = 16
const BACKOFF: Backoff = { baseMs: 50, maxMs: 5_000 }

/**
 * Takes messages from the log to the owner of a cursor: those that are due again first, then new ones, as far as window and target have room. One pass at a time; it ends when there is nothing
 * to do, and whatever changes that wakes it.
 */
export class Feed {
  readonly #options: FeedOptions
  readonly #timer = new WakeTimer(() => this.#timeCame())
  /** Neither before {@link open} nor after {@link close}. */
  #open = false
  #closed = false
  #running = false
  #again = false
  /** What was read and is not handed out yet: never more than one page. */
  #page: readonly LoggedRun[] = []
  /** Messages that are written down as handed out, and have not reached the target yet. */
  #undelivered = 0
  #failures = 0
  /** A message that is damaged in the store, and what that says. */
  #damage: { readonly position: number; readonly error: LiminalError } | null = null
  /** What the target held for last, and that is over: a target that still shows it does not hold for it. */
  #released: Promise<void> | null = null
  /** What the pass underway waits for, where that may never come once the feed is closed. */
  #waiting: Deferred<void> | null = null
  /** What it waits for where the target takes nothing in the middle of a pass. */
  #roomless: Deferred<void> | null = null

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Messages that are handed out and have not reached the target yet. */
  get undelivered(): number {
    return this.#undelivered
  }

  /** Deliveries begin. */
  open(): void {
    if (this.#closed) return
    this.#open = true
    this.wake()
  }

  /** Something changed that may let deliveries go on. */
  wake(): void {
    if (!this.#open) return
    if (this.#running) {
      this.#again = true
      this.#roomless?.resolve()
      return
    }
    this.#running = true
    // What is accepted in this turn makes room for one run, and not for one of each message.
    queueMicrotask(() => this.#run())
  }

  /** Something will be due at a time on the clock of `performance.now()`. */
  wakeAt(time: number): void {
    if (this.#open) this.#timer.set(time)
  }

  /** Delivers nothing any more, at once. */
  close(): void {
    this.#open = false
    this.#closed = true
    this.#page = []
    this.#timer.clear()
    this.#waiting?.resolve()
  }

  #timeCame(): void {
    const { tracker, onExpired } = this.#options
    const now = performance.now()
    if (tracker.expire(now) > 0) onExpired()
    const next = tracker.nextTime(now)
    if (next !== null) this.wakeAt(next)
    this.wake()
  }

  async #run(): Promise<void> {
    try {
      let steps = 0
      do {
        this.#again = false
        while (this.#open && (await this.#step())) {
          if (++steps % STEPS_PER_TURN === 0) await nextTurn()
        }
      } while (this.#open && this.#again)
    } catch (error) {
      if (this.#open) this.#options.onFailed(toLiminalError(error))
    } finally {
      this.#running = false
    }
  }

  /** Does one thing, and returns whether there may be another one to do. */
  async #step(): Promise<boolean> {
    const { log, target, tracker, maxInFlight } = this.#options
    if (log.closed) throw new LiminalError('CHANNEL_CLOSED', `Channel '${log.name}' is closed.`)
    const held = this.#held
    if (held !== null) {
      await this.#until(held)
      this.#released = held
      return true
    }
    const room = target.room()
    if (room <= 0) {
      target.onRoom(() => this.wake())
      return false
    }
    this.#skip()
    const due = tracker.due(performance.now(), REDELIVERED_TOGETHER)
    const window = tracker.isolates ? 1 : maxInFlight
    if (due.length > 0) {
      const most = Math.min(room, window - tracker.out)
      return most > 0 && this.#handOutAgain({ start: due[0].start, end: due[due.length - 1].end }, most)
    }
    const most = Math.min(room, window - tracker.unaccepted, Number(log.next) - tracker.top)
    return most > 0 && tracker.hasRoom && this.#handOut(most)
  }

  /** Passes over what the log does not have any more. */
  #skip(): void {
    const { log, tracker, voice, onSkipped } = this.#options
    const first = Number(log.first)
    if (first <= tracker.watermark) return
    const skipped = tracker.skipTo(first)
    if (skipped === 0) return
    voice.skipped(first, skipped)
    onSkipped()
  }

  /** Hands out the next messages for the first time. */
  async #handOut(most: number): Promise<boolean> {
    const { tracker, recordedBelow } = this.#options
    if (this.#isDamaged(tracker.top)) return false
    const runs = await this.#read(tracker.top, most)
    if (runs === null || !this.#open) return this.#open
    if (tracker.top < recordedBelow) {
      const start = tracker.top
      const end = Math.min(endOf(runs), start + most)
      tracker.handOut(end - start, performance.now(), true)
      this.#page = endOf(runs) > end ? runs : []
      return this.#deliverRecorded(runs, { start, end }, end - start)
    }
    this.#page = []
    for (let index = 0; index < runs.length; index++) {
      if (!this.#deliverNext(runs[index])) {
        // What is left is where to go on, unless it was the end of the target.
        if (this.#open) this.#page = runs.slice(index)
        return this.#open
      }
    }
    return true
  }

  /** Hands out what a run has beyond the last hand-out: the plain case. Returns whether that was all of it. */
  #deliverNext(logged: LoggedRun): boolean {
    const { tracker, target, maxInFlight } = this.#options
    const start = tracker.top
    const count = Number(logged.first) + logged.run.count - start
    const most = Math.min(count, target.room(), maxInFlight - tracker.unaccepted)
    if (most <= 0 || !tracker.hasRoom || this.#held !== null) return false
    const now = performance.now()
    tracker.handOut(most, now)
    this.#leased(now)
    return this.#deliver(logged, { start, end: start + most }, 1) && most === count
  }

  /** Hands out again what is due of a range. */
  async #handOutAgain({ start, end }: PositionRange, most: number): Promise<boolean> {
    const { tracker } = this.#options
    if (this.#isDamaged(start)) return false
    const runs = await this.#read(start, Math.min(most, end - start))
    if (runs === null || !this.#open) return this.#open
    // While that was read, some of it may have been accepted after all.
    const due = tracker.due(performance.now(), REDELIVERED_TOGETHER)
    if (due.length === 0 || due[0].start < start) return true
    const readable = Math.min(endOf(runs), end)
    let left = most
    let handedOut = start
    for (const range of due) {
      const count = Math.min(left, readable - range.start, range.end - range.start)
      if (count <= 0) break
      tracker.handOutAgain(range, count)
      left -= count
      handedOut = range.start + count
    }
    return handedOut === start || this.#deliverRecorded(runs, { start, end: handedOut }, most - left)
  }

  /** Writes down what was handed out of a range, and delivers it then. @param count how many messages that are. */
  async #deliverRecorded(runs: readonly LoggedRun[], range: PositionRange, count: number): Promise<boolean> {
    const { tracker, target, voice, record } = this.#options
    this.#undelivered = count
    // From here on the attempt counts, whatever happens to this process.
    await record()
    for (const logged of runs) {
      const first = Number(logged.first)
      const within = { start: Math.max(first, range.start), end: Math.min(first + logged.run.count, range.end) }
      while (within.start < within.end) {
        if (!(await this.#free())) return false
        const found = tracker.deferred(within)
        if (found === null) break
        const part = { start: found.start, end: Math.min(found.end, found.start + target.room()) }
        const now = performance.now()
        tracker.delivered(part, now)
        this.#undelivered -= part.end - part.start
        this.#leased(now)
        if (!this.#deliver(logged, part, found.attempts)) return false
        if (found.attempts > 1) voice.redelivered(part.start, part.end - part.start, found.attempts)
        within.start = part.end
      }
    }
    this.#undelivered = 0
    return true
  }

  #leased(now: number): void {
    const { leaseMs } = this.#options
    if (leaseMs !== null) this.#timer.set(now + leaseMs)
  }

  /** Delivers a part of a run. Returns whether there is still somebody to deliver to. */
  #deliver(logged: LoggedRun, { start, end }: PositionRange, attempt: number): boolean {
    const { target, tracker, onGone } = this.#options
    const { run, schemaId } = logged
    const offset = start - Number(logged.first)
    const count = end - start
    const part =
      count === run.count ? run : { bytes: run.bytes, columns: run.columns, first: run.first + offset, count }
    if (target.deliver(part, schemaId, { position: BigInt(start), attempt })) return this.#open
    tracker.refused({ start, end })
    onGone()
    return false
  }

  /** Runs from a position on; `null` if there is nothing to be had for now, and the reason was dealt with. */
  async #read(position: number, count: number): Promise<readonly LoggedRun[] | null> {
    const { log, voice } = this.#options
    const kept = this.#page
    if (kept.length > 0 && Number(kept[0].first) <= position && position < endOf(kept)) return kept
    let runs: readonly LoggedRun[]
    try {
      runs = await log.read(BigInt(position), { maxMessages: count, maxBytes: PAGE_BYTES })
      this.#failures = 0
    } catch (thrown) {
      const error = toLiminalError(thrown)
      if (!this.#open) return null
      voice.failed('readFailed', error)
      if (error.code === 'STORE_CORRUPT') this.#damage = { position, error }
      else if (error.retryable) await this.#backOff()
      else throw error
      return null
    }
    if (runs.length > 0 && Number(runs[0].first) <= position) return runs
    // Removed while it was read, or the log was closed: the next step sees it. Anything else would go on for ever.
    if (position < Number(log.first) || log.closed || !this.#open) return null
    throw new LiminalError(
      'INTERNAL',
      `The log of channel '${log.name}' has no message ${position}, which it should have.`,
    )
  }

  /** Whether a message is known to be damaged, and its owner has still to accept some before it. @throws LiminalError `STORE_CORRUPT` once all of them are accepted. */
  #isDamaged(position: number): boolean {
    if (this.#damage?.position !== position) return false
    if (this.#options.tracker.firstUnaccepted < position) return true
    throw this.#damage.error
  }

  /** Waits until the target takes something. Returns whether there is still one. */
  async #free(): Promise<boolean> {
    const { target } = this.#options
    while (this.#open) {
      const held = this.#held
      if (held !== null) {
        await this.#until(held)
        this.#released = held
      } else if (target.room() <= 0) {
        // Room comes also from what makes nobody tell it: a lease that ends.
        const room = new Deferred<void>()
        this.#roomless = room
        target.onRoom(() => room.resolve())
        await this.#until(room.promise)
        this.#roomless = null
      } else {
        return true
      }
    }
    return false
  }

  /** What the target waits for before it takes more. */
  get #held(): Promise<void> | null {
    const held = this.#options.target.hold()
    return held === this.#released ? null : held
  }

  async #backOff(): Promise<void> {
    this.#failures++
    const waited = new Deferred<void>()
    const timer = setTimeout(() => waited.resolve(), drawDelay(BACKOFF, this.#failures))
    timer.unref()
    await this.#until(waited.promise)
    clearTimeout(timer)
  }

  /** Waits for a promise, however it settles, or for the end of the feed. */
  async #until(promise: Promise<void>): Promise<void> {
    const waiting = new Deferred<void>()
    this.#waiting = waiting
    const settled = (): void => waiting.resolve()
    promise.then(settled, settled)
    if (this.#open) await waiting.promise
    this.#waiting = null
  }
}

function endOf(runs: readonly LoggedRun[]): number {
  const last = runs[runs.length - 1]
  return Number(last.first) + last.run.count
}
