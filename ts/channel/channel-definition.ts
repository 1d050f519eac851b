import { randomInt } from 'node:crypto'
import type { StoreKey, SyncPolicy } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import type { RetentionOptions } from './channel-registry.ts'

/** What a store remembers of a durable channel, so that it is there again after a restart, declared or not. */
export interface ChannelDefinition {
  readonly sync: SyncPolicy
  readonly retention: RetentionOptions
  /** The JSON Schema; `null` without one. */
  readonly schema: unknown
  /** Tells the idempotency keys of this channel from those of one that had its name before. Absent, which is 0: it is of a version in which no channel could be removed. */
  readonly incarnation?: number
}

/** Another incarnation than any before. */
export function newIncarnation(): number {
  return randomInt(1, 2 ** 47)
}

/** Where the definitions of channels are. */
export const DEFINITIONS = 'channel'

/** Where the definition of a channel is. */
export function definitionKey(channel: string): StoreKey {
  return { kind: 'meta', parts: [DEFINITIONS, channel] }
}

export function writeDefinition(definition: ChannelDefinition): Uint8Array {
  return Buffer.from(JSON.stringify(definition))
}

/** @throws LiminalError `STORE_CORRUPT`. */
export function readDefinition(bytes: Uint8Array, channel: string): ChannelDefinition {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString())
  } catch (cause) {
    throw damaged(channel, cause)
  }
  if (!isDefinition(value)) throw damaged(channel)
  return value
}

function isDefinition(value: unknown): value is ChannelDefinition {
  if (typeof value !== 'object' || value === null || !('sync' in value) || !('retention' in value)) return false
  if ('incarnation' in value && !Number.isSafeInteger(value.incarnation)) return false
  const isPolicy = value.sync === 'each' || value.sync === 'interval' || value.sync === 'os'
  return isPolicy && 'schema' in value && typeof value.retention === 'object' && value.retention !== null
}

function damaged(channel: string, cause?: unknown): LiminalError {
  const message = `The definition of channel '${channel}' in the store cannot be read, though its checksum is right: another program wrote it. Restore the store from a copy.`
  return new LiminalError('STORE_CORRUPT', message, { cause })
}
