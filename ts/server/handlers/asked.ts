import type { ConversationCore, ConversationOwner, Exchange, ExchangeObserver } from '../../conversation/index.ts'
import type { LiminalError } from '../../errors.ts'
import type { Few } from '../../few.ts'
import { IN_PARTS, REPLY_REQUESTED } from '../../protocol/index.ts'

const NOTHING = new Uint8Array(0)

/** Hears what becomes of the requests and conversations of a peer. */
export interface AskedKeeper {
  /** @param flags what kind of reply it is. */
  answered(pending: Pending, reply: Uint8Array, flags: number): void
  partCame(pending: Pending, part: Uint8Array): void
  failed(pending: Pending, error: LiminalError): void
  ended(entry: Entry, error: LiminalError | null): void
}

/** A request without an answer yet. */
export class Pending implements ExchangeObserver {
  readonly entry: Entry
  readonly streamId: number
  /** Of its payload. */
  readonly bytes: number
  /** The tick of the clock at which it is given up; `Infinity` where somebody else watches the time. */
  deadline: number
  /** Whether its reply comes in parts. */
  readonly inParts: boolean
  /** `null` until it is on its way. */
  exchange: Exchange | null = null
  /** What it was dispatched with, to end the dispatch by; `null` for a message of a conversation. */
  dispatching: AbortController | null = null
  readonly #keeper: AskedKeeper

  constructor(keeper: AskedKeeper, entry: Entry, streamId: number, bytes: number, deadline: number, inParts: boolean) {
    this.#keeper = keeper
    this.entry = entry
    this.streamId = streamId
    this.bytes = bytes
    this.deadline = deadline
    this.inParts = inParts
  }

  replied(reply: Uint8Array | null): void {
    if (reply !== null) this.#keeper.answered(this, reply, REPLY_REQUESTED)
    else if (this.inParts) this.#keeper.answered(this, NOTHING, REPLY_REQUESTED | IN_PARTS)
  }

  part(part: Uint8Array): void {
    this.#keeper.partCame(this, part)
  }

  failed(error: LiminalError): void {
    this.#keeper.failed(this, error)
  }

  /** Nobody waits for it any more. */
  abandon(error: LiminalError): void {
    this.exchange?.abandon(error)
    this.dispatching?.abort(error)
  }
}

/** A conversation that the peer opened, under the id that the peer chose. */
export class Entry implements ConversationOwner {
  readonly id: number | bigint
  /** The stream of the open, where the peer hears of an end that it did not ask for. */
  readonly streamId: number
  core: ConversationCore | null = null
  /** The subject to whose group its requests are dispatched; `null` for a conversation. */
  readonly dispatchTo: string | null
  pending: Few<Pending> = null
  /** What ended it from the other side, for a peer that can only be told when it asks. */
  error: LiminalError | null = null
  readonly #keeper: AskedKeeper

  constructor(keeper: AskedKeeper, id: number | bigint, streamId: number, dispatchTo: string | null) {
    this.#keeper = keeper
    this.id = id
    this.streamId = streamId
    this.dispatchTo = dispatchTo
  }

  ended(error: LiminalError | null): void {
    this.#keeper.ended(this, error)
  }
}
