import { checkName } from '../arguments.ts'
import type { ErrorCode } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import type { MessageSteps } from './steps.ts'

/** What whoever runs the steps of a message elsewhere, in a thread or behind a connection, says of one. */
export interface AskedStep {
  readonly does: 'begin' | 'complete' | 'fail'
  readonly name: string
  readonly ordinal: number
  /** Of one that failed. */
  readonly message?: string | undefined
}

/** What it is told. The output of one that failed is empty. */
export type StepOutcome =
  | { readonly is: 'done'; readonly output: Uint8Array }
  | { readonly is: 'run'; readonly token: string; readonly attempt: number }
  | { readonly is: 'error'; readonly code: ErrorCode; readonly message: string }

const NOTHING = new Uint8Array(0)
const LONGEST_MESSAGE = 1_024

/** Does what is said of a step that is run elsewhere. Never rejects. @param output of one that is done; owned from then on. */
export async function stepAsked(
  steps: MessageSteps,
  { does, name, ordinal, message = '' }: AskedStep,
  output: Uint8Array,
): Promise<StepOutcome> {
  try {
    checkName('name', name)
    if (does === 'begin') return await steps.begin(name, ordinal)
    if (does === 'complete') return { is: 'done', output: await steps.complete(name, ordinal, output) }
    await steps.fail(name, ordinal, message.slice(0, LONGEST_MESSAGE))
    return { is: 'done', output: NOTHING }
  } catch (thrown) {
    const error = toLiminalError(thrown)
    return { is: 'error', code: error.code, message: error.message.slice(0, LONGEST_MESSAGE) }
  }
}
