import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'
import type { ConsumerExit } from './consumer.ts'
import type { Reroute } from './dispatch-outcome.ts'

/** `node:diagnostics_channel` on which it is said that a consumer of a group has ended, as {@link ConsumerEnded}. */
export const CONSUMER_ENDED = 'liminal:consumer:ended'
/** `node:diagnostics_channel` on which it is said that a message goes to another consumer, as {@link DispatchRerouted}. */
export const DISPATCH_REROUTED = 'liminal:dispatch:rerouted'
/** `node:diagnostics_channel` on which it is said that an answer came to a dispatch that wants it no more, as {@link AnswerRefused}. */
export const ANSWER_REFUSED = 'liminal:dispatch:answer-refused'
/** `node:diagnostics_channel` on which it is said that a routing function gave no choice, as {@link RoutingFailed}. */
export const ROUTING_FAILED = 'liminal:routing:failed'

export interface ConsumerEnded {
  readonly group: string
  readonly consumer: string
  readonly exit: ConsumerExit
  /** Messages that were in flight to it. */
  readonly inFlight: number
}

export interface DispatchRerouted {
  readonly group: string
  readonly reroute: Reroute
}

export interface AnswerRefused {
  readonly group: string
  readonly consumer: string
  /** The attempt that was answered. */
  readonly attempt: number
  /** What it was answered with, if it was a failure. */
  readonly error: unknown
}

export interface RoutingFailed {
  readonly group: string
  readonly error: LiminalError
}

const consumerEnded = diagnosticsChannel(CONSUMER_ENDED)
const dispatchRerouted = diagnosticsChannel(DISPATCH_REROUTED)
const answerRefused = diagnosticsChannel(ANSWER_REFUSED)
const routingFailed = diagnosticsChannel(ROUTING_FAILED)

export function sayConsumerEnded(event: ConsumerEnded): void {
  if (consumerEnded.hasSubscribers) consumerEnded.publish(event)
}

export function sayDispatchRerouted(group: string, reroute: Reroute): void {
  if (dispatchRerouted.hasSubscribers) dispatchRerouted.publish({ group, reroute } satisfies DispatchRerouted)
}

export function sayAnswerRefused(group: string, consumer: string, attempt: number, error: unknown): void {
  if (answerRefused.hasSubscribers) {
    answerRefused.publish({ group, consumer, attempt, error } satisfies AnswerRefused)
  }
}

export function sayRoutingFailed(group: string, error: LiminalError): void {
  if (routingFailed.hasSubscribers) routingFailed.publish({ group, error } satisfies RoutingFailed)
}
