export { type AffinityOptions, affinity, byPredicate, leastLoaded, type PredicateRule, roundRobin } from './built-in.ts'
export { type CompiledPredicate, compilePredicate } from './compile.ts'
export {
  type Consumer,
  ConsumerCrashError,
  ConsumerEndedError,
  type ConsumerExit,
  type ConsumerView,
  type DeliveryContext,
  type ExitListener,
  HandedBackError,
  isHandedBack,
  MAX_TAGS,
} from './consumer.ts'
export { ConsumerGroup, type ConsumerGroupOptions, type Membership } from './consumer-group.ts'
export {
  ANSWER_REFUSED,
  type AnswerRefused,
  CONSUMER_ENDED,
  type ConsumerEnded,
  DISPATCH_REROUTED,
  type DispatchRerouted,
  ROUTING_FAILED,
  type RoutingFailed,
} from './diagnostics.ts'
export type { DispatchOptions } from './dispatch.ts'
export { DispatchError, type DispatchHistory, type DispatchOutcome, type Reroute } from './dispatch-outcome.ts'
export { evaluatePredicate } from './evaluate.ts'
export { fieldPath, MAX_PATH_SEGMENTS } from './field-path.ts'
export { type FieldPath, formatFieldPath } from './field-path-text.ts'
export {
  type IsolatedRouting,
  type IsolatedRoutingOptions,
  type IsolatedRoutingRequest,
  isolatedRouting,
} from './isolated-routing.ts'
export {
  type AndPredicate,
  and,
  type ComparisonOperator,
  type ComparisonPredicate,
  checkPredicate,
  compare,
  type ExistsPredicate,
  exists,
  type InPredicate,
  type Literal,
  MAX_PREDICATE_CLAUSES,
  MAX_PREDICATE_DEPTH,
  type NotPredicate,
  not,
  type OrPredicate,
  oneOf,
  or,
  type Predicate,
  type PrefixPredicate,
  type RangePredicate,
  range,
  startsWith,
} from './predicate.ts'
export { PredicateSyntaxError } from './predicate-syntax-error.ts'
export { formatPredicate, parsePredicate } from './predicate-text.ts'
export {
  type Candidates,
  type Choice,
  RoutingError,
  type RoutingFailure,
  type RoutingFunction,
  type RoutingFunctionOptions,
  type RoutingRequest,
  routingFunction,
} from './routing-function.ts'
export { type RouteEntry, RoutingTable } from './routing-table.ts'
