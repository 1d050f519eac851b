import type { PublishForm } from './process/messages.ts'

/** One publisher, some subscribers. */
interface Stream {
  readonly kind: 'stream'
  readonly form: Exclude<PublishForm, 'durable'>
  readonly size: number
  readonly subscribers: number
  /** Messages not yet acknowledged, at most; nothing to `unacknowledged`. */
  readonly inFlight: number
  /** The end-to-end window, in messages: what is published and not yet reported by every subscriber. */
  readonly window: number
  /** Messages handed to the client in one turn of the event loop, at most. */
  readonly burst: number
}

/** One asker, one responder. */
interface Ask {
  readonly kind: 'ask'
  readonly size: number
  readonly inFlight: number
}

/** One publisher, acknowledged from the disk. */
interface Durable {
  readonly kind: 'durable'
  readonly size: number
  readonly inFlight: number
}

/** Subscribed connections on which nothing happens. */
interface Idle {
  readonly kind: 'idle'
  readonly connections: number
}

interface Named {
  readonly name: WorkloadName
  readonly title: string
  /** What `rate` counts. */
  readonly unit: string
}

export type WorkloadName = 'W1' | 'W2' | 'W3' | 'W4' | 'W4-single' | 'W5' | 'W6' | 'W7' | 'W8'

export type Workload = Named & (Stream | Ask | Durable | Idle)

const MESSAGE_BYTES = 128

/**
 * What is measured. The windows are wide enough that no system runs dry between two reports, and narrow enough that what waits in a server stays below the limits
 * at which brokers drop: 4 MiB for one subscriber, 50 MiB for a hundred, 16 MiB of large messages.
 */
export const WORKLOADS: readonly Workload[] = [
  {
    name: 'W1',
    title: '1 publisher to 1 subscriber, 128 B',
    unit: 'messages/s',
    kind: 'stream',
    form: 'unacknowledged',
    size: MESSAGE_BYTES,
    subscribers: 1,
    inFlight: 4_096,
    window: 32_768,
    burst: 512,
  },
  {
    name: 'W2',
    title: '1 publisher to 100 subscribers, 128 B',
    unit: 'deliveries/s',
    kind: 'stream',
    form: 'unacknowledged',
    size: MESSAGE_BYTES,
    subscribers: 100,
    inFlight: 1_024,
    window: 4_096,
    burst: 128,
  },
  {
    name: 'W3',
    title: 'acknowledged publishes, 256 in flight, 128 B',
    unit: 'acknowledgements/s',
    kind: 'stream',
    form: 'acknowledged',
    size: MESSAGE_BYTES,
    subscribers: 1,
    inFlight: 256,
    window: 32_768,
    burst: 256,
  },
  {
    name: 'W4',
    title: 'ask and reply, 64 in flight, 128 B',
    unit: 'requests/s',
    kind: 'ask',
    size: MESSAGE_BYTES,
    inFlight: 64,
  },
  {
    name: 'W4-single',
    title: 'ask and reply, 1 in flight, 128 B',
    unit: 'requests/s',
    kind: 'ask',
    size: MESSAGE_BYTES,
    inFlight: 1,
  },
  {
    name: 'W5',
    title: 'durable acknowledged publishes, 256 in flight, 128 B',
    unit: 'acknowledgements/s',
    kind: 'durable',
    size: MESSAGE_BYTES,
    inFlight: 256,
  },
  {
    name: 'W6',
    title: '1 publisher to 1 subscriber, 64 KiB',
    unit: 'MB/s',
    kind: 'stream',
    form: 'unacknowledged',
    size: 64 * 1024,
    subscribers: 1,
    inFlight: 64,
    window: 256,
    burst: 8,
  },
  { name: 'W7', title: '2,000 idle subscribed connections', unit: 'connections', kind: 'idle', connections: 2_000 },
  {
    name: 'W8',
    title: 'W1 with an idempotency key on every message',
    unit: 'messages/s',
    kind: 'stream',
    form: 'keyed',
    size: MESSAGE_BYTES,
    subscribers: 1,
    inFlight: 4_096,
    window: 32_768,
    burst: 512,
  },
]

/** The workloads that a name given by a person stands for: W4 is measured with one and with many in flight. */
export function workloadsNamed(name: string): readonly Workload[] {
  const found = WORKLOADS.filter((workload) => workload.name === name || workload.name.startsWith(`${name}-`))
  if (found.length === 0)
    throw new Error(`There is no workload ${name}; there are ${WORKLOADS.map((workload) => workload.name).join(', ')}.`)
  return found
}
