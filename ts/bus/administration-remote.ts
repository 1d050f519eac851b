import { LiminalError } from '../errors.ts'
import type { Administration, ChannelInfo, CursorInfo, LoggedMessage, PeekOptions } from './administration.ts'
import { checkAdministrationOptions, cursorPlace, purgedBefore } from './administration-arguments.ts'
import {
  ADMINISTRATION_SUBJECT,
  type AdministrationRequest,
  readChannel,
  readCount,
  readCursor,
  readList,
  readMessage,
  resultIn,
  writeStart,
} from './administration-wire.ts'
import type { WaitOptions } from './bus.ts'
import { peekTerms } from './peeking.ts'
import type { StartPosition } from './subscription.ts'

/** Asks a server, as `Bus.ask` does. */
export type AskServer = (subject: string, request: AdministrationRequest, options: WaitOptions) => Promise<unknown>

/** What operators do, on a bus behind a server. */
export class RemoteAdministration implements Administration {
  readonly #ask: AskServer

  constructor(ask: AskServer) {
    this.#ask = ask
  }

  async channels(options: WaitOptions = {}): Promise<readonly ChannelInfo[]> {
    return readList(await this.#do({ operation: 'channels' }, options), readChannel)
  }

  async channel(name: string, options: WaitOptions = {}): Promise<ChannelInfo> {
    return readChannel(await this.#do({ operation: 'channel', channel: name }, options))
  }

  async peek(channel: string, options: PeekOptions = {}): Promise<readonly LoggedMessage[]> {
    checkAdministrationOptions(options, ['from', 'limit', 'maxBytes'])
    const { from, limit, maxBytes } = peekTerms(options)
    const messages: LoggedMessage[] = []
    const remaining = remainingOf(options)
    let start = writeStart(from)
    // A reply has room for a part of what is large.
    for (let left = maxBytes; left > 0 && messages.length < limit; ) {
      const request = { operation: 'peek', channel, from: start, limit: limit - messages.length } as const
      const page = readList(await this.#do(request, remaining()), readMessage)
      if (page.length === 0) break
      for (const message of page) {
        if (left <= 0) break
        messages.push(message)
        left -= message.payload.length
      }
      start = writeStart({ position: page[page.length - 1].position + 1n })
    }
    return messages
  }

  async purge(channel: string, options: WaitOptions & { readonly before?: bigint } = {}): Promise<bigint> {
    const before = purgedBefore(options)?.toString()
    const { before: _, ...limits } = options
    return readCount(await this.#do({ operation: 'purge', channel, before }, limits))
  }

  async removeChannel(name: string, options: WaitOptions = {}): Promise<void> {
    await this.#do({ operation: 'remove-channel', channel: name }, options)
  }

  async cursors(channel?: string, options: WaitOptions = {}): Promise<readonly CursorInfo[]> {
    return readList(await this.#do({ operation: 'cursors', channel }, options), readCursor)
  }

  async setCursor(channel: string, cursor: string, to: StartPosition, options: WaitOptions = {}): Promise<CursorInfo> {
    const request = { operation: 'set-cursor', channel, cursor, to: writeStart(cursorPlace(to)) } as const
    return readCursor(await this.#do(request, options))
  }

  async removeCursor(channel: string, cursor: string, options: WaitOptions = {}): Promise<void> {
    await this.#do({ operation: 'remove-cursor', channel, cursor }, options)
  }

  async #do(request: AdministrationRequest, options: WaitOptions): Promise<unknown> {
    checkAdministrationOptions(options)
    try {
      return resultIn(await this.#ask(ADMINISTRATION_SUBJECT, request, options))
    } catch (error) {
      if (!(error instanceof LiminalError && error.code === 'NO_RESPONDER')) throw error
      const text = 'This server lets nobody administrate it: it is older, or was told not to. Do it where the bus is.'
      throw new LiminalError('NOT_SUPPORTED', text, { cause: error })
    }
  }
}

/** What is left of the time for several requests. */
function remainingOf(options: WaitOptions): () => WaitOptions {
  const { timeoutMs, signal } = options
  if (timeoutMs === undefined) return () => (signal === undefined ? {} : { signal })
  const end = performance.now() + timeoutMs
  return () => {
    const timeLeft = { timeoutMs: Math.max(0, Math.ceil(end - performance.now())) }
    return signal === undefined ? timeLeft : { ...timeLeft, signal }
  }
}
