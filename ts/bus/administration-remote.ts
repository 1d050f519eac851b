import { LiminalError } from '../errors.ts'
import type { Administration, ChannelInfo, CursorInfo, LoggedMessage, PeekOptions } from './administration.ts'
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
import type { StartPosition, WaitOptions } from './bus.ts'
import { startOf } from './subscribe-arguments.ts'

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
    const { from, limit, ...limits } = options
    const start = from === undefined ? undefined : writeStart(startOf('from', from))
    return readList(await this.#do({ operation: 'peek', channel, from: start, limit }, limits), readMessage)
  }

  async purge(channel: string, options: WaitOptions & { readonly before?: bigint } = {}): Promise<bigint> {
    const { before, ...limits } = options
    return readCount(await this.#do({ operation: 'purge', channel, before: before?.toString() }, limits))
  }

  async cursors(channel?: string, options: WaitOptions = {}): Promise<readonly CursorInfo[]> {
    return readList(await this.#do({ operation: 'cursors', channel }, options), readCursor)
  }

  async setCursor(channel: string, cursor: string, to: StartPosition, options: WaitOptions = {}): Promise<CursorInfo> {
    const request = { operation: 'set-cursor', channel, cursor, to: writeStart(startOf('to', to)) } as const
    return readCursor(await this.#do(request, options))
  }

  async removeCursor(channel: string, cursor: string, options: WaitOptions = {}): Promise<void> {
    await this.#do({ operation: 'remove-cursor', channel, cursor }, options)
  }

  async #do(request: AdministrationRequest, options: WaitOptions): Promise<unknown> {
    try {
      return resultIn(await this.#ask(ADMINISTRATION_SUBJECT, request, options))
    } catch (error) {
      if (!(error instanceof LiminalError && error.code === 'NO_RESPONDER')) throw error
      const text = 'This server lets nobody administrate it: it is older, or was told not to. Do it where the bus is.'
      throw new LiminalError('NOT_SUPPORTED', text, { cause: error })
    }
  }
}
