import { LiminalError } from '../errors.ts'
import { isThenable } from '../thenable.ts'
import type { Delivery, DeliveryHandler } from './subscription.ts'
import { spendTurn } from './turn.ts'

/** What a consumer takes its deliveries from: the queue of a subscription. */
export interface DeliverySource<T> {
  readonly channel: string
  /** Whether asking for the next delivery accepts those before it. */
  readonly acceptsAutomatically: boolean
  /** The next delivery, if there is one and `maxInFlight` allows it. */
  take(): Delivery<T> | undefined
  /** Up to `most` deliveries, within `maxInFlight`. */
  takeBatch(most: number): readonly Delivery<T>[]
  /** Accepts everything handed out. */
  acceptAll(): void
  /** How it ended, once nothing is left to hand out; `null` before. */
  readonly outcome: SourceOutcome | null
  /** The subscriber wants no more. */
  end(): Promise<void>
  /** The subscriber's handler threw. */
  handlerFailed(error: unknown): void
}

export type SourceOutcome = { readonly is: 'closed' } | { readonly is: 'failed'; readonly error: unknown }

/** Who takes the deliveries of a queue. */
export interface Consumer {
  /** There may be something to do: a delivery came, room was made, or the end. */
  wake(): void
}

interface Waiter<T> {
  resolve(result: IteratorResult<Delivery<T>, undefined>): void
  reject(error: unknown): void
}

/** Takes deliveries one by one. Leaving the loop ends the subscription. */
export class IteratorConsumer<T> implements Consumer, AsyncIterableIterator<Delivery<T>, undefined> {
  readonly #source: DeliverySource<T>
  #waiters: Waiter<T>[] = []
  #started = false
  #threw = false

  constructor(source: DeliverySource<T>) {
    this.#source = source
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Hands the iterator out. @throws LiminalError `INVALID_ARGUMENT` while somebody else iterates. */
  start(): this {
    if (this.#started && this.#source.outcome === null) {
      const message = `The subscription to '${this.#source.channel}' is iterated already. Subscribe once for each loop.`
      throw new LiminalError('INVALID_ARGUMENT', message)
    }
    this.#started = true
    this.#threw = false
    return this
  }

  next(): Promise<IteratorResult<Delivery<T>, undefined>> {
    if (this.#waiters.length === 0) {
      if (this.#source.acceptsAutomatically) this.#source.acceptAll()
      const value = this.#source.take()
      if (value !== undefined) return Promise.resolve({ done: false, value })
      const { outcome } = this.#source
      if (outcome !== null) return this.#finish(outcome)
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  async return(): Promise<IteratorResult<Delivery<T>, undefined>> {
    await this.#source.end()
    return { done: true, value: undefined }
  }

  wake(): void {
    while (this.#waiters.length > 0) {
      // Who asked for several at once is past the first of them.
      if (this.#source.acceptsAutomatically) this.#source.acceptAll()
      const value = this.#source.take()
      if (value === undefined) break
      this.#waiters.shift()?.resolve({ done: false, value })
    }
    const { outcome } = this.#source
    if (outcome === null) return
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) this.#finish(outcome).then(waiter.resolve, waiter.reject)
  }

  /** An error is thrown once, as by a generator; behind it there is nothing. */
  #finish(outcome: SourceOutcome): Promise<IteratorResult<Delivery<T>, undefined>> {
    if (outcome.is === 'failed' && !this.#threw) {
      this.#threw = true
      return Promise.reject(outcome.error)
    }
    return Promise.resolve({ done: true, value: undefined })
  }
}

/** Deliveries that a handler gets in one call, at most. */
const BATCH = 512

/** Hands batches to a handler: no promise at all while it is synchronous, the next batch after the last one settled where it is not. */
export class HandlerConsumer<T> implements Consumer {
  readonly #source: DeliverySource<T>
  readonly #handler: DeliveryHandler<T>
  /** A drain is scheduled or running, or the handler has not settled. */
  #busy = false
  readonly #drain = (): void => {
    this.#busy = false
    this.#handOut()
  }

  constructor(source: DeliverySource<T>, handler: DeliveryHandler<T>) {
    this.#source = source
    this.#handler = handler
  }

  wake(): void {
    if (this.#busy) return
    this.#busy = true
    // Never at once: a handler that runs inside a publish would see the next message before other subscribers saw this one.
    queueMicrotask(this.#drain)
  }

  #handOut(): void {
    for (;;) {
      const batch = this.#source.takeBatch(BATCH)
      if (batch.length === 0) return
      this.#busy = true
      let later: Promise<unknown> | null
      try {
        const result: unknown = this.#handler(batch)
        later = isThenable(result) ? Promise.resolve(result) : null
      } catch (error) {
        this.#source.handlerFailed(error)
        return
      }
      if (later !== null) {
        later.then(this.#settled, (error: unknown) => this.#source.handlerFailed(error))
        return
      }
      this.#source.acceptAll()
      if (spendTurn(batch.length)) {
        setImmediate(this.#drain)
        return
      }
      this.#busy = false
    }
  }

  readonly #settled = (): void => {
    this.#source.acceptAll()
    this.#drain()
  }
}
