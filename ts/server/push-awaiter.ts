import { onAbort } from '../abort-watch.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import type { ExitReason } from '../process/index.ts'
import { HAS_HEAD, readAnswerHead, readHead } from '../protocol/index.ts'
import { asSentence, toLiminalError } from '../thrown.ts'
import { abortedError, timeoutError, type WaitLimits, waitFor } from '../waiting.ts'
import type { PushEntry } from './push-entry.ts'
import { connectionLost, type Pushes } from './pushes.ts'

/** A push that waits for its answer (spec server §8.2, post-0.2.1 §8). */
export interface PushAwaiter {
  /** Unique among the pushes of the server. */
  readonly correlationId: bigint
  /**
   * The answer. May be asked again: limits given here end this wait and not the push.
   *
   * @throws LiminalError `TIMEOUT` if it takes longer than this wait, or than the push has; `ABORTED`; `CONNECTION_LOST` as soon as the connection is gone; `REMOTE_ERROR` if
   * the peer says that it failed.
   */
  reply(limits?: WaitLimits): Promise<Uint8Array>
}

/** See {@link PushAwaiter}. Settles once: by the answer, its own limits, or the end of the connection. */
export class WaitingPush implements PushAwaiter, PushEntry {
  readonly #pushes: Pushes
  readonly #answer = new Deferred<Uint8Array>()
  readonly #over: () => void
  #id = 0
  #isOpen = true
  #timer: NodeJS.Timeout | null = null
  #stopWatching: (() => void) | null = null

  /** @param over is called once it is settled. */
  constructor(pushes: Pushes, over: () => void) {
    this.#pushes = pushes
    this.#over = over
  }

  get correlationId(): bigint {
    return BigInt(this.#id)
  }

  /** Sends it. @throws LiminalError like {@link Pushes.push}. */
  send(payload: Uint8Array, { timeoutMs, signal }: WaitLimits): void {
    this.#id = this.#pushes.push(payload, null, this)
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.#give(timeoutError(timeoutMs, 'The push')), timeoutMs)
      this.#timer.unref()
    }
    if (signal !== undefined) {
      this.#stopWatching = onAbort(signal, () => this.#give(abortedError(signal, 'The push')))
    }
  }

  reply(limits: WaitLimits = {}): Promise<Uint8Array> {
    return waitFor(this.#answer.promise, { ...limits, what: 'The answer to the push' })
  }

  answered(payload: Uint8Array, flags: number): boolean {
    let content: Uint8Array | null = null
    let error: LiminalError | null = null
    try {
      content = contentOf(payload, flags)
    } catch (thrown) {
      error = toLiminalError(thrown)
    }
    if (content === null && error === null) return false
    this.#close()
    if (content === null) this.#answer.reject(error)
    else this.#answer.resolve(ownBytes(content))
    return true
  }

  gone({ cause }: ExitReason): void {
    if (this.#close()) this.#answer.reject(connectionLost(cause))
  }

  /** Gives it up. */
  #give(error: LiminalError): void {
    if (!this.#close()) return
    this.#pushes.withdraw(this.#id)
    this.#answer.reject(error)
  }

  #close(): boolean {
    if (!this.#isOpen) return false
    this.#isOpen = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#stopWatching?.()
    this.#over()
    return true
  }
}

/** `null` for an extension, which settles nothing. @throws LiminalError `REMOTE_ERROR` if the head says that it failed; `PAYLOAD_INVALID` if it cannot be read. */
function contentOf(bytes: Uint8Array, flags: number): Uint8Array | null {
  if ((flags & HAS_HEAD) === 0) return bytes
  const headed = readHead(bytes)
  const { status = 'done', code, message } = readAnswerHead(headed)
  if (status === 'done') return headed.payload
  if (status === 'extend') return null
  const what = status === 'failed' ? 'failed' : 'was not taken'
  throw new LiminalError(
    'REMOTE_ERROR',
    asSentence(`The push ${what}: ${message ?? code ?? 'the peer did not say why'}`),
  )
}
