export { AbandonableMessage, type MessageTerms } from './abandonable-message.ts'
export { type AskedStep, type StepOutcome, stepAsked } from './asked-step.ts'
export {
  type Behaviour,
  type BehaviourContext,
  type ConversationContext,
  echo,
  participantFromBehaviour,
  type SourceOptions,
  type TurnBehaviour,
} from './behaviour.ts'
export type { ConversationCore } from './conversation-core.ts'
export { ConversationFrames, causalBytes, messageHeadBytes, openBytes } from './conversation-frames.ts'
export type { ConversationEvent } from './conversation-history.ts'
export { ConversationRegistry, type ConversationRegistryOptions } from './conversation-registry.ts'
export type {
  ConversationDetails,
  ConversationOwner,
  ConversationPhase,
  ConversationTerms,
  CrashAction,
} from './conversation-terms.ts'
export {
  BEHAVIOUR_FAILED,
  type BehaviourFailed,
  CONVERSATION_ANSWER_REFUSED,
  CONVERSATION_JOURNAL_FAILED,
  CONVERSATION_REROUTED,
  type ConversationAnswerRefused,
  type ConversationRerouted,
  type JournalFailed,
  SEND_FAILED,
  type SendFailed,
  saySendFailed,
} from './diagnostics.ts'
export type { Exchange, ExchangeObserver } from './exchange.ts'
export { checkIsolation, IsolatedResponder, type IsolationOptions, moduleUrl } from './isolated-responder.ts'
export type { DurableConversation } from './journal/durable-conversation.ts'
export type { DurableConversations, DurableTerms } from './journal/durable-conversations.ts'
export type { RequestWaiter } from './journal/durable-request.ts'
export {
  type AbandonListener,
  type ConversationInfo,
  type MessageFate,
  PART_WINDOW,
  type Participant,
  type ParticipantMessage,
  type ParticipantSource,
  type TakenListener,
} from './participant.ts'
export { participantGone } from './participant-gone.ts'
export type { RegisterOptions, Registration } from './source-registration.ts'
export { type MessageSteps, type StepContext, type StepFunction, StepRunner, type StepStart } from './steps.ts'
export { Work } from './work.ts'
