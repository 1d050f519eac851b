import { checkKnownOptions, invalidArgument } from '../arguments.ts'
import type { ConversationTerms, CrashAction } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { asLiminalError } from '../thrown.ts'
import { checkDuration, waitFor } from '../waiting.ts'

/**
 * What happens if a participant crashes while it is at a request (spec conversations §6). `'fail'`: whoever waits gets `PARTICIPANT_GONE`, at once. `'route-to-next'`:
 * another participant gets the request, with the attempt raised, three at most. With `compensate`: it fails, after the compensation has run; the error says how that went.
 *
 * A request that was answered is never run again, also if the answer is an error, and neither is one whose participant ended normally.
 */
export type CrashPolicy =
  | CrashAction
  | {
      readonly compensate: Compensation
      /** Milliseconds that the compensation has; the request fails then without waiting for it any longer. Default 30,000. */
      readonly compensationMs?: number | undefined
    }

/** Undoes what a participant may have begun. Runs in the process that asked, whatever its request has for a timeout or a signal. */
export type Compensation = (crash: Crash) => unknown

/** What a compensation is told. */
export interface Crash {
  readonly subject: string
  /** What was asked. */
  readonly request: unknown
  /** `PARTICIPANT_GONE`: what became of the participant. */
  readonly error: LiminalError
  /** Aborted when the compensation takes too long, and when the bus ends. */
  readonly signal: AbortSignal
}

/** Milliseconds that a compensation has, unless told otherwise. */
const DEFAULT_COMPENSATION_MS = 30_000

/** How a compensation went. */
export type CompensationOutcome =
  | { readonly is: 'done'; readonly value: unknown }
  | { readonly is: 'failed'; readonly error: unknown }

/** The participant crashed, and the compensation ran. Its code is `PARTICIPANT_GONE`, its cause the error without the compensation. Not retryable: what was done is undone. */
export class CompensatedError extends LiminalError {
  readonly compensation: CompensationOutcome

  constructor(error: LiminalError, compensation: CompensationOutcome) {
    const how = compensation.is === 'done' ? 'It was compensated' : 'Its compensation failed'
    super('PARTICIPANT_GONE', `${error.message} ${how}.`, { cause: error, retryable: false })
    this.compensation = compensation
  }

  override get name(): string {
    return 'CompensatedError'
  }
}

/** @throws LiminalError `INVALID_ARGUMENT`. */
export function checkCrashPolicy(policy: unknown): void {
  if (policy === undefined || policy === 'fail' || policy === 'route-to-next') return
  const compensates = typeof policy === 'object' && policy !== null && 'compensate' in policy
  if (compensates && typeof policy.compensate === 'function') {
    checkKnownOptions('onCrash', policy, ['compensate', 'compensationMs'])
    if ('compensationMs' in policy) checkDuration('onCrash.compensationMs', policy.compensationMs)
    return
  }
  throw invalidArgument('onCrash', "'fail', 'route-to-next', or an object with a function 'compensate'", policy)
}

/** What the bus itself does on a crash: compensations are the asker's. */
export function actionOf(policy: CrashPolicy | undefined): CrashAction {
  return policy === 'route-to-next' ? policy : 'fail'
}

/** The terms of a conversation, `null` if they are the usual ones. */
export function termsOf(policy: CrashPolicy | undefined): ConversationTerms | null {
  return policy === 'route-to-next' ? REROUTED : null
}

const REROUTED: ConversationTerms = { onCrash: 'route-to-next' }

/**
 * Runs the compensation, if there is one and this is what it is for. Returns the error to give to whoever asked. Never rejects.
 *
 * @param ending aborted when the bus ends, and no compensation is waited for any longer.
 */
export async function compensated(
  policy: CrashPolicy | undefined,
  subject: string,
  request: unknown,
  thrown: unknown,
  ending: AbortSignal,
): Promise<unknown> {
  const error = asLiminalError(thrown)
  if (typeof policy !== 'object' || error?.code !== 'PARTICIPANT_GONE') return thrown
  const { compensate, compensationMs: timeoutMs = DEFAULT_COMPENSATION_MS } = policy
  const late = new AbortController()
  const running = (async () => compensate({ subject, request, error, signal: late.signal }))()
  try {
    const what = `The compensation of the request to '${subject}'`
    return new CompensatedError(error, {
      is: 'done',
      value: await waitFor(running, { timeoutMs, signal: ending, what }),
    })
  } catch (cause) {
    const failure = ending.aborted ? ending.reason : cause
    late.abort(failure)
    return new CompensatedError(error, { is: 'failed', error: failure })
  }
}
