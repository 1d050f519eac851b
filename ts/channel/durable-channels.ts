import type { Stores, SyncPolicy } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { Schema } from '../schema/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ChannelCore, ChannelStorage } from './channel-core.ts'
import {
  type ChannelDefinition,
  DEFINITIONS,
  definitionKey,
  newIncarnation,
  readDefinition,
  writeDefinition,
} from './channel-definition.ts'
import { ChannelLog } from './channel-log.ts'
import type { ChannelDeclaration, ChannelRegistry, DurableOptions } from './channel-registry.ts'
import { beginRemoval, finishRemoval, unfinishedRemovals } from './channel-removal.ts'
import { CursorRegistry, type CursorRegistryOptions } from './cursor/index.ts'
import { bury, notDurableDeadLetters } from './dead-letters.ts'
import { sayLogReadFailed, sayRemovalFailed } from './diagnostics.ts'
import { Retention } from './retention.ts'

/** Milliseconds between two looks at what may be forgotten. */
const UPKEEP_MS = 60_000
/** What is wrong with one channel, and no reason to do without the others: it is damaged, or of a definition that cannot be. */
const ITS_OWN: ReadonlySet<string> = new Set(['STORE_CORRUPT', 'INVALID_ARGUMENT', 'SCHEMA_INVALID'])

interface Durable extends ChannelStorage {
  readonly retention: Retention
}

/** The durable channels of a bus: their definitions and logs, and what has to be done about them from time to time. */
export class DurableChannels {
  readonly #registry: ChannelRegistry
  readonly #stores: Stores
  readonly #limits: CursorRegistryOptions
  readonly #channels = new Map<string, Durable>()
  /** The last thing that is done to a name: one after the other. None of them rejects. */
  readonly #turns = new Map<string, Promise<void>>()
  #upkeep: NodeJS.Timeout | null = null
  #closing: Promise<void> | null = null

  constructor(registry: ChannelRegistry, stores: Stores, limits: CursorRegistryOptions = {}) {
    this.#registry = registry
    this.#stores = stores
    this.#limits = limits
  }

  /** Declares the channels that were declared durable in an earlier life, and not in this one yet, and goes on with removals that were not finished. */
  async recover(): Promise<void> {
    const { primary } = this.#stores
    for (let after: Parameters<typeof primary.keys>[2] = {}; ; ) {
      const page = await primary.keys('meta', [DEFINITIONS], after)
      for (const { parts } of page.keys) {
        const name = parts[1]
        if (!this.#channels.has(name)) await this.#recoverOrSay(name)
      }
      if (page.after === null) break
      after = { after: page.after }
    }
    for (const removal of await unfinishedRemovals(this.#stores)) {
      try {
        await this.#inTurn(removal.name, () => finishRemoval(this.#stores, removal))
      } catch (thrown) {
        // It is in nobody's way: whoever declares the name finishes it first.
        sayRemovalFailed(removal.name, toLiminalError(thrown))
      }
    }
  }

  /**
   * Creates a durable channel, or opens it where it was left.
   * @throws LiminalError `CHANNEL_EXISTS`; `INVALID_ARGUMENT`: it has another `sync`; `SCHEMA_INVALID`; what opening a store throws.
   */
  declare(declaration: ChannelDeclaration): Promise<ChannelCore> {
    const { name } = declaration
    return this.#inTurn(name, async () => {
      this.#registry.checkFree(name)
      return await this.#declare(declaration, await this.#storedDefinition(name))
    })
  }

  /**
   * Opens a channel whose declaration does not say that it is durable, if it was in an earlier life; else it is `null`.
   * @throws LiminalError `INVALID_ARGUMENT`: it was, and is to be no more; what {@link declare} throws.
   */
  reopen(declaration: ChannelDeclaration): Promise<ChannelCore | null> {
    return this.#inTurn(declaration.name, () => this.#reopen(declaration))
  }

  /**
   * Removes a durable channel with its messages, cursors, keys and definition, for good; one that cannot be read too. Publishes underway are answered before; its subscriptions end with
   * `CHANNEL_CLOSED`, and its name is free afterwards. A crash leaves it, or has it removed by the next {@link recover}. Returns whether there was one.
   *
   * @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`, `STORE_CORRUPT`: it is there as before, or is gone and not all that it stored is deleted. The next call goes on.
   */
  remove(name: string): Promise<boolean> {
    return this.#inTurn(name, () => this.#remove(name))
  }

  async #reopen(declaration: ChannelDeclaration): Promise<ChannelCore | null> {
    const { name, durable } = declaration
    this.#registry.checkFree(name)
    const stored = await this.#storedDefinition(name)
    if (stored === null) return null
    if (durable === undefined) return await this.#declare(declaration, stored)
    const message = `Channel '${name}' was durable and has a log in the store; it cannot be declared with durable: false. Leave that out, or take another name.`
    throw new LiminalError('INVALID_ARGUMENT', message)
  }

  async #declare(declaration: ChannelDeclaration, stored: Uint8Array | null): Promise<ChannelCore> {
    const { name, schema = null, durable } = declaration
    const options: DurableOptions = typeof durable === 'object' ? durable : {}
    // Before anything is written.
    if (schema !== null) new Schema(schema, `channel '${name}'`)
    // What a channel of this name has left is not its own.
    if (stored === null) await this.#finishRemovals(name)
    const known = stored === null ? null : readDefinition(stored, name)
    const sync = options.sync ?? known?.sync ?? 'each'
    if (known !== null && known.sync !== sync) throw otherPolicy(name, known.sync, sync)
    const incarnation = known === null ? newIncarnation() : known.incarnation
    const definition: ChannelDefinition = {
      sync,
      retention: options.retention ?? {},
      schema,
      ...(incarnation === undefined ? {} : { incarnation }),
    }
    const storage = await this.#open(name, definition)
    const value = writeDefinition(definition)
    if (stored === null || Buffer.compare(stored, value) !== 0) {
      await this.#stores.primary.write([{ type: 'set', key: definitionKey(name), value }])
    }
    return this.#add(declaration, storage)
  }

  async #remove(name: string): Promise<boolean> {
    const stored = await this.#storedDefinition(name)
    if (stored === null) return await this.#finishRemovals(name)
    const removal = { name, sync: readDefinition(stored, name).sync }
    // What cannot be opened cannot be emptied.
    await this.#stores.store(removal.sync)
    const error = new LiminalError('CHANNEL_CLOSED', `Channel '${name}' was removed.`)
    this.#registry.refuse(name, error)
    this.#registry.close(name, error)
    const durable = this.#channels.get(name)
    this.#channels.delete(name)
    try {
      // What cannot be written down any more goes with the rest.
      if (durable !== undefined) await end(durable, error).catch(() => {})
      await beginRemoval(this.#stores, removal)
    } catch (failure) {
      await this.#restore(name)
      throw failure
    }
    // Whoever still publishes to it would be told that it is accepted, and it would be stored nowhere.
    this.#registry.refuse(name, removed(name))
    await finishRemoval(this.#stores, removal)
    return true
  }

  /** Goes on with removals of channels of a name. Returns whether there were any. */
  async #finishRemovals(name: string): Promise<boolean> {
    const removals = await unfinishedRemovals(this.#stores, name)
    for (const removal of removals) await finishRemoval(this.#stores, removal)
    return removals.length > 0
  }

  /** Opens a channel again that could not be removed. */
  async #restore(name: string): Promise<void> {
    try {
      await this.#recover(name)
      this.#registry.allow(name)
    } catch (thrown) {
      const error = toLiminalError(thrown)
      sayLogReadFailed(name, error)
      this.#registry.refuse(name, error)
    }
  }

  /** Does something to a name once what was begun before is done. */
  async #inTurn<Result>(name: string, act: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(act)
    const over = turn.then(nothing, nothing)
    this.#turns.set(name, over)
    try {
      return await turn
    } finally {
      if (this.#turns.get(name) === over) this.#turns.delete(name)
    }
  }

  #storedDefinition(name: string): Promise<Uint8Array | null> {
    return this.#stores.primary.get(definitionKey(name))
  }

  /** Resolves once every publish so far was answered. */
  async idle(): Promise<void> {
    await Promise.all([...this.#channels.values()].map(({ log }) => log.idle()))
  }

  /**
   * Refuses publishes, and resolves once those underway were answered and cursors are written down. The stores are whoever opened them to close. Idempotent.
   *
   * @param error What ends cursors that are owned still.
   * @throws LiminalError what could not be written, once all else is closed.
   */
  close(error: LiminalError): Promise<void> {
    this.#closing ??= this.#close(error)
    return this.#closing
  }

  async #close(error: LiminalError): Promise<void> {
    await Promise.all(this.#turns.values())
    if (this.#upkeep !== null) clearInterval(this.#upkeep)
    const closing = [...this.#channels.values()].map((durable) => end(durable, error))
    for (const result of await Promise.allSettled(closing)) {
      if (result.status === 'rejected') throw toLiminalError(result.reason)
    }
  }

  /** A channel whose store is damaged keeps the others from nothing: it is refused by name. */
  async #recoverOrSay(name: string): Promise<void> {
    try {
      await this.#recover(name)
    } catch (error) {
      const isItsOwn = error instanceof LiminalError && ITS_OWN.has(error.code)
      if (!isItsOwn) throw error
      sayLogReadFailed(name, error)
      this.#registry.refuse(name, error)
    }
  }

  async #recover(name: string): Promise<void> {
    const stored = await this.#storedDefinition(name)
    if (stored === null) return
    const definition = readDefinition(stored, name)
    const storage = await this.#open(name, definition)
    this.#add(definition.schema === null ? { name } : { name, schema: definition.schema }, storage)
  }

  async #open(name: string, { sync, retention, incarnation }: ChannelDefinition): Promise<Durable> {
    const { claims, messageIds } = this.#registry
    const store = await this.#stores.store(sync)
    const log = await ChannelLog.open(name, {
      store,
      messageIds,
      claims: claims.source(name, incarnation),
      claimsTtlMs: claims.windowMs,
    })
    const cursors = await CursorRegistry.open(log, this.#limits)
    return {
      sync,
      log,
      cursors,
      retention: new Retention(log, cursors, retention),
      prepareDeadLetters: async (to) => {
        await this.#deadLetters(to, sync)
      },
      bury: async (letter, to) => bury(letter, await this.#deadLetters(to, sync), incarnation),
    }
  }

  /** A dead-letter channel, as durable as the channel that it is of. */
  async #deadLetters(name: string, sync: SyncPolicy): Promise<ChannelCore> {
    if (!this.#channels.has(name)) {
      try {
        await this.declare({ name, durable: { sync } })
      } catch (error) {
        // Somebody else declared it meanwhile, or long ago.
        if (!(error instanceof LiminalError && error.code === 'CHANNEL_EXISTS')) throw error
      }
    }
    const core = this.#registry.get(name)
    if (core.log === null) throw notDurableDeadLetters(name)
    return core
  }

  #add(declaration: ChannelDeclaration, storage: Durable): ChannelCore {
    const core = this.#registry.declare(declaration, storage)
    this.#channels.set(declaration.name, storage)
    this.#upkeep ??= setInterval(() => this.#lookAfter(), UPKEEP_MS).unref()
    return core
  }

  #lookAfter(): void {
    for (const { retention } of this.#channels.values()) retention.check()
  }
}

/** Refuses publishes, answers those underway, and ends cursors with this error. @throws LiminalError what could not be written. */
async function end({ log, cursors, retention }: Durable, error: LiminalError): Promise<void> {
  await retention.close()
  try {
    await cursors.close(error)
  } finally {
    await log.close()
  }
}

function nothing(): void {}

function removed(name: string): LiminalError {
  const message = `Channel '${name}' was durable, and was removed. Declare it to use its name again.`
  return new LiminalError('CHANNEL_NOT_FOUND', message)
}

function otherPolicy(name: string, known: SyncPolicy, asked: SyncPolicy): LiminalError {
  const message = `Channel '${name}' is stored with sync '${known}', which cannot be changed to '${asked}'. Declare it with '${known}', or another channel.`
  return new LiminalError('INVALID_ARGUMENT', message)
}
