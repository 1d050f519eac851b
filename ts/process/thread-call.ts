import type { LiminalError } from '../errors.ts'
import type { ExitReason } from './exit.ts'

/** What is asked of the function in a thread. Both are copied. */
export interface ThreadRequest {
  readonly request: unknown
  /** It gets these, a `signal`, and a function `step`. */
  readonly context: Readonly<Record<string, unknown>>
  readonly inParts: boolean
  /** Whether the result is sent; without it `undefined` is. Default: true. */
  readonly resultWanted?: boolean
  /** Whether the steps of the function are recorded by the observer; without it `context.step` simply runs them. Default: false. */
  readonly recordsSteps?: boolean
}

/** A call in a thread, for whoever made it. */
export interface ThreadCall {
  /** So many parts were taken. */
  take(count: number): void
  /** Nobody wants the result any more: the `signal` of the function is aborted, and nothing is heard of the call. A thread that does not react is killed. */
  abandon(error: LiminalError): void
}

/** Hears what becomes of a call: parts as they come, then one of the others, once. What it throws is said on `liminal:process:stray-error`. */
export interface ThreadCallObserver {
  part(value: unknown): void
  returned(value: unknown): void
  threw(thrown: ThrownInThread): void
  /** The parts are over. `value`: what their generator returned, `undefined` for nothing. */
  ended(value: unknown): void
  /** It answers in parts, and they were not wanted. */
  inParts(): void
  /** The thread is gone, and the call with it. */
  lost(reason: ExitReason): void
  /** It says something of a step, and waits for the answer. Called only if its steps are recorded. */
  step?(step: ThreadStep, answer: (answer: ThreadStepAnswer) => void): void
}

/** What the function says of one of its steps, see {@link ThreadRequest.recordsSteps}. */
export interface ThreadStep {
  readonly does: 'begin' | 'complete' | 'fail'
  readonly name: string
  readonly ordinal: number
  /** Of one that failed. */
  readonly message?: string | undefined
  /** Of one that is done: JSON text, empty for `undefined`. */
  readonly output?: string | undefined
}

/** What it is told. */
export type ThreadStepAnswer =
  | { readonly is: 'done'; readonly output: string }
  | { readonly is: 'run'; readonly token: string; readonly attempt: number }
  | { readonly is: 'error'; readonly code: string; readonly message: string }

/** What was thrown in a thread, as far as it can be told outside. */
export interface ThrownInThread {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The `code` of the error, if it had one. */
  readonly code?: string | undefined
}

/** What was thrown in a thread as an error of this side. */
export function thrownInThread({ name, message, stack, code }: ThrownInThread): Error {
  const error = new Error(message)
  error.name = name
  if (stack !== undefined) error.stack = stack
  return code === undefined ? error : Object.assign(error, { code })
}
