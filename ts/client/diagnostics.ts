import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'

/** `node:diagnostics_channel` on which it is said that something pushed here was not done, as {@link PushFailed}. */
export const PUSH_FAILED = 'liminal:push:failed'

export interface PushFailed {
  readonly correlationId: bigint
  /** What it was asked under; `null` for a push that is no work. */
  readonly subject: string | null
  /** `RESPONDER_FAILED`, whose cause is what was thrown; `NO_RESPONDER`, `PARTICIPANT_GONE`, `PAYLOAD_INVALID`, `LIMIT_EXCEEDED`. */
  readonly error: LiminalError
  /** Whether the server can be told. It cannot without the extension `WORK`: the push stays unanswered until whoever waits for it gives up. */
  readonly told: boolean
}

const pushFailed = diagnosticsChannel(PUSH_FAILED)

/** Says that a push failed. Costs nothing when nobody listens. */
export function sayPushFailed(
  correlationId: number | bigint,
  subject: string | null,
  error: LiminalError,
  told: boolean,
): void {
  if (!pushFailed.hasSubscribers) return
  pushFailed.publish({ correlationId: BigInt(correlationId), subject, error, told } satisfies PushFailed)
}
