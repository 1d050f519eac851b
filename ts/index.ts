/**
 * liminal-bus: a conversation-native messaging bus. {@link createBus} gives a bus in this process, {@link serve} puts it on the network, {@link connect} reaches
 * one over it; all three speak the same {@link Bus} interface. The codec alone is `liminal-bus/codec`.
 *
 * @packageDocumentation
 */
export {
  type AskOptions,
  type Behaviour,
  type BehaviourContext,
  type Bus,
  type BusOptions,
  type Channel,
  type ChannelHandleOptions,
  type Conversation,
  type ConverseOptions,
  createBus,
  type Delivery,
  type DeliveryHandler,
  echo,
  HANDLER_FAILED,
  type LocalBus,
  type PayloadKind,
  type PublishOptions,
  type Receipt,
  type Responder,
  type RespondOptions,
  type SendCounts,
  type SendOptions,
  SUBSCRIPTION_SHED,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionEvent,
  type SubscriptionQueueLimits,
  type WaitOptions,
} from './bus/index.ts'
export {
  type ChannelDeclaration,
  type IdempotencyLimits,
  PUBLISH_REFUSED,
  type PublishRefused,
  SINK_FAILED,
  type SinkFailed,
} from './channel/index.ts'
export {
  type ClientOptions,
  type ConnectionState,
  type ConnectionStatus,
  connect,
  type ReconnectOptions,
  type RemoteBus,
} from './client/index.ts'
export {
  BEHAVIOUR_FAILED,
  type BehaviourFailed,
  SEND_FAILED,
  type SendFailed,
} from './conversation/index.ts'
export { type ErrorCode, LiminalError, type LiminalErrorOptions, ProtocolError } from './errors.ts'
export { type CausalContext, DEFAULT_PORT } from './protocol/index.ts'
export { SchemaViolationError, type Violation } from './schema/index.ts'
export {
  ACCEPT_FAILED,
  type AcceptFailed,
  type BusServer,
  type CloseOptions,
  CONNECTION_REFUSED,
  type ConnectionRefused,
  createServer,
  DEFAULT_LIMITS,
  SESSION_CLOSED,
  SESSION_FAILED,
  SESSION_OPENED,
  SESSION_SHED,
  type Server,
  type ServerAddress,
  type ServerLimits,
  type ServerOptions,
  type SessionClosed,
  type SessionFailed,
  type SessionInfo,
  type SessionOpened,
  type SessionPhase,
  type SessionShed,
  serve,
} from './server/index.ts'
