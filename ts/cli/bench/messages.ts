import type { HistogramCounts } from './histogram.ts'
import type { TallyCounts } from './tally.ts'

/** What every process that connects is told first. */
export interface Assignment {
  readonly url: string
  readonly authToken: string | null
  /** The channel (`pubsub`) or the subject (`ask`). */
  readonly name: string
  /** Marks this run's messages. */
  readonly run: number
  /** Bytes of a payload. */
  readonly size: number
  /** How many messages each source sends. */
  readonly sizes: readonly number[]
  /** See `RunClock`. */
  readonly epoch: number
}

/** What a process that sends is told beside. */
export interface SourceAssignment extends Assignment {
  /** Its place in `sizes`. */
  readonly source: number
  /** Requests underway at the same time. */
  readonly inFlight: number
}

export type ServerDown = { readonly type: 'usage' }
export type ServerUp =
  | { readonly type: 'listening'; readonly url: string; readonly codec: string }
  | { readonly type: 'usage'; readonly cpuMicroseconds: number; readonly peakRssBytes: number }

export type PublisherDown =
  | ({ readonly type: 'prepare'; readonly acknowledged: boolean } & SourceAssignment)
  | { readonly type: 'go' }
export type PublisherUp =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly startedAt: number; readonly peakRssBytes: number }

export type SubscriberDown = { readonly type: 'prepare' } & Assignment
export type SubscriberUp =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly received: number }
  | {
      readonly type: 'done'
      readonly counts: TallyCounts
      readonly latency: HistogramCounts
      readonly endedAt: number
      readonly peakRssBytes: number
    }

export type AskerDown = ({ readonly type: 'prepare' } & SourceAssignment) | { readonly type: 'go' }
export type AskerUp =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly received: number }
  | {
      readonly type: 'done'
      readonly counts: TallyCounts
      readonly latency: HistogramCounts
      readonly startedAt: number
      readonly endedAt: number
      readonly peakRssBytes: number
    }

export type ResponderDown = ({ readonly type: 'prepare' } & Assignment) | { readonly type: 'count' }
export type ResponderUp =
  | { readonly type: 'ready' }
  | { readonly type: 'count'; readonly counts: TallyCounts; readonly peakRssBytes: number }

/** The largest resident memory that this process ever had, in bytes. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
