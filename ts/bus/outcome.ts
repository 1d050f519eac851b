import { Deferred } from '../deferred.ts'

/** How something ends, once, and whether anybody wants to know. */
export class Outcome {
  readonly #end = new Deferred<void>()
  #watched = false

  /** The promise, for whoever wants to know. */
  watch(): Promise<void> {
    this.#watched = true
    return this.#end.promise
  }

  /** Whether anybody took the promise. */
  get watched(): boolean {
    return this.#watched
  }

  /** Settles well. Without effect if settled. */
  resolve(): void {
    this.#end.resolve()
  }

  /** Settles with an error. Without effect if settled. */
  reject(error: unknown): void {
    this.#end.reject(error)
  }
}
