export { ALL_CAPABILITIES, Capability, EXTENSION_MASK } from './capabilities.ts'
export * from './columns.ts'
export * from './constants.ts'
export { type DurableOpenTerms, readDurableTerms, withDurableTerms } from './durable-terms.ts'
export * from './flags.ts'
export * from './frames.ts'
export {
  type AnswerHead,
  type DispatchHead,
  HEAD_PREFIX_BYTES,
  type Headed,
  type HeadField,
  LARGEST_HEAD_BYTES,
  type OutcomeHead,
  type RequestHead,
  type RerouteHead,
  readAnswerHead,
  readDispatchHead,
  readHead,
  readOutcomeHead,
  readRequestHead,
  readStepAnswer,
  readStepQuestion,
  readWorkHead,
  type StepAnswer,
  type StepQuestion,
  type WorkHead,
  withHead,
} from './heads.ts'
export { codeOf, EXTENSION_REASONS_START, ReasonCode, reasonOf } from './reasons.ts'
export {
  type CursorTerms,
  readSubscribeTerms,
  type SubscribeTerms,
  type TermsCheckpoint,
  type TermsStart,
  withSubscribeTerms,
} from './subscribe-terms.ts'
export { LARGEST_TERMS_BYTES } from './terms.ts'
