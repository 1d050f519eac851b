import type { Usage } from './crew.ts'
import { Histogram, type HistogramCounts } from './histogram.ts'
import type { TallyCounts } from './tally.ts'

/** What to measure. Every process connects by itself; all run on this machine. */
export interface BenchOptions {
  /** Messages (or requests) in total, spread evenly over the publishers (or askers). At least one each. */
  readonly messages: number
  /** Bytes of a payload, at least 16. */
  readonly size: number
  /** Processes that publish, or ask. */
  readonly publishers: number
  /** Processes that subscribe, or respond. */
  readonly subscribers: number
  /** Publishes awaiting their receipt, or requests awaiting their reply, in each process. */
  readonly inFlight: number
  /** A running server, or null to start one in a process of its own. */
  readonly url: string | null
  /** Default: none. */
  readonly authToken?: string
  /** The channel, or the subject. Default `'bench'`. */
  readonly name?: string
  /** Gets the number of messages that arrived so far, out of how many, a few times a second. */
  readonly onProgress?: (arrived: number, expected: number) => void
  /** Ends the run with `ABORTED`. */
  readonly signal?: AbortSignal
  /** Milliseconds without a single arrival after which the run fails with `TIMEOUT`. Default 30,000. */
  readonly stallMs?: number
}

/** How long things took, in milliseconds. Null where nothing arrived. */
export interface Latency {
  readonly p50: number | null
  readonly p99: number | null
  readonly max: number | null
}

/** What arrived, summed over all processes that receive. */
export interface Check extends TallyCounts {
  readonly expected: number
  /** Expected and never received. */
  readonly lost: number
}

/** The outcome of a benchmark. */
export interface BenchReport {
  readonly benchmark: 'pubsub' | 'ask'
  readonly mode: 'acknowledged' | 'unacknowledged' | 'ask'
  readonly messages: number
  readonly size: number
  readonly publishers: number
  readonly subscribers: number
  readonly inFlight: number
  /** Which codec the server uses; null with a server that runs elsewhere. */
  readonly serverCodec: string | null
  /** From the first publish (request) to the last arrival (reply). */
  readonly seconds: number
  /** Published messages, or answered requests, each counted once. */
  readonly messagesPerSecond: number
  /** From the call of publish, send or ask to the handler, or to the reply. Under full load that is mostly the time spent waiting in line. */
  readonly latencyMilliseconds: Latency
  /** CPU time of the server process for each message, user and system; null with a server that runs elsewhere. */
  readonly serverCpuMicrosecondsPerMessage: number | null
  /** The largest resident memory of each kind of process. */
  readonly peakRssBytes: { readonly server: number | null; readonly publisher: number; readonly subscriber: number }
  readonly check: Check
  /** Whether everything arrived, once, whole and in order. */
  readonly passed: boolean
}

/** What one run measured. */
export interface Measured extends Pick<BenchReport, 'benchmark' | 'mode' | 'serverCodec' | 'seconds' | 'check'> {
  /** What the server had used when it began, and at the end; null with a server that runs elsewhere. */
  readonly before: Usage | null
  readonly after: Usage | null
  readonly latencies: readonly { readonly latency: HistogramCounts }[]
  /** Those that publish, or ask. */
  readonly publishers: readonly Peak[]
  /** Those that subscribe, or respond. */
  readonly subscribers: readonly Peak[]
}

/** The largest resident memory of one process. */
interface Peak {
  readonly peakRssBytes: number
}

/** Sums a run up. */
export function reportOf(options: BenchOptions, measured: Measured): BenchReport {
  const { benchmark, mode, serverCodec, seconds, check, before, after } = measured
  const { messages, size, publishers, subscribers, inFlight } = options
  return {
    benchmark,
    mode,
    messages,
    size,
    publishers,
    subscribers,
    inFlight,
    serverCodec,
    seconds,
    messagesPerSecond: messages / seconds,
    latencyMilliseconds: latencyOf(measured.latencies.map(({ latency }) => latency)),
    serverCpuMicrosecondsPerMessage:
      before === null || after === null ? null : (after.cpuMicroseconds - before.cpuMicroseconds) / messages,
    peakRssBytes: {
      server: after?.peakRssBytes ?? null,
      publisher: peakOf(measured.publishers),
      subscriber: peakOf(measured.subscribers),
    },
    check,
    passed: passes(check),
  }
}

function peakOf(processes: readonly Peak[]): number {
  return Math.max(...processes.map(({ peakRssBytes }) => peakRssBytes))
}

/** Spreads messages over sources, as evenly as it gets. */
export function sizesOf(messages: number, sources: number): number[] {
  const least = Math.floor(messages / sources)
  return Array.from({ length: sources }, (_, source) => least + (source < messages % sources ? 1 : 0))
}

/** Sums up what the receiving processes saw of `expected` messages. */
export function checkOf(counts: readonly TallyCounts[], expected: number): Check {
  const sum = (field: keyof TallyCounts) => counts.reduce((total, count) => total + count[field], 0)
  const received = sum('received')
  return {
    expected,
    received,
    lost: expected - received,
    duplicates: sum('duplicates'),
    outOfOrder: sum('outOfOrder'),
    corrupt: sum('corrupt'),
  }
}

export function passes({ lost, duplicates, outOfOrder, corrupt }: Check): boolean {
  return lost === 0 && duplicates === 0 && outOfOrder === 0 && corrupt === 0
}

export function latencyOf(parts: readonly HistogramCounts[]): Latency {
  const all = new Histogram()
  for (const part of parts) all.add(part)
  const milliseconds = (share: number) => {
    const microseconds = all.quantile(share)
    return microseconds === null ? null : microseconds / 1_000
  }
  return { p50: milliseconds(0.5), p99: milliseconds(0.99), max: milliseconds(1) }
}
