import { invalidArgument } from '../arguments.ts'
import type { ConversationTerms, CrashAction } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'

/**
 * What happens if a participant crashes while it is at a request (spec conversations §6). `'fail'`: whoever waits gets `PARTICIPANT_GONE`, at once. `'route-to-next'`:
 * another participant gets the request, with the attempt raised, three at most. With `compensate`: it fails, after the compensation has run; the error says how that went.
 *
 * A request that was answered is never run again, also if the answer is an error, and neither is one whose participant ended normally.
 */
export type CrashPolicy = CrashAction | { readonly compensate: Compensation }

/** Undoes what a participant may have begun. Runs in the process that asked. */
export type Compensation = (crash: Crash) => unknown

/** What a compensation is told. */
export interface Crash {
  readonly subject: string
  /** What was asked. */
  readonly request: unknown
  /** `PARTICIPANT_GONE`: what became of the participant. */
  readonly error: LiminalError
}

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
  if (compensates && typeof policy.compensate === 'function') return
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

/** Runs the compensation, if there is one and this is what it is for. Returns the error to give to whoever asked. */
export async function compensated(
  policy: CrashPolicy | undefined,
  subject: string,
  request: unknown,
  error: unknown,
): Promise<unknown> {
  if (typeof policy !== 'object' || !(error instanceof LiminalError) || error.code !== 'PARTICIPANT_GONE') return error
  try {
    return new CompensatedError(error, { is: 'done', value: await policy.compensate({ subject, request, error }) })
  } catch (failure) {
    return new CompensatedError(error, { is: 'failed', error: failure })
  }
}
