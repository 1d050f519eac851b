import { randomBytes } from 'node:crypto'
import {
  checkBoolean,
  checkInteger,
  checkKnownOptions,
  checkName,
  checkOneOf,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import {
  type ChannelDeclaration,
  ChannelRegistry,
  ClaimDesk,
  DurableChannels,
  type IdempotencyLimits,
} from '../channel/index.ts'
import { ConversationRegistry, echo, participantFromBehaviour } from '../conversation/index.ts'
import { DataDirectory, type EventStore, type StoreKey, type Stores, storesOf } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { ProcessSystem } from '../process/index.ts'
import { DEFAULT_MAX_FRAME_BYTES, DELIVER_HEAD_BYTES } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { checkDuration, MAX_TIMEOUT_MS } from '../waiting.ts'
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
  /** Named cursors of each durable channel, at most; `LIMIT_EXCEEDED` past it. Those that its store has are there in any case. Default 1,024. */
  readonly maxCursorsPerChannel?: number
  /** Live conversations, at most; `LIMIT_EXCEEDED` past it. Default 262,144. */
  readonly maxConversations?: number
  /** Messages underway in one conversation, at most; `LIMIT_EXCEEDED` past it. Default 1,024. */
  readonly maxPendingRequests?: number
  /** Events that each live conversation remembers for `LocalBus.conversations()`: requests, replies, crashes; not their contents. Default 0: none. */
  readonly conversationHistory?: number
  /** Milliseconds that the replies of a durable conversation are kept once it is over; its key is free again afterwards. Default 86,400,000: 24 hours. */
  readonly conversationRetentionMs?: number
  /** Subjects with a consumer group, at most; `LIMIT_EXCEEDED` past it. Default 65,536. */
  readonly maxGroups?: number
  /**
   * Largest message in bytes, payload, causal context and schema id together, the defaults of its schema filled in; `PAYLOAD_TOO_LARGE` past it, whoever
   * publishes it. Default: what a frame of 16 MiB delivers, 16,777,194. Raise it only with the `frameBytes` of every server and client.
   */
  readonly maxMessageBytes?: number
  /**
   * Where durable channels and conversations are stored: a directory that is made if it is missing, and that one process at a time can use. Default: nowhere, and what is declared durable is refused.
   */
  readonly dataDir?: string
  /** Whether a `dataDir` that is missing is made. Default `true`. */
  readonly createDataDir?: boolean
  /** Milliseconds until what a channel with `sync: 'interval'` acknowledged is on disk. Default 1,000. */
  readonly syncIntervalMs?: number
  /** A store in place of a `dataDir`: what is in it is as durable as it is. `close()` leaves it open. */
  readonly store?: EventStore
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
  maxCursorsPerChannel: true,
  maxConversations: true,
  maxPendingRequests: true,
  conversationHistory: true,
  conversationRetentionMs: true,
  maxGroups: true,
  maxMessageBytes: true,
  dataDir: true,
  createDataDir: true,
  syncIntervalMs: true,
  store: true,
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
 * @throws LiminalError `INVALID_ARGUMENT`, `SCHEMA_INVALID`, `CHANNEL_EXISTS` for a channel declared twice, `NOT_SUPPORTED` for one that is durable without a `dataDir`; with one also
 * `STORE_LOCKED`, `STORE_CORRUPT`, `STORE_FAILED`.
 */
export async function createBus(options: BusOptions = {}): Promise<LocalBus> {
  checkOptions('options', options)
  checkKnownOptions('options', options, BUS_OPTIONS)
  checkBusOptions(options)
  const stores = await openStores(options)
  try {
    return await composeBus(options, stores)
  } catch (error) {
    await stores?.close()
    throw error
  }
}

/** The bus, on stores that are open. */
async function composeBus(options: BusOptions, stores: Stores | null): Promise<LocalBus> {
  const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES
  const processes = new ProcessSystem({ recordedExits: RECORDED_EXITS })
  const secret = stores === null ? randomBytes(SECRET_BYTES) : await secretOf(stores.primary)
  const channels = new ChannelRegistry({
    processes,
    create: options.createChannels ?? true,
    maxChannels: options.maxChannels,
    claims: new ClaimDesk(secret, options.idempotency ?? {}),
    maxMessageBytes,
  })
  const limits = { maxCursors: options.maxCursorsPerChannel }
  const durable = stores === null ? null : new DurableChannels(channels, stores, limits)
  let conversations: ConversationRegistry | null = null
  try {
    conversations = new ConversationRegistry({
      fallback: options.echoFallback ? participantFromBehaviour(echo, 'bytes') : null,
      maxConversations: options.maxConversations,
      maxPending: options.maxPendingRequests,
      history: options.conversationHistory,
      maxGroups: options.maxGroups,
      processes,
      journal: stores?.primary ?? null,
      retentionMs: options.conversationRetentionMs,
    })
    for (const declaration of options.channels ?? []) await declare(declaration, channels, durable)
    await durable?.recover()
    await conversations.recover()
    return new LocalBus({
      channels,
      durable,
      stores,
      conversations,
      subscriptionQueue: options.subscriptionQueue ?? {},
      maxMessageBytes,
      leaseMs: options.leaseMs ?? 30_000,
      closeGraceMs: options.closeGraceMs ?? 30_000,
    })
  } catch (error) {
    await conversations?.durable?.close()
    await durable?.close(toLiminalError(error))
    throw error
  }
}

/** Declares a channel: one that says nothing of it is durable if it was in an earlier life. */
async function declare(
  declaration: ChannelDeclaration,
  channels: ChannelRegistry,
  durable: DurableChannels | null,
): Promise<void> {
  const { name, durable: wanted } = declaration
  if (wanted !== undefined && wanted !== false) {
    if (durable === null) throw withoutStore(name)
    await durable.declare(declaration)
    return
  }
  const core = durable === null ? null : await durable.reopen(declaration)
  if (core === null) channels.declare(declaration)
}

async function openStores({ dataDir, createDataDir, syncIntervalMs, store }: BusOptions): Promise<Stores | null> {
  if (store !== undefined) return storesOf(store)
  if (dataDir === undefined) return null
  return await DataDirectory.open({ path: dataDir, create: createDataDir, syncIntervalMs })
}

const SECRET_BYTES = 16
const SECRET: StoreKey = { kind: 'meta', parts: ['secret'] }

/** What the hashes of idempotency keys depend on: chosen once for a store, so that nobody can construct keys that collide. */
async function secretOf(store: EventStore): Promise<Uint8Array> {
  const known = await store.get(SECRET)
  if (known !== null && known.length !== SECRET_BYTES) {
    const message = `The secret of the store has ${known.length} bytes instead of ${SECRET_BYTES}: without it no idempotency key is known again. Restore the store from a copy.`
    throw new LiminalError('STORE_CORRUPT', message)
  }
  if (known !== null) return known
  const secret = randomBytes(SECRET_BYTES)
  await store.write([{ type: 'set', key: SECRET, value: secret }])
  return secret
}

function withoutStore(channel: string): LiminalError {
  const message = `Channel '${channel}' cannot be durable: this bus has nowhere to store it. Give createBus a dataDir.`
  return new LiminalError('NOT_SUPPORTED', message)
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
    checkKnownOptions('channels[]', declaration, ['name', 'schema', 'durable'])
    checkName('channels[].name', declaration.name)
    checkDurable(declaration.durable)
  }
  checkBoolean('createChannels', options.createChannels)
  checkBoolean('echoFallback', options.echoFallback)
  checkInteger('maxMessageBytes', options.maxMessageBytes, 1)
  checkInteger('maxCursorsPerChannel', options.maxCursorsPerChannel, 1)
  checkStore(options)
  checkInteger('conversationRetentionMs', options.conversationRetentionMs, 0)
  checkOptions('idempotency', options.idempotency)
  checkKnownOptions('idempotency', options.idempotency ?? {}, ['windowMs', 'maxKeys'])
  checkOptions('subscriptionQueue', options.subscriptionQueue)
  checkInteger('subscriptionQueue.maxDeliveries', options.subscriptionQueue?.maxDeliveries, 1)
  checkInteger('subscriptionQueue.maxBytes', options.subscriptionQueue?.maxBytes, 1)
  checkDuration('subscriptionQueue.holdMs', options.subscriptionQueue?.holdMs)
  checkDuration('subscriptionQueue.stallMs', options.subscriptionQueue?.stallMs)
  checkDuration('closeGraceMs', options.closeGraceMs)
  checkDuration('leaseMs', options.leaseMs)
  if (options.leaseMs === 0) throw invalidArgument('leaseMs', 'more than 0', options.leaseMs)
}

function checkStore({ dataDir, createDataDir, syncIntervalMs, store }: BusOptions): void {
  if (dataDir !== undefined && (typeof dataDir !== 'string' || dataDir === '' || dataDir.includes('\0'))) {
    throw invalidArgument('dataDir', 'the path of a directory', dataDir)
  }
  checkBoolean('createDataDir', createDataDir)
  checkInteger('syncIntervalMs', syncIntervalMs, 1)
  if (syncIntervalMs !== undefined && syncIntervalMs > MAX_TIMEOUT_MS) {
    throw invalidArgument('syncIntervalMs', `at most ${MAX_TIMEOUT_MS}`, syncIntervalMs)
  }
  if (store === undefined) return
  if (dataDir !== undefined) throw invalidArgument('store', 'left out where there is a dataDir', store)
  if (typeof store !== 'object' || store === null || typeof store.write !== 'function') {
    throw invalidArgument('store', 'an event store', store)
  }
}

function checkDurable(durable: ChannelDeclaration['durable']): void {
  if (durable === undefined || typeof durable === 'boolean') return
  checkOptions('channels[].durable', durable)
  checkKnownOptions('channels[].durable', durable, ['sync', 'retention'])
  checkOneOf('channels[].durable.sync', durable.sync, ['each', 'interval', 'os'])
  const { retention } = durable
  checkOptions('channels[].durable.retention', retention)
  if (retention === undefined) return
  const limits = ['maxAgeMs', 'maxBytes', 'maxMessages'] as const
  checkKnownOptions('channels[].durable.retention', retention, [...limits, 'pastCursors'])
  for (const limit of limits) checkInteger(`channels[].durable.retention.${limit}`, retention[limit], 1)
  checkBoolean('channels[].durable.retention.pastCursors', retention.pastCursors)
}
