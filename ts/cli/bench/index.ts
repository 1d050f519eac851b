/** Benchmarks of the bus between real processes: the library behind `liminal bench`. */
export { benchAsk } from './ask.ts'
export { type BenchPubSubOptions, benchPubSub } from './pubsub.ts'
export type { BenchOptions, BenchReport, Check, Latency } from './report.ts'
