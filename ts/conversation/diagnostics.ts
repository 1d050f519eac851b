import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import type { LiminalError } from '../errors.ts'

/** `node:diagnostics_channel` on which it is said that a behaviour threw or answered with something that cannot be sent, as {@link BehaviourFailed}. */
export const BEHAVIOUR_FAILED = 'liminal:behaviour:failed'
/** `node:diagnostics_channel` on which it is said that a message nobody waits for was not processed, as {@link SendFailed}. */
export const SEND_FAILED = 'liminal:conversation:send-failed'

/** `node:diagnostics_channel` on which it is said that a request went to another participant, as {@link ConversationRerouted}. */
export const CONVERSATION_REROUTED = 'liminal:conversation:rerouted'
/** `node:diagnostics_channel` on which it is said that an answer came from an older attempt, or to nobody, as {@link ConversationAnswerRefused}. */
export const CONVERSATION_ANSWER_REFUSED = 'liminal:conversation:answer-refused'

/** Times are milliseconds on the clock of `performance.now()`. */
export interface ConversationRerouted {
  readonly subject: string
  readonly conversationId: bigint
  /** The attempt that ended, from 1. */
  readonly attempt: number
  /** Why. */
  readonly error: LiminalError
  /** When the exit was observed. */
  readonly observedAt: number
  /** When the request was on its way to another participant. */
  readonly startedAt: number
}

export interface ConversationAnswerRefused {
  readonly subject: string
  readonly conversationId: bigint
  /** The attempt that answered. */
  readonly attempt: number
}

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

const rerouted = diagnosticsChannel(CONVERSATION_REROUTED)
const answerRefused = diagnosticsChannel(CONVERSATION_ANSWER_REFUSED)

/** Says that a request went to another participant. */
export function sayRerouted(event: ConversationRerouted): void {
  if (rerouted.hasSubscribers) rerouted.publish(event)
}

/** Says that an answer came too late to count. */
export function sayAnswerRefused(subject: string, conversationId: bigint, attempt: number): void {
  if (!answerRefused.hasSubscribers) return
  answerRefused.publish({ subject, conversationId, attempt } satisfies ConversationAnswerRefused)
}

/** `node:diagnostics_channel` on which it is said that the end of a durable conversation could not be put in place of its journal, or not be forgotten, as {@link JournalFailed}. */
export const CONVERSATION_JOURNAL_FAILED = 'liminal:conversation:journal-failed'

/** Nothing is lost: it is tried again. */
export interface JournalFailed {
  /** `*` where it is about none in particular. */
  readonly subject: string
  readonly key: string
  readonly error: LiminalError
}

const journalFailed = diagnosticsChannel(CONVERSATION_JOURNAL_FAILED)

/** Says that the journal of a conversation that is over could not be cleared away. */
export function sayJournalFailed(subject: string, key: string, error: LiminalError): void {
  if (journalFailed.hasSubscribers) journalFailed.publish({ subject, key, error } satisfies JournalFailed)
}
