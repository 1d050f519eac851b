import { LiminalError } from '../errors.ts'
import type { IteratorConsumer } from './consumers.ts'
import type { Outcome } from './outcome.ts'
import type { Delivery, Subscription } from './subscription.ts'

/** The queue that a subscription ends and writes down. */
interface SubscribedQueue {
  readonly channel: string
  checkpoint(): Promise<void>
  end(): Promise<void>
}

/** The subscriber's view of a queue. */
export class QueuedSubscription<T> implements Subscription<T> {
  readonly channel: string
  readonly #queue: SubscribedQueue
  readonly #iterator: IteratorConsumer<T> | null
  readonly #ready: Outcome
  readonly #closed: Outcome

  constructor(queue: SubscribedQueue, iterator: IteratorConsumer<T> | null, ready: Outcome, closed: Outcome) {
    this.channel = queue.channel
    this.#queue = queue
    this.#iterator = iterator
    this.#ready = ready
    this.#closed = closed
  }

  get closed(): Promise<void> {
    return this.#closed.watch()
  }

  ready(): Promise<void> {
    return this.#ready.watch()
  }

  checkpoint(): Promise<void> {
    return this.#queue.checkpoint()
  }

  close(): Promise<void> {
    return this.#queue.end()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Delivery<T>, undefined> {
    if (this.#iterator === null) {
      const message = `The subscription to '${this.channel}' has a handler; it cannot be iterated too. Subscribe without one.`
      throw new LiminalError('INVALID_ARGUMENT', message)
    }
    return this.#iterator.start()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
