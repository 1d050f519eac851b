import type { CausalContext } from '../protocol/index.ts'
import type { WaitOptions } from './bus.ts'
import type { StartPosition } from './subscription.ts'

/** What a channel is and holds. */
export interface ChannelInfo {
  readonly name: string
  readonly durable: boolean
  /** Subscriptions that get deliveries now. */
  readonly subscribers: number
  /** Lower-case hex of the schema id; `null` without a schema. */
  readonly schemaId: string | null
  /** The oldest message that is still there, and the position of the one published next; both `null` for a channel that is not durable, as are all below. */
  readonly first: bigint | null
  readonly next: bigint | null
  /** Bytes of the messages in the log. */
  readonly bytes: number | null
  /** When the oldest and the newest of them were published, in milliseconds since the epoch, as {@link LoggedMessage.timestamp} says it. `null` also without messages, and for one that is damaged. */
  readonly firstTimestamp: number | null
  readonly lastTimestamp: number | null
  readonly sync: 'each' | 'interval' | 'os' | null
}

/** What a cursor has accepted. */
export interface CursorInfo {
  readonly channel: string
  readonly name: string
  /** The first position that was not accepted, as it was last written down. */
  readonly position: bigint
  /** Messages from there to the end of the log. */
  readonly lag: bigint
  /** Whether a subscription owns it now. */
  readonly owned: boolean
}

/** A message of a log as it is stored. */
export interface LoggedMessage {
  readonly position: bigint
  readonly messageId: bigint
  /** Milliseconds since the epoch when it was published. */
  readonly timestamp: number
  readonly publisher: string | null
  readonly idempotencyKey: string | null
  /** 32 bytes; zero without a schema. */
  readonly schemaId: Uint8Array
  readonly causal: CausalContext
  readonly payload: Uint8Array
}

export interface PeekOptions extends WaitOptions {
  /** Default `'earliest'`. `'latest'` shows the last ones. */
  readonly from?: StartPosition
  /** Messages, at most 1,024. Default 10. */
  readonly limit?: number
  /** Bytes of payloads: the message that reaches them is the last one, however many `limit` allows. Default 64 MiB. */
  readonly maxBytes?: number
}

/**
 * What operators do. Everything throws LiminalError `CHANNEL_NOT_FOUND`, `CURSOR_NOT_FOUND`, `NOT_SUPPORTED` (the channel is not durable), `CLOSED`, and on a remote bus what a request
 * throws.
 */
export interface Administration {
  /** All channels, by name. */
  channels(options?: WaitOptions): Promise<readonly ChannelInfo[]>
  channel(name: string, options?: WaitOptions): Promise<ChannelInfo>
  /**
   * Messages of a log, which stay where they are. Fewer than `limit` only at the end of the log, or where `maxBytes` is reached. A remote bus asks its server as often as it takes, for about 4 MiB
   * each; `LIMIT_EXCEEDED` for a message that no reply of that server has room for, of three quarters of its `frameBytes`.
   */
  peek(channel: string, options?: PeekOptions): Promise<readonly LoggedMessage[]>
  /** Removes the messages before a position, or without one all. Returns how many. Cursors that have not accepted them skip them. */
  purge(channel: string, options?: WaitOptions & { readonly before?: bigint }): Promise<bigint>
  /**
   * Removes a durable channel with its messages, cursors, idempotency keys and definition, for good; one that is damaged too. Publishes underway are answered before, later ones are refused with
   * `CHANNEL_CLOSED` like the end of its subscriptions; afterwards with
   * `CHANNEL_NOT_FOUND`, until the name is declared anew or the bus is started again. It goes on if the wait for it ends. A crash leaves the channel whole, or has it removed.
   *
   * @throws LiminalError `STORE_FULL`, `STORE_FAILED`, `STORE_BUSY`: call it again, or leave what is left to the next start of the bus.
   */
  removeChannel(name: string, options?: WaitOptions): Promise<void>
  /** The cursors of one channel, or of all. */
  cursors(channel?: string, options?: WaitOptions): Promise<readonly CursorInfo[]>
  /** Moves a cursor, or makes it. Whoever owns it is fenced, and subscribes again. */
  setCursor(channel: string, cursor: string, to: StartPosition, options?: WaitOptions): Promise<CursorInfo>
  /** Forgets a cursor. Whoever owns it is fenced. */
  removeCursor(channel: string, cursor: string, options?: WaitOptions): Promise<void>
}
