import { Deferred } from '../deferred.ts'
import type { LiminalError } from '../errors.ts'
import { type WaitLimits, waitFor } from '../waiting.ts'

/** Those who wait for room to `send`: all of them are told at once. */
export class RoomLine {
  readonly #waiting = new Set<Deferred<void>>()

  /** Resolves with the next {@link open}. @param what as in `waitFor`. @throws what the line was ended with, and like `waitFor`. */
  wait(what: string, limits: WaitLimits): Promise<void> {
    const room = new Deferred<void>()
    this.#waiting.add(room)
    return waitFor(room.promise, { ...limits, what }).finally(() => this.#waiting.delete(room))
  }

  /** There is room. */
  open(): void {
    for (const room of this.#waiting) room.resolve()
    this.#waiting.clear()
  }

  /** There will be none. */
  end(error: LiminalError): void {
    for (const room of this.#waiting) room.reject(error)
    this.#waiting.clear()
  }
}
