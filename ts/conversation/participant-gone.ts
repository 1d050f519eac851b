import { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'

/** The error of what waits for a participant that is no more. Its cause is the exit reason. */
export function participantGone(subject: string, reason: ExitReason): LiminalError {
  return new LiminalError('PARTICIPANT_GONE', `The responder of '${subject}' ${ENDINGS[reason.is]}.`, { cause: reason })
}

/** Whether the participant that an error tells of ended normally: it may have done what it was at. */
export function endedNormally({ cause }: LiminalError): boolean {
  try {
    return typeof cause === 'object' && cause !== null && 'is' in cause && cause.is === 'normal'
  } catch {
    // A cause that refuses to be read is none of ours.
    return false
  }
}

const ENDINGS: Record<ExitReason['is'], string> = {
  normal: 'ended before it answered; it may have handled the request, so nobody else is asked',
  error: 'crashed; whether it handled the request is unknown',
  killed: 'was killed; whether it handled the request is unknown',
  noconnection: 'lost its connection; whether it handled the request is unknown',
}
