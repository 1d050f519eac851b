import type { Check } from '../measure/message.ts'
import type { Latency } from '../measure/statistics.ts'

/** Where a server listens on 127.0.0.1, and where it keeps files. */
export interface Endpoint {
  readonly port: number
  /** Where subscribers and responders connect; the same as `port` for most systems. */
  readonly receivePort: number
  readonly directory: string
}

/** How messages are handed to a system without acknowledgements: as they are, or each with an idempotency key of its own. */
export type UnacknowledgedForm = 'unacknowledged' | 'keyed'

/** How messages are handed to a system that acknowledges them: when it has them, or once they are stored. */
export type AcknowledgedForm = 'acknowledged' | 'durable'

/** How messages are handed to a system. */
export type PublishForm = UnacknowledgedForm | AcknowledgedForm

/** How a system hands messages over. */
export type ReceiveForm = 'fastest' | 'iterator'

/** What a process needs to know of the run that it takes part in. */
export interface Assignment {
  /** Module name of the client, see `clients/`. */
  readonly client: string
  readonly endpoint: Endpoint
  /** Tells this run's messages from any other's. */
  readonly run: number
  /** Bytes of each message. */
  readonly size: number
}

/** What a client process is to be. */
export type Role =
  | {
      readonly kind: 'publisher'
      readonly form: PublishForm
      /** Messages not yet acknowledged, at most; for unacknowledged forms there is no such limit. */
      readonly inFlight: number
      /** Messages that not every subscriber has reported, at most; null where there is no subscriber. */
      readonly window: number | null
      /** Messages handed over in one turn of the event loop, at most. */
      readonly burst: number
      /** Subscribed connections to wait for, by systems that do not confirm a subscription. */
      readonly subscribers: number
    }
  | {
      readonly kind: 'subscriber'
      readonly connections: number
      readonly form: ReceiveForm
      /** Messages between two reports of progress. */
      readonly stride: number
    }
  | { readonly kind: 'asker'; readonly inFlight: number }
  | { readonly kind: 'responder' }
  | { readonly kind: 'idler' }
  | { readonly kind: 'reader' }

/** What the orchestrator tells a process. */
export type Down =
  | { readonly type: 'prepare'; readonly assignment: Assignment; readonly role: Role }
  /** Publish or ask for so many seconds, and so many messages at most. */
  | { readonly type: 'phase'; readonly seconds: number; readonly messages: number }
  /** Every subscriber has all messages before this one. */
  | { readonly type: 'progress'; readonly through: number }
  /** Say what was found so far. */
  | { readonly type: 'check' }
  /** Open so many more idle connections. */
  | { readonly type: 'open'; readonly connections: number }
  /** Start a server. */
  | { readonly type: 'serve'; readonly server: string; readonly workload: string; readonly directory: string }
  /** Count garbage collections and allocation from now on. */
  | { readonly type: 'watch-heap' }
  | { readonly type: 'report-heap' }

/** What a JavaScript heap went through between two moments. */
export interface HeapReport {
  readonly allocatedBytes: number
  readonly collections: number
  readonly collectionMilliseconds: number
}

/** What a process tells the orchestrator. */
export type Up =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly through: number }
  /** A phase of publishing or asking is over on this side. Times are of `now()`. */
  | {
      readonly type: 'published'
      readonly startedAt: number
      readonly endedAt: number
      /** Messages of this phase. */
      readonly messages: number
      readonly latency: Latency | null
    }
  /** Every connection has the last message of the phase. */
  | { readonly type: 'finished'; readonly endedAt: number }
  /** What each connection found. */
  | { readonly type: 'checked'; readonly check: readonly Check[] }
  | { readonly type: 'opened' }
  | {
      readonly type: 'listening'
      readonly port: number
      readonly receivePort: number
      /** What runs there: a version, a codec. */
      readonly about: string
    }
  | { readonly type: 'heap'; readonly report: HeapReport }
  | { readonly type: 'failed'; readonly message: string }
