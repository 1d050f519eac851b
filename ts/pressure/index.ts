export { Congestion, type CongestionLimits } from './congestion.ts'
export { Outbox, type OutboxOptions } from './outbox.ts'
export { PreparedHead, setTarget } from './prepared-head.ts'
