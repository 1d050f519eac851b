import { drawDelay, longestDelay } from '../backoff.ts'
import { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import { isFinal } from './dial.ts'
import type { Backoff } from './options.ts'

/** What a reconnection needs from its surroundings. */
export interface ReconnectionParts<Line> {
  /** One attempt. */
  dial(signal: AbortSignal): Promise<Line>
  /** Told before each wait. Attempts count from 1. */
  waiting(attempt: number, delayMs: number): void
  /** From 0 to 1. Default `Math.random`. */
  random?: () => number
}

/** Tries again, with exponential back-off and full jitter, until a connection stands. */
export class Reconnection<Line> {
  readonly #backoff: Backoff
  readonly #parts: ReconnectionParts<Line>
  /** Attempts since a connection last held: what the waits grow with. */
  #attempt = 0
  #connectedAt = 0

  constructor(backoff: Backoff, parts: ReconnectionParts<Line>) {
    this.#backoff = backoff
    this.#parts = parts
  }

  /** A connection stands. */
  connected(): void {
    this.#connectedAt = performance.now()
  }

  /**
   * Resolves with the next connection.
   *
   * The waits do not start small again after a connection that held for less than the next of them could be, or a server that accepts and drops would be
   * hammered. The attempts that may fail are counted anew each time.
   *
   * @throws LiminalError `CONNECTION_FAILED` after the last attempt; `ABORTED`; what makes further attempts useless.
   */
  async run(signal: AbortSignal): Promise<Line> {
    const held = performance.now() - this.#connectedAt
    if (held > longestDelay(this.#backoff, this.#attempt + 1)) this.#attempt = 0
    for (let failed = 1; ; failed++) {
      this.#attempt++
      const delayMs = drawDelay(this.#backoff, this.#attempt, this.#parts.random)
      this.#parts.waiting(this.#attempt, delayMs)
      await pause(delayMs, signal)
      try {
        return await this.#parts.dial(signal)
      } catch (thrown) {
        const error = toLiminalError(thrown)
        if (isFinal(error)) throw error
        if (failed >= this.#backoff.maxAttempts) throw exhausted(failed, error)
      }
    }
  }
}

function exhausted(attempts: number, last: LiminalError): LiminalError {
  const tries = attempts === 1 ? 'one attempt' : `${attempts} attempts`
  return new LiminalError('CONNECTION_FAILED', `Gave up after ${tries} to reconnect. ${last.message}`, { cause: last })
}

/** The timer is not unreferenced: a process that only waits for its server to come back is not done. */
function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer)
      reject(new LiminalError('ABORTED', 'Reconnecting was aborted.', { cause: signal.reason }))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, delayMs)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
