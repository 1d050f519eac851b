import { checkInteger, checkName } from '../arguments.ts'
import { createNameTable, type NameTable } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { ProcessSystem } from '../process/index.ts'
import { Schema } from '../schema/index.ts'
import { ChannelCore, type ChannelSurroundings } from './channel-core.ts'
import type { IdempotencyLimits } from './idempotency-window.ts'
import { MessageIds } from './message-ids.ts'

/** A channel that is there before anybody uses it. */
export interface ChannelDeclaration {
  /** 1 to 255 UTF-8 bytes without control characters. */
  readonly name: string
  /** JSON Schema (draft 2020-12) that payloads must satisfy. Default: none, payloads are opaque. */
  readonly schema?: unknown
}

export interface ChannelRegistryOptions {
  /** Whether a channel comes into being when it is first used. */
  readonly create: boolean
  /** Names ever used, at most: their numbers are never reused. Default 65,536. */
  readonly maxChannels?: number | undefined
  /** Where message ids come from. Default: ids that begin now. */
  readonly messageIds?: MessageIds | undefined
  readonly idempotency?: IdempotencyLimits | undefined
  /** Bytes of the largest envelope that is published, defaults filled in. Default: no limit. */
  readonly maxMessageBytes?: number | undefined
  /** Where the processes of channels live. Default: a system of its own. */
  readonly processes?: ProcessSystem | undefined
}

/** All channels of a bus, by name and by number. */
export class ChannelRegistry {
  /** Names as numbers; shared with the decoders of a server. */
  readonly names: NameTable = createNameTable()
  readonly #create: boolean
  readonly #maxChannels: number
  readonly #byName = new Map<string, ChannelCore>()
  readonly #byId: (ChannelCore | undefined)[] = []
  /** Contracts of channels that were declared: one that is killed comes back with its own. */
  readonly #declared = new Map<string, Schema | null>()
  readonly #surroundings: ChannelSurroundings
  #lastSubscriptionId = 0n

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(options: ChannelRegistryOptions) {
    checkInteger('maxChannels', options.maxChannels, 1)
    checkInteger('maxMessageBytes', options.maxMessageBytes, 1)
    checkInteger('idempotency.windowMs', options.idempotency?.windowMs, 1)
    checkInteger('idempotency.maxKeys', options.idempotency?.maxKeys, 1)
    this.#create = options.create
    this.#maxChannels = options.maxChannels ?? 65_536
    this.#surroundings = {
      messageIds: options.messageIds ?? new MessageIds(),
      nextSubscriptionId: () => {
        this.#lastSubscriptionId++
        return this.#lastSubscriptionId
      },
      idempotency: options.idempotency ?? {},
      maxMessageBytes: options.maxMessageBytes ?? Number.POSITIVE_INFINITY,
      processes: options.processes ?? new ProcessSystem(),
      killed: (channel) => this.#forget(channel),
    }
  }

  /** The channel of a number, as a decoder finds it in a frame; `undefined` for -1 and for one that was closed. */
  byId(id: number): ChannelCore | undefined {
    return this.#byId[id]
  }

  /**
   * The channel of a name, created where creation is allowed, and made anew if it was declared and killed.
   * @throws LiminalError `INVALID_ARGUMENT`, `CHANNEL_NOT_FOUND`, `LIMIT_EXCEEDED`.
   */
  get(name: string): ChannelCore {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    checkName('name', name)
    const schema = this.#declared.get(name)
    if (schema !== undefined) return this.#add(name, schema)
    if (!this.#create) {
      const message = `There is no channel '${name}', and this bus does not create channels on first use. Declare it in the bus's options.`
      throw new LiminalError('CHANNEL_NOT_FOUND', message)
    }
    return this.#add(name, null)
  }

  /**
   * Creates a channel.
   * @throws LiminalError `INVALID_ARGUMENT`, `CHANNEL_EXISTS`, `SCHEMA_INVALID`, `LIMIT_EXCEEDED`. Nothing has changed then.
   */
  declare(declaration: ChannelDeclaration): ChannelCore {
    const { name, schema } = declaration
    checkName('name', name)
    if (this.#byName.has(name)) throw new LiminalError('CHANNEL_EXISTS', `Channel '${name}' exists already.`)
    const contract = schema === undefined ? null : new Schema(schema, `channel '${name}'`)
    const core = this.#add(name, contract)
    this.#declared.set(name, contract)
    return core
  }

  /** All channels, by name. */
  list(): readonly ChannelCore[] {
    return [...this.#byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /** Closes a channel and forgets it; its name can be used again. Returns whether there was one. */
  close(name: string): boolean {
    const core = this.#byName.get(name)
    const wasDeclared = this.#declared.delete(name)
    if (core === undefined) return wasDeclared
    this.#forget(core)
    core.close()
    return true
  }

  /** Closes all channels; their subscriptions end with `error`. */
  closeAll(error: LiminalError): void {
    for (const core of this.#byName.values()) {
      this.#byId[core.id] = undefined
      core.close(error)
    }
    this.#byName.clear()
    this.#declared.clear()
  }

  #forget(core: ChannelCore): void {
    this.#byName.delete(core.name)
    this.#byId[core.id] = undefined
  }

  #add(name: string, schema: Schema | null): ChannelCore {
    // A name that was used before has its number already.
    const bytes = Buffer.from(name)
    if (this.names.size >= this.#maxChannels && this.names.find(bytes, 0, bytes.length) < 0) {
      const message = `Channel '${name}' cannot be created: ${this.#maxChannels} channel names are in use. Raise maxChannels.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    const id = this.names.add(name)
    const core = new ChannelCore(name, id, schema, this.#surroundings)
    this.#byName.set(name, core)
    this.#byId[id] = core
    return core
  }
}
