import { checkBoolean, checkInteger, checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { type ChannelDeclaration, ChannelRegistry, type IdempotencyLimits } from '../channel/index.ts'
import { ConversationRegistry, echo, participantFromBehaviour } from '../conversation/index.ts'
import { ProcessSystem } from '../process/index.ts'
import { DEFAULT_MAX_FRAME_BYTES, DELIVER_HEAD_BYTES } from '../protocol/index.ts'
import { checkDuration } from '../waiting.ts'
import { LocalBus } from './local-bus.ts'
import type { SubscriptionQueueLimits } from './local-sink.ts'

/** The largest envelope that a Deliver frame of the default size has room for. */
const DEFAULT_MAX_MESSAGE_BYTES = DEFAULT_MAX_FRAME_BYTES - DELIVER_HEAD_BYTES

/** Exits that a bus remembers at least. Those of connections carry an error with its stack, about 3 KB each. */
const RECORDED_EXITS = 1_024

export interface BusOptions {
  /** Channels that are there from the start, with their schemas. Default: none. */
  readonly channels?: readonly ChannelDeclaration[]
  /** Whether other channels come into being when they are first used. Default `true`. */
  readonly createChannels?: boolean
  /** Whether subjects that nobody answers are answered with the request itself. Default `false`: they fail with `NO_RESPONDER`. */
  readonly echoFallback?: boolean
  /** Channel names ever used, at most; `LIMIT_EXCEEDED` past it. Default 65,536. */
  readonly maxChannels?: number
  /** Live conversations, at most; `LIMIT_EXCEEDED` past it. Default 262,144. */
  readonly maxConversations?: number
  /** Messages underway in one conversation, at most; `LIMIT_EXCEEDED` past it. Default 1,024. */
  readonly maxPendingRequests?: number
  /** Events that each live conversation remembers for `LocalBus.conversations()`: requests, replies, crashes; not their contents. Default 0: none. */
  readonly conversationHistory?: number
  /** Subjects with a consumer group, at most; `LIMIT_EXCEEDED` past it. Default 65,536. */
  readonly maxGroups?: number
  /**
   * Largest message in bytes, payload, causal context and schema id together, the defaults of its schema filled in; `PAYLOAD_TOO_LARGE` past it, whoever
   * publishes it. Default: what a frame of 16 MiB delivers, 16,777,194. Raise it only with the `frameBytes` of every server and client.
   */
  readonly maxMessageBytes?: number
  /** How long idempotency keys are remembered. */
  readonly idempotency?: IdempotencyLimits
  /** Milliseconds that a worker in this process has for a message before it goes to another worker, unless it asks for more. Default 30,000. */
  readonly leaseMs?: number
  /** How far subscriptions in this process may fall behind. */
  readonly subscriptionQueue?: SubscriptionQueueLimits
  /** Milliseconds that `close()` waits for servers of this bus before it goes on without them. Default 30,000. */
  readonly closeGraceMs?: number
}

/** The options that {@link createBus} knows. */
export const BUS_OPTIONS: readonly string[] = Object.keys({
  channels: true,
  createChannels: true,
  echoFallback: true,
  maxChannels: true,
  maxConversations: true,
  maxPendingRequests: true,
  conversationHistory: true,
  maxGroups: true,
  maxMessageBytes: true,
  idempotency: true,
  leaseMs: true,
  subscriptionQueue: true,
  closeGraceMs: true,
} satisfies Record<keyof BusOptions, true>)

/**
 * A bus in this process.
 *
 * ```ts
 * const bus = await createBus({ channels: [{ name: 'orders', schema: { type: 'object', required: ['id'] } }] })
 * ```
 *
 * @throws LiminalError `INVALID_ARGUMENT`, `SCHEMA_INVALID`, `CHANNEL_EXISTS` for a channel declared twice.
 */
export async function createBus(options: BusOptions = {}): Promise<LocalBus> {
  checkOptions('options', options)
  checkKnownOptions('options', options, BUS_OPTIONS)
  checkBusOptions(options)
  const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES
  const processes = new ProcessSystem({ recordedExits: RECORDED_EXITS })
  const channels = new ChannelRegistry({
    processes,
    create: options.createChannels ?? true,
    maxChannels: options.maxChannels,
    idempotency: options.idempotency,
    maxMessageBytes,
  })
  for (const declaration of options.channels ?? []) channels.declare(declaration)
  return new LocalBus({
    channels,
    conversations: new ConversationRegistry({
      fallback: options.echoFallback ? participantFromBehaviour(echo, 'bytes') : null,
      maxConversations: options.maxConversations,
      maxPending: options.maxPendingRequests,
      history: options.conversationHistory,
      maxGroups: options.maxGroups,
      processes,
    }),
    subscriptionQueue: options.subscriptionQueue ?? {},
    maxMessageBytes,
    leaseMs: options.leaseMs ?? 30_000,
    closeGraceMs: options.closeGraceMs ?? 30_000,
  })
}

function checkBusOptions(options: BusOptions): void {
  if (options.channels !== undefined && !Array.isArray(options.channels)) {
    throw invalidArgument('channels', 'an array of channel declarations', options.channels)
  }
  for (const declaration of options.channels ?? []) {
    if (typeof declaration !== 'object' || declaration === null) {
      throw invalidArgument('channels', 'an array of channel declarations', declaration)
    }
    // A misspelt schema would make a channel without a contract.
    checkKnownOptions('channels[]', declaration, ['name', 'schema'])
  }
  checkBoolean('createChannels', options.createChannels)
  checkBoolean('echoFallback', options.echoFallback)
  checkInteger('maxMessageBytes', options.maxMessageBytes, 1)
  checkOptions('idempotency', options.idempotency)
  checkOptions('subscriptionQueue', options.subscriptionQueue)
  checkInteger('subscriptionQueue.maxDeliveries', options.subscriptionQueue?.maxDeliveries, 1)
  checkInteger('subscriptionQueue.maxBytes', options.subscriptionQueue?.maxBytes, 1)
  checkDuration('subscriptionQueue.holdMs', options.subscriptionQueue?.holdMs)
  checkDuration('subscriptionQueue.stallMs', options.subscriptionQueue?.stallMs)
  checkDuration('closeGraceMs', options.closeGraceMs)
  checkDuration('leaseMs', options.leaseMs)
  if (options.leaseMs === 0) throw invalidArgument('leaseMs', 'more than 0', options.leaseMs)
}
