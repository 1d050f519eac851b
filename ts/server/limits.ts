import { checkOptions, invalidArgument } from '../arguments.ts'
import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/index.ts'

/**
 * What a server grants its peers at most. Every value is an integer of at least 1. A peer that hits one gets a typed error (`LIMIT_EXCEEDED`, unless said
 * otherwise) and keeps its connection; what exists already is not disturbed.
 */
export interface ServerLimits {
  /** Connections at once. Default 1,024. One more is told so by ConnectError and closed. */
  readonly connections: number
  /** Live subscriptions of one connection. Default 1,024. */
  readonly subscriptionsPerConnection: number
  /** Conversations that one connection opened, its responders included; and, counted apart, those that it answers. Default 4,096 each. */
  readonly conversationsPerConnection: number
  /** Requests of one connection without a reply yet; and, counted apart, requests that it has to answer. Default 4,096 each. */
  readonly pendingRequestsPerConnection: number
  /**
   * Payload bytes of one connection's requests without a reply yet. Default 64 MiB. One more is refused. As many bytes of their replies may wait for room in the
   * outbox; a reply past that is replaced by the error.
   */
  readonly pendingRequestBytesPerConnection: number
  /** Pushes to one connection without an answer, those of `Server.push`; work is bounded by the capacity of the worker. Default 32. */
  readonly pushesPerConnection: number
  /** Bytes of the largest frame taken or sent, header included, 1,024 at least. Default 16 MiB. A larger one from a peer ends its connection. */
  readonly frameBytes: number
  /**
   * Bytes that may wait for one connection's socket. Default 16 MiB. A subscription that does not fit is shed (`SUBSCRIPTION_SHED`); a peer that leaves its
   * replies unread until they do not fit is not read until it takes them, and disconnected if it takes none.
   */
  readonly outboxBytes: number
  /** Bytes of deliveries that may wait for the credit of one subscription. Default 4 MiB. One more sheds it. */
  readonly subscriptionQueueBytes: number
  /** The same for all subscriptions of one connection together. Default 16 MiB. The one that needs more is shed. */
  readonly queueBytesPerConnection: number
}

/** What holds unless told otherwise. */
export const DEFAULT_LIMITS: ServerLimits = {
  connections: 1_024,
  subscriptionsPerConnection: 1_024,
  conversationsPerConnection: 4_096,
  pendingRequestsPerConnection: 4_096,
  pendingRequestBytesPerConnection: 64 * 1024 * 1024,
  pushesPerConnection: 32,
  frameBytes: DEFAULT_MAX_FRAME_BYTES,
  outboxBytes: 16 * 1024 * 1024,
  subscriptionQueueBytes: 4 * 1024 * 1024,
  queueBytesPerConnection: 16 * 1024 * 1024,
}

/** What a frame length may be: room for the handshake, and no more than a decoder can address. */
const FRAME_BYTES_RANGE = [1_024, 0x7fff_ffff] as const

/** The limits to go by. @throws LiminalError `INVALID_ARGUMENT` that names the limit that is unknown or out of range. */
export function resolveLimits(limits: Partial<ServerLimits> = {}): ServerLimits {
  checkOptions('limits', limits)
  const resolved = { ...DEFAULT_LIMITS, ...limits }
  for (const [name, value] of Object.entries(resolved)) {
    if (!(name in DEFAULT_LIMITS))
      throw invalidArgument('limits', `made of ${Object.keys(DEFAULT_LIMITS).join(', ')}`, limits)
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalidArgument(`limits.${name}`, 'an integer of at least 1', value)
  }
  const [least, most] = FRAME_BYTES_RANGE
  if (resolved.frameBytes < least || resolved.frameBytes > most) {
    throw invalidArgument('limits.frameBytes', `an integer from ${least} to ${most}`, resolved.frameBytes)
  }
  return resolved
}
