export { AbandonableMessage } from './abandonable-message.ts'
export { type Behaviour, type BehaviourContext, echo, participantFromBehaviour } from './behaviour.ts'
export { ConversationCore, type ConversationPhase } from './conversation-core.ts'
export { ConversationRegistry, type ConversationRegistryOptions, type Registration } from './conversation-registry.ts'
export { BEHAVIOUR_FAILED, type BehaviourFailed, SEND_FAILED, type SendFailed } from './diagnostics.ts'
export type { Exchange } from './exchange.ts'
export type {
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
  ParticipantSource,
} from './participant.ts'
