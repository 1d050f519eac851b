import { randomBytes } from 'node:crypto'
import { checkInteger, checkName } from '../arguments.ts'
import { createNameTable, type NameTable } from '../codec/index.ts'
import type { SyncPolicy } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { ProcessSystem } from '../process/index.ts'
import { Schema } from '../schema/index.ts'
import { ChannelCore, type ChannelStorage, type ChannelSurroundings } from './channel-core.ts'
import { ClaimDesk, type IdempotencyLimits } from './claim-desk.ts'
import { MessageIds } from './message-ids.ts'

/** A channel that is there before anybody uses it. */
export interface ChannelDeclaration {
  /** 1 to 255 UTF-8 bytes without control characters. */
  readonly name: string
  /** JSON Schema (draft 2020-12) that payloads must satisfy. Default: none, payloads are opaque. */
  readonly schema?: unknown
  /**
   * Whether its messages are stored before they are acknowledged, so that they can be read again and survive the bus. Needs a `dataDir` or a store; `true` for the defaults. A channel that was
   * declared durable once is there again after a restart, declared or not. Default `false`.
   */
  readonly durable?: boolean | DurableOptions
}

/** How a channel is durable. */
export interface DurableOptions {
  /**
   * What an acknowledgement says. `'each'`: the message is on disk. `'interval'`: it is with the operating system, and on disk within the bus's `syncIntervalMs`; a crash of the process loses nothing, a crash of the machine what came
   * later, and in the worst case the whole store of this policy (docs/decisions/store.md). `'os'`: the same, and the operating system decides when. Default `'each'`; it cannot be changed later.
   */
  readonly sync?: SyncPolicy
  /** What is removed, and when. Default: nothing is. */
  readonly retention?: RetentionOptions
}

/** When old messages of a log are removed: whichever limit is passed first. Checked as messages come, and every minute. */
export interface RetentionOptions {
  /** Milliseconds since they were published. */
  readonly maxAgeMs?: number
  /** Of all their records. */
  readonly maxBytes?: number
  readonly maxMessages?: number
  /** Whether messages are removed that a cursor has not accepted: it skips them then. Default `false`: they stay, whatever the limits say. */
  readonly pastCursors?: boolean
}

export interface ChannelRegistryOptions {
  /** Whether a channel comes into being when it is first used. */
  readonly create: boolean
  /** Names ever used, at most: their numbers are never reused. Default 65,536. */
  readonly maxChannels?: number | undefined
  /** Where message ids come from. Default: ids that begin now. */
  readonly messageIds?: MessageIds | undefined
  /** Where idempotency keys are claimed. Default: a desk of its own. */
  readonly claims?: ClaimDesk | undefined
  readonly idempotency?: IdempotencyLimits | undefined
  /** Bytes of the largest envelope that is published, defaults filled in. Default: no limit. */
  readonly maxMessageBytes?: number | undefined
  /** Where the processes of channels live. Default: a system of its own. */
  readonly processes?: ProcessSystem | undefined
}

/** What a channel has that outlives its process. */
interface Contract {
  readonly schema: Schema | null
  readonly storage: ChannelStorage | null
}

/** What tells the idempotency keys of channels that are not durable from those of durable ones that had their names, see scopeOf. */
const LIVE = -1

/** All channels of a bus, by name and by number. */
export class ChannelRegistry {
  /** Names as numbers; shared with the decoders of a server. */
  readonly names: NameTable = createNameTable()
  readonly #create: boolean
  readonly #maxChannels: number
  readonly #byName = new Map<string, ChannelCore>()
  readonly #byId: (ChannelCore | undefined)[] = []
  /** Contracts of channels that were declared: one that is killed comes back with its own. */
  readonly #declared = new Map<string, Contract>()
  /** Channels that cannot be used, and why. */
  readonly #refused = new Map<string, LiminalError>()
  readonly claims: ClaimDesk
  readonly messageIds: MessageIds
  readonly #surroundings: ChannelSurroundings
  #lastSubscriptionId = 0n

  /** @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(options: ChannelRegistryOptions) {
    checkInteger('maxChannels', options.maxChannels, 1)
    checkInteger('maxMessageBytes', options.maxMessageBytes, 1)
    this.#create = options.create
    this.#maxChannels = options.maxChannels ?? 65_536
    this.claims = options.claims ?? new ClaimDesk(randomBytes(16), options.idempotency ?? {})
    this.messageIds = options.messageIds ?? new MessageIds()
    this.#surroundings = {
      messageIds: this.messageIds,
      nextSubscriptionId: () => {
        this.#lastSubscriptionId++
        return this.#lastSubscriptionId
      },
      claimSource: (channel) => this.claims.source(channel, LIVE),
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
   * @throws LiminalError `INVALID_ARGUMENT`, `CHANNEL_NOT_FOUND`, `LIMIT_EXCEEDED`; `STORE_CORRUPT`: it was durable, and its log is damaged.
   */
  get(name: string): ChannelCore {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    checkName('name', name)
    const refusal = this.#refused.get(name)
    if (refusal !== undefined) throw refusal
    const contract = this.#declared.get(name)
    if (contract !== undefined) return this.#add(name, contract)
    if (!this.#create) {
      const message = `There is no channel '${name}', and this bus does not create channels on first use. Declare it in the bus's options.`
      throw new LiminalError('CHANNEL_NOT_FOUND', message)
    }
    return this.#add(name, { schema: null, storage: null })
  }

  /** The channel of a name, if it is there or was declared. */
  find(name: string): ChannelCore | null {
    return this.#byName.has(name) || this.#declared.has(name) ? this.get(name) : null
  }

  /**
   * Creates a channel.
   *
   * @param storage Where its messages are stored. Default: nowhere.
   * @throws LiminalError `INVALID_ARGUMENT`, `CHANNEL_EXISTS`, `SCHEMA_INVALID`, `LIMIT_EXCEEDED`. Nothing has changed then.
   */
  declare({ name, schema: definition }: ChannelDeclaration, storage: ChannelStorage | null = null): ChannelCore {
    this.checkFree(name)
    const schema = definition === undefined ? null : new Schema(definition, `channel '${name}'`)
    const contract = { schema, storage }
    const core = this.#add(name, contract)
    this.#declared.set(name, contract)
    this.#refused.delete(name)
    return core
  }

  /** Whether a channel of a name can be declared. @throws LiminalError `INVALID_ARGUMENT`, `CHANNEL_EXISTS`, `LIMIT_EXCEEDED`. */
  checkFree(name: string): void {
    checkName('name', name)
    this.#checkRoom(name)
    if (this.#byName.has(name) || this.#declared.has(name)) {
      throw new LiminalError('CHANNEL_EXISTS', `Channel '${name}' exists already.`)
    }
  }

  /** Refuses a channel from now on, until it is declared: it was durable, and cannot be read, or was removed. A channel of its name that forgets would be worse. */
  refuse(name: string, error: LiminalError): void {
    this.#refused.set(name, error)
  }

  /** Takes {@link refuse} back. */
  allow(name: string): void {
    this.#refused.delete(name)
  }

  /** All channels, by name. */
  list(): readonly ChannelCore[] {
    return [...this.#byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /** Closes a channel and forgets it; its name can be used again. Its subscriptions end with `error`, by default `CHANNEL_CLOSED`. Returns whether there was one. */
  close(name: string, error?: LiminalError): boolean {
    const core = this.#byName.get(name)
    const wasDeclared = this.#declared.delete(name)
    if (core === undefined) return wasDeclared
    this.#forget(core)
    core.close(error)
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

  #checkRoom(name: string): void {
    // A name that was used before has its number already.
    const bytes = Buffer.from(name)
    if (this.names.size < this.#maxChannels || this.names.find(bytes, 0, bytes.length) >= 0) return
    const message = `Channel '${name}' cannot be created: ${this.#maxChannels} channel names are in use. Raise maxChannels.`
    throw new LiminalError('LIMIT_EXCEEDED', message)
  }

  #add(name: string, { schema, storage }: Contract): ChannelCore {
    this.#checkRoom(name)
    const id = this.names.add(name)
    const core = new ChannelCore(name, id, schema, storage, this.#surroundings)
    this.#byName.set(name, core)
    this.#byId[id] = core
    return core
  }
}
