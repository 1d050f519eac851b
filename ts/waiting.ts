import { onAbort } from './abort-watch.ts'
import { invalidArgument } from './arguments.ts'
import { LiminalError } from './errors.ts'

/** What can cut a wait short. */
export interface WaitLimits {
  /** Milliseconds until `TIMEOUT`, 0 to {@link MAX_TIMEOUT_MS}. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait with `ABORTED`, its `cause` the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** The longest timeout that a Node timer keeps: about 24.8 days. */
export const MAX_TIMEOUT_MS = 2_147_483_647

/** @throws LiminalError `INVALID_ARGUMENT` for limits that cannot be kept. */
export function checkWait(limits: WaitLimits): void {
  const { timeoutMs, signal } = limits
  checkDuration('timeoutMs', timeoutMs)
  checkSignal(signal)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a time that a timer keeps (or `undefined`). */
export function checkDuration(argument: string, value: unknown): void {
  if (value !== undefined && !(typeof value === 'number' && value >= 0 && value <= MAX_TIMEOUT_MS)) {
    throw invalidArgument(argument, `a number of milliseconds from 0 to ${MAX_TIMEOUT_MS}`, value)
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is an AbortSignal (or `undefined`). */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !isSignal(signal)) throw invalidArgument('signal', 'an AbortSignal', signal)
}

/** What only has the prototype of a signal refuses to be used as one. */
function isSignal(value: unknown): boolean {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean'
  } catch {
    return false
  }
}

/** The error of a wait that its signal ended. `what` says what was waited for, as the subject of a sentence. */
export function abortedError(signal: AbortSignal, what: string): LiminalError {
  return new LiminalError('ABORTED', `${what} was aborted by its signal.`, { cause: signal.reason })
}

/** The error of a wait that took too long. */
export function timeoutError(timeoutMs: number, what: string): LiminalError {
  return new LiminalError('TIMEOUT', `${what} was not done within ${timeoutMs} ms.`)
}

/** @throws LiminalError `ABORTED` if the signal is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw abortedError(signal, what)
}

/**
 * Waits for a promise within limits. Its timer and its listener are gone when it settles; a promise that loses the race may reject later
 * without anybody being bothered.
 *
 * @param options `what` is the subject of the error's sentence, e.g. "The publish to 'orders'".
 * @throws LiminalError `TIMEOUT`, `ABORTED`.
 */
export function waitFor<T>(promise: Promise<T>, options: WaitLimits & { readonly what: string }): Promise<T> {
  const { timeoutMs, signal, what } = options
  if (timeoutMs === undefined && signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    let stopWatching: (() => void) | undefined
    const clean = (): void => {
      clearTimeout(timer)
      stopWatching?.()
    }
    const abort = (): void => {
      clean()
      if (signal !== undefined) reject(abortedError(signal, what))
    }
    promise.then(
      (value) => {
        clean()
        resolve(value)
      },
      (error: unknown) => {
        clean()
        reject(error)
      },
    )
    if (signal?.aborted) {
      abort()
      return
    }
    if (signal !== undefined) stopWatching = onAbort(signal, abort)
    if (timeoutMs !== undefined) {
      timer = setTimeout(() => {
        clean()
        reject(timeoutError(timeoutMs, what))
      }, timeoutMs)
    }
  })
}

/** Waits until something is settled, for so long at most. Never rejects. */
export async function settledWithin(settled: Promise<unknown>, timeoutMs: number): Promise<void> {
  if (timeoutMs === 0) return
  try {
    await waitFor(settled, { timeoutMs, what: 'It' })
  } catch {
    // Whoever waits for so long goes on then, however it ended.
  }
}
