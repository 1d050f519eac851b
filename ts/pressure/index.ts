export { Congestion, type CongestionLimits } from './congestion.ts'
export { Outbox, type OutboxOptions } from './outbox.ts'
export { fitsKeyedHead, PreparedHead, setTarget } from './prepared-head.ts'
