import type { Stores, SyncPolicy } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { Schema } from '../schema/index.ts'
import type { ChannelCore } from './channel-core.ts'
import {
  type ChannelDefinition,
  DEFINITIONS,
  definitionKey,
  readDefinition,
  writeDefinition,
} from './channel-definition.ts'
import { ChannelLog } from './channel-log.ts'
import type { ChannelDeclaration, ChannelRegistry, DurableOptions } from './channel-registry.ts'
import { Retention } from './retention.ts'

/** Milliseconds between two looks at what may be forgotten. */
const UPKEEP_MS = 60_000

interface Durable {
  readonly log: ChannelLog
  readonly retention: Retention
}

/** The durable channels of a bus: their definitions and logs, and what has to be done about them from time to time. */
export class DurableChannels {
  readonly #registry: ChannelRegistry
  readonly #stores: Stores
  readonly #channels = new Map<string, Durable>()
  #upkeep: NodeJS.Timeout | null = null
  #closing: Promise<void> | null = null

  constructor(registry: ChannelRegistry, stores: Stores) {
    this.#registry = registry
    this.#stores = stores
  }

  /** Declares the channels that were declared durable in an earlier life, and not in this one yet. */
  async recover(): Promise<void> {
    const { primary } = this.#stores
    for (let after: Parameters<typeof primary.keys>[2] = {}; ; ) {
      const page = await primary.keys('meta', [DEFINITIONS], after)
      for (const { parts } of page.keys) {
        const name = parts[1]
        if (!this.#channels.has(name)) await this.#recover(name)
      }
      if (page.after === null) return
      after = { after: page.after }
    }
  }

  /**
   * Creates a durable channel, or opens it where it was left.
   * @throws LiminalError `CHANNEL_EXISTS`; `INVALID_ARGUMENT`: it has another `sync`; `SCHEMA_INVALID`; what opening a store throws.
   */
  async declare(declaration: ChannelDeclaration): Promise<ChannelCore> {
    const { name, schema = null, durable } = declaration
    const options: DurableOptions = typeof durable === 'object' ? durable : {}
    this.#registry.checkFree(name)
    // Before anything is written.
    if (schema !== null) new Schema(schema, `channel '${name}'`)
    const { primary } = this.#stores
    const stored = await primary.get(definitionKey(name))
    const known = stored === null ? null : readDefinition(stored, name)
    const sync = options.sync ?? known?.sync ?? 'each'
    if (known !== null && known.sync !== sync) throw otherPolicy(name, known.sync, sync)
    const definition: ChannelDefinition = { sync, retention: options.retention ?? {}, schema }
    const log = await this.#open(name, sync)
    await primary.write([{ type: 'set', key: definitionKey(name), value: writeDefinition(definition) }])
    return this.#add(declaration, log, definition)
  }

  /** Resolves once every publish so far was answered. */
  async idle(): Promise<void> {
    await Promise.all([...this.#channels.values()].map(({ log }) => log.idle()))
  }

  /** Refuses publishes, and resolves once those underway were answered. The stores are whoever opened them to close. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#upkeep !== null) clearInterval(this.#upkeep)
    await Promise.all(
      [...this.#channels.values()].map(async ({ log, retention }) => {
        await log.close()
        await retention.close()
      }),
    )
  }

  async #recover(name: string): Promise<void> {
    const stored = await this.#stores.primary.get(definitionKey(name))
    if (stored === null) return
    const definition = readDefinition(stored, name)
    const log = await this.#open(name, definition.sync)
    this.#add(definition.schema === null ? { name } : { name, schema: definition.schema }, log, definition)
  }

  async #open(name: string, sync: SyncPolicy): Promise<ChannelLog> {
    const { claims, messageIds } = this.#registry
    const store = await this.#stores.store(sync)
    return await ChannelLog.open(name, { store, messageIds, claims: claims.source(name), claimsTtlMs: claims.windowMs })
  }

  #add(declaration: ChannelDeclaration, log: ChannelLog, { retention }: ChannelDefinition): ChannelCore {
    const core = this.#registry.declare(declaration, log)
    this.#channels.set(declaration.name, { log, retention: new Retention(log, retention) })
    this.#upkeep ??= setInterval(() => this.#lookAfter(), UPKEEP_MS).unref()
    return core
  }

  #lookAfter(): void {
    for (const { retention } of this.#channels.values()) retention.check()
  }
}

function otherPolicy(name: string, known: SyncPolicy, asked: SyncPolicy): LiminalError {
  const message = `Channel '${name}' is stored with sync '${known}', which cannot be changed to '${asked}'. Declare it with '${known}', or another channel.`
  return new LiminalError('INVALID_ARGUMENT', message)
}
