export { echo, participantFromBehaviour } from '../conversation/index.ts'
export type * from './administration.ts'
export { RemoteAdministration } from './administration-remote.ts'
export { ADMINISTRATION_SUBJECT, answerAdministration } from './administration-wire.ts'
export type * from './bus.ts'
export {
  actionOf,
  CompensatedError,
  type Compensation,
  type CompensationOutcome,
  type Crash,
  type CrashPolicy,
  compensated,
} from './compensation.ts'
export { type BusCore, type BusState, coreOf } from './core.ts'
export { BUS_OPTIONS, type BusOptions, createBus } from './create-bus.ts'
export {
  DeliveryBlock,
  partsOfMark,
  type RejectOptions,
} from './delivery.ts'
export { HANDLER_FAILED, SUBSCRIPTION_SHED, type SubscriptionEvent } from './diagnostics.ts'
export { dispatchWork, type GroupOptions } from './dispatch-work.ts'
export { LocalBus } from './local-bus.ts'
export { partsNotRecorded, withoutJournal } from './local-durable-conversation.ts'
export { LocalResponder } from './local-responder.ts'
export type { SubscriptionQueueLimits } from './local-sink.ts'
export { LocalWorker } from './local-worker.ts'
export { DEFAULT_PART_TIMEOUT_MS, type PartSink, type PartSource, Parts } from './parts.ts'
export { checkPublishOptions, checkSendOptions, checkWaitOptions } from './publish-options.ts'
export {
  type BusCloseOptions,
  checkAskOptions,
  checkBehaviour,
  checkCloseReason,
  checkConversationRequestOptions,
  checkConverseOptions,
  checkDispatchOptions,
  checkOverride,
  checkPlainRequestOptions,
  checkResponderGrace,
  checkRespondOptions,
} from './request-options.ts'
export {
  type CompensationContext,
  runSaga,
  type SagaContext,
  SagaError,
  type SagaOptions,
  type SagaStep,
  type StepCompensation,
} from './saga.ts'
export { type SubscribeSettings, startOf, subscribeArguments } from './subscribe-arguments.ts'
export type * from './subscription.ts'
export { MOST_UNANSWERED, SubscriptionQueue, type SubscriptionQueueOptions } from './subscription-queue.ts'
export { ThreadResponder } from './thread-responder.ts'
export { renewTurn } from './turn.ts'
export {
  checkGrace,
  checkLease,
  checkWorkerOptions,
  MAX_WORKER_CAPACITY,
  type WorkContext,
  type Worker,
  type WorkerCloseOptions,
  type WorkerOptions,
  type WorkerRegistry,
  type WorkerSettings,
  type WorkHandler,
  workerTags,
} from './worker.ts'
