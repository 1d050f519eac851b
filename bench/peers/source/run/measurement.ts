/** What is noted of every run. */
export interface Metrics {
  /** Deliveries (requests with W4, acknowledgements with W3 and W5) each second; megabytes with W6; connections with W7. */
  rate: number
  /** Microseconds of CPU time, user and system, for each delivery, request or acknowledgement. Publisher: or asker; subscriber: or responder. */
  serverCpu?: number
  publisherCpu?: number
  subscriberCpu?: number
  /** Microseconds from a request to its reply, from a publish to its acknowledgement. */
  p50?: number
  p99?: number
  p999?: number
  /** Bytes of resident memory at its peak. */
  serverPeak?: number
  publisherPeak?: number
  subscriberPeak?: number
  /** Bytes allocated in the JavaScript heap of the server for each delivery, and milliseconds of garbage collection each second; Node servers only. */
  allocated?: number
  collecting?: number
  /** KiB of the server's resident memory for each idle connection. */
  connectionMemory?: number
  /** Microseconds of the server's CPU time each second while nothing happens. */
  idleCpu?: number
  /** Shares of the machine's processors that other processes used, and that its host took. */
  foreign: number
  stolen: number
  /** Load average when the measured phase began. */
  load: number
}

export type Metric = keyof Metrics

/** How long and how much is measured. */
export interface Effort {
  readonly runs: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Messages of one phase, at most. */
  readonly messages: number
  /** Seconds from the last idle connection to the first look at the server: what a new connection leaves to do is done by then. */
  readonly settleSeconds: number
  /** Seconds for which idle connections are watched. */
  readonly idleSeconds: number
}

/** One run of one workload on one system. */
export interface Run {
  readonly workload: string
  readonly system: string
  /** From 1. */
  readonly run: number
  readonly metrics: Metrics
}

/** A run that lost, repeated, reordered or corrupted messages, got stuck, or broke down. */
export interface FailedRun {
  readonly workload: string
  readonly system: string
  readonly run: number
  readonly error: string
}
