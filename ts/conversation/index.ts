export { AbandonableMessage } from './abandonable-message.ts'
export { type Behaviour, type BehaviourContext, echo, participantFromBehaviour } from './behaviour.ts'
export { ConversationCore, type ConversationOwner, type ConversationPhase } from './conversation-core.ts'
export { ConversationFrames, causalBytes, messageHeadBytes, openBytes } from './conversation-frames.ts'
export { ConversationRegistry, type ConversationRegistryOptions, type Registration } from './conversation-registry.ts'
export { BEHAVIOUR_FAILED, type BehaviourFailed, SEND_FAILED, type SendFailed } from './diagnostics.ts'
export type { Exchange, ExchangeObserver } from './exchange.ts'
export type {
  AbandonListener,
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
  ParticipantSource,
} from './participant.ts'
