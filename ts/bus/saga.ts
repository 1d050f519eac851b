import { onAbort } from '../abort-watch.ts'
import { checkFunction, checkKnownOptions, checkName, checkOptions, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { asSentence, textOf } from '../thrown.ts'
import { abortedError, checkWait, timeoutError, type WaitLimits, waitFor } from '../waiting.ts'

/** Milliseconds that one compensation has, unless told otherwise. */
const DEFAULT_COMPENSATION_MS = 30_000
/** Most steps of one saga. */
const MAX_STEPS = 1_024

/** What a step knows. @typeParam Results what the steps resolve with, by their names: the caller's word. */
export interface SagaContext<Results extends object = Record<string, unknown>> {
  /** What the steps before it have resolved with, by their names. */
  readonly results: Readonly<Results>
  /** Aborted when the saga is: pass it to whatever the step waits for. */
  readonly signal: AbortSignal
}

/** What a compensation knows. */
export interface CompensationContext<Results extends object = Record<string, unknown>> extends SagaContext<Results> {
  /** The step that failed. */
  readonly failedStep: string
  /** What it failed with. */
  readonly error: unknown
  /** Aborted when the compensation takes too long. Nothing else aborts it: a saga that is aborted is compensated all the same. */
  readonly signal: AbortSignal
}

/** One step of a saga, and how it is undone. */
export interface SagaStep<Result = unknown, Results extends object = Record<string, unknown>> {
  /** Unique in its saga. */
  readonly name: string
  run(context: SagaContext<Results>): Result | PromiseLike<Result>
  /**
   * Undoes the step, whose result it gets. Default: there is nothing to undo. It may be called though the step is undone already, so it should be repeatable. Its parameter's type
   * is its word for what the step resolves with.
   */
  compensate?(result: Result, context: CompensationContext<Results>): unknown
}

export interface SagaOptions extends WaitLimits {
  /** Milliseconds that each compensation has. Default 30,000. */
  readonly compensationMs?: number | undefined
}

/** What became of the compensation of one step. */
export type StepCompensation =
  | { readonly step: string; readonly is: 'done' }
  | { readonly step: string; readonly is: 'failed'; readonly error: unknown }
  /** The step has none. */
  | { readonly step: string; readonly is: 'none' }

/** A saga that did not come to its end. Its cause is what the step failed with. */
export class SagaError extends LiminalError {
  /** The step that failed, or that was next when the saga was aborted. */
  readonly step: string
  /** What was undone, in the order in which that was tried: the last step first. */
  readonly compensations: readonly StepCompensation[]

  constructor(step: string, cause: unknown, compensations: readonly StepCompensation[]) {
    const why = asSentence(textOf(cause))
    const failed = compensations.filter(({ is }) => is === 'failed').map((compensation) => `'${compensation.step}'`)
    const undone = failed.length === 0 ? 'What was done before is undone.' : `Not undone: ${failed.join(', ')}.`
    super('SAGA_FAILED', `The step '${step}' of the saga failed: ${why} ${undone}`, { cause })
    this.step = step
    this.compensations = compensations
  }

  /** Whether everything that can be undone is. */
  get isCompensated(): boolean {
    return this.compensations.every(({ is }) => is !== 'failed')
  }

  override get name(): string {
    return 'SagaError'
  }
}

/**
 * Runs steps one after the other. If one fails, or the saga is aborted or takes too long, the compensations of those that are done run in reverse order, each of them, also if
 * one fails. The step that failed is not compensated: whoever fails leaves nothing behind, or says so by succeeding.
 *
 * A step that is still running when the saga is aborted, or its time is over, is waited for, because what it does has to be undone; its signal is aborted. So `timeoutMs` is no bound
 * for steps that do not listen to it.
 *
 * ```ts
 * const { hotel, flight } = await runSaga<{ hotel: Booking; flight: Booking }>([
 *   { name: 'hotel', run: ({ signal }) => bus.ask('book-hotel', trip, { signal }), compensate: (booking) => bus.ask('cancel-hotel', booking) },
 *   { name: 'flight', run: ({ results }) => bus.ask('book-flight', results.hotel) },
 * ])
 * ```
 *
 * @returns the results of the steps by their names.
 * @throws LiminalError `INVALID_ARGUMENT` before anything ran; SagaError (as a rejection).
 */
export async function runSaga<Results extends object = Record<string, unknown>>(
  steps: readonly SagaStep<unknown, Results>[],
  options: SagaOptions = {},
): Promise<Results> {
  const saga = checkSaga(steps, options)
  const { timeoutMs, signal, compensationMs = DEFAULT_COMPENSATION_MS } = options
  const stopped = new AbortController()
  const abort = (): void => {
    if (signal !== undefined) stopped.abort(abortedError(signal, 'The saga'))
  }
  if (signal?.aborted) abort()
  const stopWatching = signal === undefined ? null : onAbort(signal, abort)
  const timer =
    timeoutMs === undefined ? null : setTimeout(() => stopped.abort(timeoutError(timeoutMs, 'The saga')), timeoutMs)
  const results: Record<string, unknown> = Object.create(null)
  // The type parameter is the caller's word for what the steps resolve with.
  const seen = results as Results
  const done: SagaStep<unknown, Results>[] = []
  try {
    for (const step of saga) {
      try {
        stopped.signal.throwIfAborted()
        results[step.name] = await step.run({ results: seen, signal: stopped.signal })
        done.push(step)
      } catch (error) {
        throw new SagaError(step.name, error, await undo(done, results, seen, step.name, error, compensationMs))
      }
    }
    // Too late for the last step, which is undone with the others.
    if (stopped.signal.aborted) {
      const { reason } = stopped.signal
      const last = done.at(-1)?.name ?? ''
      throw new SagaError(last, reason, await undo(done, results, seen, last, reason, compensationMs))
    }
    return seen
  } finally {
    if (timer !== null) clearTimeout(timer)
    stopWatching?.()
  }
}

/** Compensates the last step first. Never rejects. */
async function undo<Results extends object>(
  done: readonly SagaStep<unknown, Results>[],
  results: Readonly<Record<string, unknown>>,
  seen: Results,
  failedStep: string,
  error: unknown,
  compensationMs: number,
): Promise<StepCompensation[]> {
  const compensations: StepCompensation[] = []
  for (const undone of [...done].reverse()) {
    const { name: step } = undone
    if (undone.compensate === undefined) {
      compensations.push({ step, is: 'none' })
      continue
    }
    const late = new AbortController()
    const context: CompensationContext<Results> = { results: seen, failedStep, error, signal: late.signal }
    try {
      const running = (async () => undone.compensate?.(results[step], context))()
      await waitFor(running, { timeoutMs: compensationMs, what: `The compensation of '${step}'` })
      compensations.push({ step, is: 'done' })
    } catch (failure) {
      late.abort(failure)
      compensations.push({ step, is: 'failed', error: failure })
    }
  }
  return compensations
}

/** @throws LiminalError `INVALID_ARGUMENT`. */
function checkSaga<Results extends object>(
  steps: readonly SagaStep<unknown, Results>[],
  options: SagaOptions,
): readonly SagaStep<unknown, Results>[] {
  if (!Array.isArray(steps) || steps.length > MAX_STEPS) {
    throw invalidArgument('steps', `an array of at most ${MAX_STEPS} steps`, steps)
  }
  const names = new Set<string>()
  for (const step of steps) {
    checkOptions('steps[]', step)
    checkKnownOptions('steps[]', step, ['name', 'run', 'compensate'])
    checkName('steps[].name', step.name)
    if (names.has(step.name)) throw invalidArgument('steps[].name', 'unique in its saga', step.name)
    names.add(step.name)
    checkFunction('steps[].run', step.run)
    if (step.compensate !== undefined) checkFunction('steps[].compensate', step.compensate)
  }
  checkOptions('options', options)
  checkKnownOptions('options', options, ['timeoutMs', 'signal', 'compensationMs'])
  checkWait(options)
  checkWait({ timeoutMs: options.compensationMs })
  // What is added while it runs was not looked at.
  return [...steps]
}
