import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'

/** `node:diagnostics_channel` on which it is said that a behaviour threw or answered with something that cannot be sent, as {@link BehaviourFailed}. */
export const BEHAVIOUR_FAILED = 'liminal:behaviour:failed'
/** `node:diagnostics_channel` on which it is said that a message nobody waits for was not processed, as {@link SendFailed}. */
export const SEND_FAILED = 'liminal:conversation:send-failed'

export interface BehaviourFailed {
  readonly subject: string
  readonly conversationId: bigint
  /** `RESPONDER_FAILED`; its cause is what was thrown. */
  readonly error: LiminalError
}

export interface SendFailed {
  readonly subject: string
  readonly conversationId: bigint
  readonly error: LiminalError
}

const behaviourFailed = diagnosticsChannel(BEHAVIOUR_FAILED)
const sendFailed = diagnosticsChannel(SEND_FAILED)

/** Says that a behaviour failed. Costs nothing when nobody listens. */
export function sayBehaviourFailed(subject: string, conversationId: bigint, error: LiminalError): void {
  if (behaviourFailed.hasSubscribers) {
    behaviourFailed.publish({ subject, conversationId, error } satisfies BehaviourFailed)
  }
}

/** Says that a message without a waiting sender was not processed. */
export function saySendFailed(subject: string, conversationId: bigint, error: LiminalError): void {
  if (sendFailed.hasSubscribers) sendFailed.publish({ subject, conversationId, error } satisfies SendFailed)
}
