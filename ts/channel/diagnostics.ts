import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'

/** `node:diagnostics_channel` on which each refused publish is said, as {@link PublishRefused}. */
export const PUBLISH_REFUSED = 'liminal:publish:refused'
/** `node:diagnostics_channel` on which it is said that a subscription broke its contract and was removed, as {@link SinkFailed}. */
export const SINK_FAILED = 'liminal:sink:failed'

/** `node:diagnostics_channel` on which it is said that messages could not be stored, as {@link AppendFailed}. Their publishers know. */
export const APPEND_FAILED = 'liminal:append:failed'

/** Messages that were not stored. */
export interface AppendFailed {
  readonly channel: string
  readonly error: LiminalError
}

/** A publish that left no trace. */
export interface PublishRefused {
  readonly channel: string
  readonly error: LiminalError
}

/** A subscription that threw where it must not; the others got their messages. */
export interface SinkFailed {
  readonly channel: string
  readonly subscriptionId: bigint
  readonly error: unknown
}

/** `node:diagnostics_channel` on which it is said that a subscription could not read a log and was ended, as {@link LogReadFailed}. */
export const LOG_READ_FAILED = 'liminal:log:read-failed'

/** A log that could not be read. */
export interface LogReadFailed {
  readonly channel: string
  readonly error: LiminalError
}

/** `node:diagnostics_channel` on which it is said that old messages or keys could not be removed, as {@link RetentionFailed}. It is tried again within a minute. */
export const RETENTION_FAILED = 'liminal:retention:failed'

/** A log whose old messages could not be removed. */
export interface RetentionFailed {
  readonly channel: string
  readonly error: LiminalError
}

/** `node:diagnostics_channel` on which it is said that not all that a removed channel had stored could be deleted, as {@link RemovalFailed}. The next start of the bus tries it again. */
export const REMOVAL_FAILED = 'liminal:removal:failed'

/** A channel that is gone, and of which something is stored still. */
export interface RemovalFailed {
  readonly channel: string
  readonly error: LiminalError
}

const publishRefused = diagnosticsChannel(PUBLISH_REFUSED)
const sinkFailed = diagnosticsChannel(SINK_FAILED)
const appendFailed = diagnosticsChannel(APPEND_FAILED)

const logReadFailed = diagnosticsChannel(LOG_READ_FAILED)

/** Says that a log could not be read. */
export function sayLogReadFailed(channel: string, error: LiminalError): void {
  if (logReadFailed.hasSubscribers) logReadFailed.publish({ channel, error } satisfies LogReadFailed)
}

const retentionFailed = diagnosticsChannel(RETENTION_FAILED)

/** Says that old messages could not be removed. */
export function sayRetentionFailed(channel: string, error: LiminalError): void {
  if (retentionFailed.hasSubscribers) retentionFailed.publish({ channel, error } satisfies RetentionFailed)
}

const removalFailed = diagnosticsChannel(REMOVAL_FAILED)

/** Says that not all of a removed channel could be deleted. */
export function sayRemovalFailed(channel: string, error: LiminalError): void {
  if (removalFailed.hasSubscribers) removalFailed.publish({ channel, error } satisfies RemovalFailed)
}

/** Says that messages were not stored. */
export function sayAppendFailed(channel: string, error: LiminalError): void {
  if (appendFailed.hasSubscribers) appendFailed.publish({ channel, error } satisfies AppendFailed)
}

/** Says that a publish was refused. Costs nothing when nobody listens. */
export function sayPublishRefused(channel: string, error: LiminalError): void {
  if (publishRefused.hasSubscribers) publishRefused.publish({ channel, error } satisfies PublishRefused)
}

/** Says that a sink threw. */
export function saySinkFailed(channel: string, subscriptionId: bigint, error: unknown): void {
  if (sinkFailed.hasSubscribers) sinkFailed.publish({ channel, subscriptionId, error } satisfies SinkFailed)
}
