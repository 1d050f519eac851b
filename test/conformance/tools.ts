import { expect } from 'vitest'
import type { Delivery, Subscription } from '../../ts/bus/index.ts'
import { type ErrorCode, LiminalError } from '../../ts/errors.ts'

/** A promise and its ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** Expects a call to fail with a LiminalError of a code, whether it throws or rejects, and returns that error. */
export async function failure(call: () => unknown, code: ErrorCode): Promise<LiminalError> {
  let error: unknown
  try {
    await call()
  } catch (thrown) {
    error = thrown
  }
  expect(error, `expected ${code}, but nothing failed`).toBeDefined()
  if (!(error instanceof LiminalError)) throw error
  expect(error.code, error.message).toBe(code)
  return error
}

/** Takes deliveries without leaving the loop, which would end the subscription. */
export class Taker<T> {
  readonly #iterator: AsyncIterator<Delivery<T>>

  constructor(subscription: Subscription<T>) {
    this.#iterator = subscription[Symbol.asyncIterator]()
  }

  async next(): Promise<Delivery<T>> {
    const result = await this.#iterator.next()
    if (result.done) throw new Error('The subscription has ended.')
    return result.value
  }

  async values(count: number): Promise<T[]> {
    const values: T[] = []
    while (values.length < count) values.push((await this.next()).value)
    return values
  }

  /** Expects the end of the iteration. */
  async end(): Promise<void> {
    expect(await this.#iterator.next()).toEqual({ done: true, value: undefined })
  }

  /** Expects the iteration to fail. */
  fails(code: ErrorCode): Promise<LiminalError> {
    return failure(() => this.#iterator.next(), code)
  }
}

/** Collects what a handler gets, and tells when there is enough. */
export class Collector<T> {
  readonly values: T[] = []
  readonly #waiting: { count: number; met: Deferred<void> }[] = []

  readonly handler = (deliveries: readonly Delivery<T>[]): void => {
    for (const delivery of deliveries) this.values.push(delivery.value)
    for (const { count, met } of this.#waiting) if (this.values.length >= count) met.resolve()
  }

  async reach(count: number): Promise<readonly T[]> {
    if (this.values.length < count) {
      const met = deferred()
      this.#waiting.push({ count, met })
      await met.promise
    }
    return this.values
  }
}

/** 0, 1, 2 ... */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
