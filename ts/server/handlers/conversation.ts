import { CoarseClock } from '../../coarse-clock.ts'
import type { FrameBatch } from '../../codec/index.ts'
import {
  type Exchange as BusExchange,
  type ConversationCore,
  type ConversationOwner,
  type ExchangeObserver,
  messageHeadBytes,
} from '../../conversation/index.ts'
import { LiminalError } from '../../errors.ts'
import { type Few, hasItem, itemsOf, withItem, withoutItem } from '../../few.ts'
import { IntegerMap } from '../../integer-map.ts'
import type { CausalContext, ConversationClose } from '../../protocol/index.ts'
import { Column, HEAD_WIDTH, REPLY_REQUESTED, ROW_WIDTH } from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import { timeoutError } from '../../waiting.ts'
import type { SessionContext } from '../context.ts'

/** The longest that a request of a peer with a deadline of its own is kept, in milliseconds. */
const LONGEST_REQUEST_MS = 600_000

/** A request without an answer yet. */
class Pending implements ExchangeObserver {
  readonly entry: Entry
  readonly streamId: number
  /** Of its payload. */
  readonly bytes: number
  /** The tick of the clock at which it is given up; `Infinity` where its exchange watches the time. */
  readonly deadline: number
  /** `null` until it is on its way. */
  exchange: BusExchange | null = null
  readonly #conversations: Conversations

  constructor(conversations: Conversations, entry: Entry, streamId: number, bytes: number, deadline: number) {
    this.#conversations = conversations
    this.entry = entry
    this.streamId = streamId
    this.bytes = bytes
    this.deadline = deadline
  }

  replied(reply: Uint8Array | null): void {
    if (reply !== null) this.#conversations.answered(this, reply)
  }

  failed(error: LiminalError): void {
    this.#conversations.failed(this, error)
  }
}

/** A conversation that the peer opened, under the id that the peer chose. */
class Entry implements ConversationOwner {
  readonly id: number | bigint
  /** The stream of the open, where the peer hears of an end that it did not ask for. */
  readonly streamId: number
  core: ConversationCore | null = null
  pending: Few<Pending> = null
  /** What ended it from the other side, for a peer that can only be told when it asks. */
  error: LiminalError | null = null
  readonly #conversations: Conversations

  constructor(conversations: Conversations, id: number | bigint, streamId: number) {
    this.#conversations = conversations
    this.id = id
    this.streamId = streamId
  }

  ended(error: LiminalError | null): void {
    this.#conversations.ended(this, error)
  }
}

/** The conversations that the peer opened: open, messages with and without reply, close. */
export class Conversations {
  readonly #context: SessionContext
  readonly #entries = new IntegerMap<Entry>(2)
  /** For requests of peers with a deadline of their own. */
  #clock: CoarseClock | null = null
  #pending = 0
  #pendingBytes = 0

  constructor(context: SessionContext) {
    this.#context = context
  }

  get size(): number {
    return this.#entries.size
  }

  /** Requests without an answer yet. */
  get pending(): number {
    return this.#pending
  }

  has(id: number | bigint): boolean {
    return this.#entries.has(id)
  }

  /** `held` is what the peer has open beside these: its responders. Returns whether it was opened. */
  open(streamId: number, id: number | bigint, subject: string, held: number): boolean {
    const entry = new Entry(this, id, streamId)
    try {
      const { refusing, options } = this.#context
      if (refusing !== null) throw refusing
      const most = options.limits.conversationsPerConnection
      if (this.#entries.size + held >= most) {
        throw new LiminalError(
          'LIMIT_EXCEEDED',
          `A connection may hold ${most} conversations and responders; close one first.`,
        )
      }
      entry.core = this.#context.bus.conversations.open(subject, entry)
    } catch (thrown) {
      this.#refuse(streamId, id, toLiminalError(thrown))
      return false
    }
    this.#entries.set(id, entry)
    return true
  }

  message(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const streamId = batch.columns[at + Column.STREAM] >>> 0
    const id = batch.key(row)
    const entry = this.#entries.get(id)
    const core = entry?.core ?? null
    if (entry === undefined || core === null) {
      const text = `No conversation ${id} is open on this connection; open it first.`
      this.#refuse(streamId, id, entry?.error ?? new LiminalError('CONVERSATION_NOT_FOUND', text))
      return
    }
    const payload = batch.payload(row)
    const causal = batch.causal(row)
    if ((batch.columns[at + Column.FLAGS] & REPLY_REQUESTED) !== 0)
      this.#request(entry, core, streamId, payload, causal)
    else this.#send(entry, core, streamId, payload, causal)
  }

  /** The peer has given up the request on this stream, and the conversation goes on. A request that was answered meanwhile is not there any more. */
  withdraw(streamId: number, id: number | bigint): void {
    // A conversation has 1,024 requests underway at most.
    const underway = itemsOf(this.#entries.get(id)?.pending ?? null)
    const pending = underway.find((request) => request.streamId === streamId)
    if (pending === undefined || !this.#take(pending)) return
    pending.exchange?.abandon(new LiminalError('ABORTED', 'The asking side gave this request up.'))
    this.#context.settled()
  }

  /** Requests underway are answered with an error first. An id that is not open is as good as closed. */
  close(id: number | bigint): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#close(entry, null)
  }

  /** The connection is over: everybody who works for this peer hears of it. */
  closeAll(error: LiminalError): void {
    for (const entry of this.#entries.values()) this.#close(entry, error)
  }

  #request(entry: Entry, core: ConversationCore, streamId: number, payload: Uint8Array, causal: CausalContext): void {
    const { refusing, options } = this.#context
    const full = refusing ?? this.#full(payload.length)
    if (full !== null) {
      this.#refuse(streamId, entry.id, full)
      return
    }
    const extended = this.#context.capabilities !== 0
    const deadline = extended ? this.#deadline() : Number.POSITIVE_INFINITY
    const pending = new Pending(this, entry, streamId, payload.length, deadline)
    entry.pending = withItem(entry.pending, pending)
    this.#pending++
    this.#pendingBytes += pending.bytes
    try {
      pending.exchange = core.ask(payload, causal, extended ? null : { timeoutMs: options.replyTimeoutMs }, pending)
    } catch (thrown) {
      this.failed(pending, toLiminalError(thrown))
    }
  }

  #deadline(): number {
    this.#clock ??= new CoarseClock(LONGEST_REQUEST_MS, (tick) => this.#expire(tick))
    return this.#clock.deadline()
  }

  #expire(tick: number): boolean {
    for (const entry of this.#entries.values()) {
      for (const { deadline, exchange } of itemsOf(entry.pending)) {
        if (deadline > tick || exchange === null) continue
        exchange.abandon(timeoutError(LONGEST_REQUEST_MS, `The request to '${entry.core?.subject}'`))
      }
    }
    return this.#pending > 0
  }

  /** Why no request of so many bytes may be underway beside the others, or `null`. */
  #full(bytes: number): LiminalError | null {
    const { pendingRequestsPerConnection: most, pendingRequestBytesPerConnection: mostBytes } =
      this.#context.options.limits
    if (this.#pending >= most) {
      return new LiminalError(
        'LIMIT_EXCEEDED',
        `A connection may have ${most} requests underway; wait for a reply first.`,
      )
    }
    if (this.#pendingBytes + bytes > mostBytes) {
      const text = `A connection may have ${mostBytes} bytes of messages underway; wait until some are dealt with.`
      return new LiminalError('LIMIT_EXCEEDED', text)
    }
    return null
  }

  #send(entry: Entry, core: ConversationCore, streamId: number, payload: Uint8Array, causal: CausalContext): void {
    const full = this.#full(payload.length)
    if (full !== null) {
      this.#refuse(streamId, entry.id, full)
      return
    }
    const bytes = payload.length
    try {
      this.#pendingBytes += bytes
      core.send(payload, causal, () => {
        this.#pendingBytes -= bytes
      })
    } catch (thrown) {
      this.#pendingBytes -= bytes
      this.#refuse(streamId, entry.id, toLiminalError(thrown))
    }
  }

  /** See Pending. */
  answered(pending: Pending, reply: Uint8Array): void {
    if (!this.#take(pending)) return
    const { output, options } = this.#context
    const { entry, streamId } = pending
    const most = options.limits.frameBytes
    if (messageHeadBytes(null) + reply.length > most) {
      const text = `The reply has ${reply.length} bytes; a frame of this server carries ${most} at most, header and all.`
      this.#refuse(streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    } else if (!output.answer(streamId, entry.id, reply)) {
      const text = `The reply has ${reply.length} bytes, and too many replies wait for this connection already; ask for less at once.`
      this.#refuse(streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    }
    this.#context.settled()
  }

  /** See Pending. */
  failed(pending: Pending, error: LiminalError): void {
    if (!this.#take(pending)) return
    this.#refuse(pending.streamId, pending.entry.id, error)
    this.#context.settled()
  }

  /** Whether the request still waits for its answer; a close may have answered it already. */
  #take(pending: Pending): boolean {
    const { entry } = pending
    if (!hasItem(entry.pending, pending)) return false
    entry.pending = withoutItem(entry.pending, pending)
    this.#pending--
    this.#pendingBytes -= pending.bytes
    return true
  }

  /** See Entry. The conversation ended from the other side: the participant left, or the bus closed it. */
  ended(entry: Entry, error: LiminalError | null): void {
    if (this.#entries.get(entry.id) !== entry) return
    const reason =
      error ?? new LiminalError('CONVERSATION_CLOSED', `Conversation ${entry.id} was ended by its participant.`)
    this.#failPending(entry, reason)
    entry.core = null
    // A peer of 1.0 takes an unexpected frame for the answer to its last request: it is told when it uses the conversation again.
    if (this.#context.capabilities === 0) {
      entry.error = reason
      return
    }
    this.#entries.delete(entry.id)
    if (error !== null) this.#refuse(entry.streamId, entry.id, error)
    else this.#context.output.converse(closeOf(entry))
    this.#context.settled()
  }

  /** @param error what requests underway are answered with; `null`: that the peer closed it. Most conversations end with none, so it is made when needed. */
  #close(entry: Entry, error: LiminalError | null): void {
    this.#entries.delete(entry.id)
    if (entry.pending !== null) this.#failPending(entry, error ?? closedUnderway(entry))
    // Without an error: messages that want no reply are finished, requests are answered already.
    entry.core?.close()
  }

  #failPending(entry: Entry, error: LiminalError): void {
    for (const pending of itemsOf(entry.pending)) this.failed(pending, error)
  }

  #refuse(streamId: number, id: number | bigint, error: LiminalError): void {
    const refusal = this.#context.refusal(error)
    const conversationId = BigInt(id)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}

function closedUnderway(entry: Entry): LiminalError {
  const text = `Conversation ${entry.id} was closed while this request was underway.`
  return new LiminalError('CONVERSATION_CLOSED', text)
}

function closeOf(entry: Entry): ConversationClose {
  const { streamId } = entry
  const conversationId = BigInt(entry.id)
  return { type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode: null, message: null }
}
