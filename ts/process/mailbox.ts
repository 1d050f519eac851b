import { onAbort } from '../abort-watch.ts'
import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import { abortedError, timeoutError, type WaitLimits } from '../waiting.ts'
import { type Received, Signal } from './received.ts'
import { titleOf } from './record.ts'
import type { Held, Turn } from './turn.ts'

interface Waiter<M> {
  readonly resolve: (received: Received<M>) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout | undefined
  readonly stopWatching: (() => void) | undefined
}

/** Whose mailbox it is. */
export interface MailboxOwner {
  readonly pid: number
  readonly name: string | null
  /** A request to exit was taken out. */
  asked(): void
}

/**
 * What a process has not received yet, first in, first out. Messages have a cap. Signals have none and need none: there is one for each link
 * and monitor, and a lost exit would be a lie.
 */
export class Mailbox<M> implements Held {
  readonly #capacity: number
  readonly #turn: Turn
  readonly #owner: MailboxOwner
  #entries: Deque<M | Signal> | null = null
  #messages = 0
  #waiter: Waiter<M> | null = null
  #isHeld = false

  constructor(capacity: number, turn: Turn, owner: MailboxOwner) {
    this.#capacity = capacity
    this.#turn = turn
    this.#owner = owner
  }

  get capacity(): number {
    return this.#capacity
  }

  /** Messages and signals that wait. */
  get size(): number {
    return this.#entries === null ? 0 : this.#entries.size
  }

  /** Whether somebody waits for the next. */
  get isAwaited(): boolean {
    return this.#waiter !== null
  }

  /** @returns whether there was room. */
  put(message: M): boolean {
    if (this.#messages >= this.#capacity) return false
    this.#messages++
    this.#push(message)
    return true
  }

  putSignal(signal: Signal): void {
    this.#push(signal)
  }

  /** See `Self.next`. */
  next(limits: WaitLimits): Promise<Received<M>> {
    const { timeoutMs, signal } = limits
    if (this.#waiter !== null) {
      const message = `${titleOf(this.#owner)} receives already. Await one 'next' before you call it again.`
      return Promise.reject(new LiminalError('NOT_SUPPORTED', message))
    }
    if (signal?.aborted) return Promise.reject(abortedError(signal, this.#what()))
    if (this.#hasNext() && this.#turn.spend()) return Promise.resolve(this.#take())
    return new Promise((resolve, reject) => {
      const stopWatching =
        signal === undefined ? undefined : onAbort(signal, () => this.#fail(abortedError(signal, this.#what())))
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#expire(timeoutMs), timeoutMs)
      this.#waiter = { resolve, reject, timer, stopWatching }
      this.#deliver()
    })
  }

  /** Drops what waits, and fails with `error` whoever waits for it. */
  close(error: () => LiminalError): void {
    this.#entries = null
    this.#messages = 0
    if (this.#waiter !== null) this.#fail(error())
  }

  resume(): void {
    this.#isHeld = false
    this.#deliver()
  }

  #push(entry: M | Signal): void {
    this.#entries ??= new Deque()
    this.#entries.push(entry)
    if (this.#waiter !== null) this.#deliver()
  }

  #deliver(): void {
    const waiter = this.#waiter
    if (waiter === null || this.#isHeld || !this.#hasNext()) return
    if (this.#turn.spend()) {
      this.#release(waiter)
      waiter.resolve(this.#take())
    } else {
      this.#isHeld = true
      this.#turn.hold(this)
    }
  }

  /** Drops what a cancelled monitor has left behind, and says whether anything else waits. */
  #hasNext(): boolean {
    const entries = this.#entries
    if (entries === null) return false
    for (let entry = entries.at(0); entry instanceof Signal && entry.isCancelled; entry = entries.at(0)) entries.shift()
    return entries.size > 0
  }

  #take(): Received<M> {
    const entry = this.#entries?.shift()
    if (entry instanceof Signal) {
      if (entry.received.is === 'exit-request') this.#owner.asked()
      return entry.received
    }
    this.#messages--
    // `undefined` may be a message: that there is an entry is the caller's word.
    return { is: 'message', message: entry as M }
  }

  #expire(timeoutMs: number): void {
    const waiter = this.#waiter
    if (waiter === null) return
    if (!this.#hasNext()) {
      this.#fail(timeoutError(timeoutMs, this.#what()))
      return
    }
    // It was there in time and only waited for the next turn.
    this.#release(waiter)
    waiter.resolve(this.#take())
  }

  #fail(error: LiminalError): void {
    const waiter = this.#waiter
    if (waiter === null) return
    this.#release(waiter)
    waiter.reject(error)
  }

  #release(waiter: Waiter<M>): void {
    this.#waiter = null
    clearTimeout(waiter.timer)
    waiter.stopWatching?.()
  }

  #what(): string {
    return `The receive of ${titleOf(this.#owner)}`
  }
}
