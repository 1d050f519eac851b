import { checkName } from '../arguments.ts'
import {
  type ChannelCore,
  type ChannelRegistry,
  type ChannelStorage,
  type CursorStatus,
  type DurableChannels,
  loggedMessage,
  positionOf,
} from '../channel/index.ts'
import { codec } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import type { Administration, ChannelInfo, CursorInfo, LoggedMessage, PeekOptions } from './administration.ts'
import { checkAdministrationOptions, cursorPlace, purgedBefore } from './administration-arguments.ts'
import type { WaitOptions } from './bus.ts'
import { type PeekTerms, peekTerms } from './peeking.ts'
import type { StartPosition } from './subscription.ts'

/** Bytes that are read of a log at once. */
const PAGE_BYTES = 4 * 1024 * 1024

/** What operators do, on the bus in this process. */
export class LocalAdministration implements Administration {
  readonly #channels: ChannelRegistry
  readonly #durable: DurableChannels | null
  readonly #checkOpen: () => void

  /** @param checkOpen throws when the bus takes nothing new. */
  constructor(channels: ChannelRegistry, durable: DurableChannels | null, checkOpen: () => void) {
    this.#channels = channels
    this.#durable = durable
    this.#checkOpen = checkOpen
  }

  channels(options: WaitOptions = {}): Promise<readonly ChannelInfo[]> {
    return this.#do('Looking at the channels', options, [], () =>
      Promise.all(this.#channels.list().map((channel) => infoOf(channel))),
    )
  }

  channel(name: string, options: WaitOptions = {}): Promise<ChannelInfo> {
    return this.#do(`Looking at channel '${name}'`, options, [], () => infoOf(this.#find(name)))
  }

  peek(channel: string, options: PeekOptions = {}): Promise<readonly LoggedMessage[]> {
    return this.#do(`Looking into channel '${channel}'`, options, ['from', 'limit', 'maxBytes'], async () => {
      const terms = peekTerms(options)
      const { log } = this.#storage(channel)
      const last = log.next - BigInt(terms.limit)
      const position = terms.from === 'latest' ? (last > 0n ? last : 0n) : await positionOf(log, terms.from)
      return await messagesOf(log, position, terms)
    })
  }

  purge(channel: string, options: WaitOptions & { readonly before?: bigint } = {}): Promise<bigint> {
    return this.#do(`Purging channel '${channel}'`, options, ['before'], async () => {
      const before = purgedBefore(options)
      const { log } = this.#storage(channel)
      return await log.removeBefore(before ?? log.next)
    })
  }

  removeChannel(name: string, options: WaitOptions = {}): Promise<void> {
    return this.#do(`Removing channel '${name}'`, options, [], async () => {
      checkName('channel', name)
      if (this.#durable !== null && (await this.#durable.remove(name))) return
      throw this.#channels.find(name) === null ? noChannel(name) : notDurable(name)
    })
  }

  cursors(channel?: string, options: WaitOptions = {}): Promise<readonly CursorInfo[]> {
    return this.#do('Looking at the cursors', options, [], async () => {
      const channels = channel === undefined ? this.#channels.list() : [this.#find(channel)]
      if (channel !== undefined) this.#storage(channel)
      return channels.flatMap(({ storage }) => storage?.cursors.cursors.map(({ status }) => cursorInfo(status)) ?? [])
    })
  }

  setCursor(channel: string, cursor: string, to: StartPosition, options: WaitOptions = {}): Promise<CursorInfo> {
    return this.#do(`Moving cursor '${cursor}' of channel '${channel}'`, options, [], async () => {
      checkName('cursor', cursor)
      const start = cursorPlace(to)
      const { log, cursors } = this.#storage(channel)
      const { status } = await cursors.set(cursor, await positionOf(log, start))
      return cursorInfo(status)
    })
  }

  removeCursor(channel: string, cursor: string, options: WaitOptions = {}): Promise<void> {
    return this.#do(`Removing cursor '${cursor}' of channel '${channel}'`, options, [], async () => {
      checkName('cursor', cursor)
      await this.#storage(channel).cursors.remove(cursor)
    })
  }

  async #do<Result>(
    what: string,
    options: WaitOptions,
    known: readonly string[],
    act: () => Promise<Result>,
  ): Promise<Result> {
    checkAdministrationOptions(options, known)
    this.#checkOpen()
    const { timeoutMs, signal } = options
    throwIfAborted(signal, what)
    return await waitFor(act(), { timeoutMs, signal, what })
  }

  #find(name: string): ChannelCore {
    checkName('channel', name)
    const channel = this.#channels.find(name)
    if (channel !== null) return channel
    throw noChannel(name)
  }

  #storage(name: string): ChannelStorage {
    const { storage } = this.#find(name)
    if (storage !== null) return storage
    throw notDurable(name)
  }
}

function noChannel(name: string): LiminalError {
  return new LiminalError('CHANNEL_NOT_FOUND', `There is no channel '${name}'.`)
}

function notDurable(name: string): LiminalError {
  return new LiminalError('NOT_SUPPORTED', `Channel '${name}' is not durable: it has no log and no cursors.`)
}

async function infoOf({ name, subscriberCount, schema, storage }: ChannelCore): Promise<ChannelInfo> {
  const schemaId = schema === null ? null : Buffer.from(schema.id).toString('hex')
  const common = { name, subscribers: subscriberCount, schemaId }
  if (storage === null) {
    const none = { first: null, next: null, bytes: null, firstTimestamp: null, lastTimestamp: null, sync: null }
    return { ...common, durable: false, ...none }
  }
  const { log, sync } = storage
  const { bytes } = await log.store.state(log.stream)
  const { first, next } = log
  const [firstTimestamp, lastTimestamp] = [await timestampOf(log, first), await timestampOf(log, next - 1n)]
  return { ...common, durable: true, first, next, bytes, firstTimestamp, lastTimestamp, sync }
}

/** When a message was published; `null` if it is not there, or damaged: who reads it is told, and all else can be said. */
async function timestampOf(log: ChannelStorage['log'], position: bigint): Promise<number | null> {
  try {
    if (position < log.first) return null
    const [logged] = await log.read(position, { maxMessages: 1, maxBytes: 1 })
    return logged === undefined ? null : loggedMessage(logged, 0).timestamp
  } catch (error) {
    if (error instanceof LiminalError && error.code === 'STORE_CORRUPT') return null
    throw error
  }
}

function cursorInfo({ channel, name, position, lag, owned }: CursorStatus): CursorInfo {
  return { channel, name, position, lag, owned }
}

async function messagesOf(
  log: ChannelStorage['log'],
  from: bigint,
  { limit, maxBytes }: PeekTerms,
): Promise<readonly LoggedMessage[]> {
  const messages: LoggedMessage[] = []
  let position = from
  for (let left = maxBytes; left > 0 && messages.length < limit; ) {
    const page = { maxMessages: limit - messages.length, maxBytes: Math.min(left, PAGE_BYTES) }
    const runs = await log.read(position, page)
    if (runs.length === 0) break
    for (const logged of runs) {
      for (let index = 0; index < logged.run.count && left > 0; index++) {
        const message = messageOf(loggedMessage(logged, index))
        messages.push(message)
        left -= message.payload.length
        position = message.position + 1n
      }
    }
  }
  return messages
}

function messageOf(message: ReturnType<typeof loggedMessage>): LoggedMessage {
  const { position, messageId, timestamp, publisher, key, schemaId, envelope, payload } = message
  return {
    position,
    messageId,
    timestamp,
    publisher: publisher === null ? null : textOf(publisher),
    idempotencyKey: key === null ? null : textOf(key),
    schemaId: new Uint8Array(schemaId),
    causal: codec.extractCausalContext(envelope),
    // Its own: what was read may be a page of a log.
    payload: new Uint8Array(payload),
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}
