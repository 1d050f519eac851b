import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'

/** `node:diagnostics_channel` on which it is said that a subscription in this process was shed, as {@link SubscriptionEvent}. */
export const SUBSCRIPTION_SHED = 'liminal:subscription:shed'
/** `node:diagnostics_channel` on which it is said that a subscription's handler threw, as {@link SubscriptionEvent}. */
export const HANDLER_FAILED = 'liminal:subscription:handler-failed'

/** What ended a subscription. */
export interface SubscriptionEvent {
  readonly channel: string
  readonly error: unknown
}

const shed = diagnosticsChannel(SUBSCRIPTION_SHED)
const handlerFailed = diagnosticsChannel(HANDLER_FAILED)

/** Says that a subscription was shed. Costs nothing when nobody listens. */
export function saySubscriptionShed(channel: string, error: LiminalError): void {
  if (shed.hasSubscribers) shed.publish({ channel, error } satisfies SubscriptionEvent)
}

/** Says that a handler threw. */
export function sayHandlerFailed(channel: string, error: unknown): void {
  if (handlerFailed.hasSubscribers) handlerFailed.publish({ channel, error } satisfies SubscriptionEvent)
}
