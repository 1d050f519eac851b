import type { ConversationCore, Exchange } from '../../conversation/index.ts'
import { LiminalError } from '../../errors.ts'
import type {
  CausalContext,
  ConversationClose,
  ConversationError,
  ConversationMessage,
  ConversationOpen,
} from '../../protocol/index.ts'
import { NO_CAUSE, NO_SCHEMA, REPLY_REQUESTED } from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'

/** The longest that a request of a peer with a deadline of its own is kept, in milliseconds. */
const LONGEST_REQUEST_MS = 600_000

/** A request without an answer yet. */
interface Pending {
  readonly entry: Entry
  readonly streamId: number
  /** Of its payload. */
  readonly bytes: number
  /** `null` until it is on its way. */
  exchange: Exchange | null
}

/** A conversation that the peer opened, under the id that the peer chose. */
interface Entry {
  readonly id: bigint
  /** The stream of the open, where the peer hears of an end that it did not ask for. */
  readonly streamId: number
  core: ConversationCore | null
  readonly pending: Set<Pending>
  /** What ended it from the other side, for a peer that can only be told when it asks. */
  ended: LiminalError | null
}

/** The conversations that the peer opened: open, messages with and without reply, close. */
export class Conversations {
  readonly #context: SessionContext
  readonly #entries = new Map<bigint, Entry>()
  /** Requests of a peer that can give one up, by their stream. */
  readonly #byStream = new Map<number, Pending>()
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

  has(id: bigint): boolean {
    return this.#entries.has(id)
  }

  /** `held` is what the peer has open beside these: its responders. */
  open(frame: ConversationOpen, held: number): void {
    const entry: Entry = {
      id: frame.conversationId,
      streamId: frame.streamId,
      core: null,
      pending: new Set(),
      ended: null,
    }
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
      entry.core = this.#context.bus.conversations.open(frame.subject, { ended: (error) => this.#ended(entry, error) })
    } catch (thrown) {
      this.#refuse(frame.streamId, frame.conversationId, toLiminalError(thrown))
      return
    }
    this.#entries.set(entry.id, entry)
    this.#context.confirm(frame)
  }

  message(frame: ConversationMessage): void {
    const entry = this.#entries.get(frame.conversationId)
    const core = entry?.core ?? null
    if (entry === undefined || core === null) {
      const text = `No conversation ${frame.conversationId} is open on this connection; open it first.`
      const error = entry?.ended ?? new LiminalError('CONVERSATION_NOT_FOUND', text)
      this.#refuse(frame.streamId, frame.conversationId, error)
      return
    }
    // The received bytes are reused; what a participant gets is its own.
    const payload = new Uint8Array(frame.envelope.payload)
    const { causal } = frame.envelope
    if ((frame.flags & REPLY_REQUESTED) !== 0) this.#request(entry, core, frame.streamId, payload, causal)
    else this.#send(entry, core, frame.streamId, payload, causal)
  }

  /** The peer has given up the request on this stream, and the conversation goes on. A request that was answered meanwhile is not there any more. */
  withdraw(frame: ConversationError): void {
    const pending = this.#byStream.get(frame.streamId)
    if (pending === undefined || pending.entry.id !== frame.conversationId || !this.#take(pending)) return
    pending.exchange?.abandon(new LiminalError('ABORTED', 'The asking side gave this request up.'))
    this.#context.settled()
  }

  /** Requests underway are answered with an error first. An id that is not open is as good as closed. */
  close(frame: ConversationClose): void {
    const entry = this.#entries.get(frame.conversationId)
    if (entry !== undefined) this.#close(entry, null)
    this.#context.confirm(frame)
    this.#context.settled()
  }

  /** The connection is over: everybody who works for this peer hears of it. */
  closeAll(error: LiminalError): void {
    for (const entry of [...this.#entries.values()]) this.#close(entry, error)
  }

  #request(entry: Entry, core: ConversationCore, streamId: number, payload: Uint8Array, causal: CausalContext): void {
    const { refusing, options } = this.#context
    const full = refusing ?? this.#full(payload.length)
    if (full !== null) {
      this.#refuse(streamId, entry.id, full)
      return
    }
    const extended = this.#context.capabilities !== 0
    const pending: Pending = { entry, streamId, bytes: payload.length, exchange: null }
    entry.pending.add(pending)
    if (extended) this.#byStream.set(streamId, pending)
    this.#pending++
    this.#pendingBytes += pending.bytes
    const timeoutMs = extended ? LONGEST_REQUEST_MS : options.replyTimeoutMs
    const answered = (reply: Uint8Array): void => this.#answered(pending, reply)
    const failed = (error: LiminalError): void => this.#failed(pending, error)
    try {
      pending.exchange = core.begin(payload, causal, { timeoutMs }, answered, failed)
    } catch (thrown) {
      failed(toLiminalError(thrown))
    }
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

  #answered(pending: Pending, reply: Uint8Array): void {
    if (!this.#take(pending)) return
    const { output, options } = this.#context
    const { entry } = pending
    const frame: ConversationMessage = {
      type: 'ConversationMessage',
      flags: REPLY_REQUESTED,
      streamId: pending.streamId,
      conversationId: entry.id,
      envelope: { schemaId: NO_SCHEMA, causal: NO_CAUSE, payload: reply },
    }
    const most = options.limits.frameBytes
    if (options.codec.encodedLength(frame) > most) {
      const text = `The reply has ${reply.length} bytes; a frame of this server carries ${most} at most, header and all.`
      this.#refuse(pending.streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    } else if (!output.answer(frame)) {
      const text = `The reply has ${reply.length} bytes, and too many replies wait for this connection already; ask for less at once.`
      this.#refuse(pending.streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    }
    this.#context.settled()
  }

  #failed(pending: Pending, error: LiminalError): void {
    if (!this.#take(pending)) return
    this.#refuse(pending.streamId, pending.entry.id, error)
    this.#context.settled()
  }

  /** Whether the request still waits for its answer; a close may have answered it already. */
  #take(pending: Pending): boolean {
    if (!pending.entry.pending.delete(pending)) return false
    if (this.#byStream.get(pending.streamId) === pending) this.#byStream.delete(pending.streamId)
    this.#pending--
    this.#pendingBytes -= pending.bytes
    return true
  }

  /** The conversation ended from the other side: the participant left, or the bus closed it. */
  #ended(entry: Entry, error: LiminalError | null): void {
    if (this.#entries.get(entry.id) !== entry) return
    const reason =
      error ?? new LiminalError('CONVERSATION_CLOSED', `Conversation ${entry.id} was ended by its participant.`)
    this.#failPending(entry, reason)
    entry.core = null
    // A peer of 1.0 takes an unexpected frame for the answer to its last request: it is told when it uses the conversation again.
    if (this.#context.capabilities === 0) {
      entry.ended = reason
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
    if (entry.pending.size > 0) this.#failPending(entry, error ?? closedUnderway(entry))
    // Without an error: messages that want no reply are finished, requests are answered already.
    entry.core?.close()
  }

  #failPending(entry: Entry, error: LiminalError): void {
    for (const pending of [...entry.pending]) this.#failed(pending, error)
  }

  #refuse(streamId: number, conversationId: bigint, error: LiminalError): void {
    const refusal = this.#context.refusal(error)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}

function closedUnderway(entry: Entry): LiminalError {
  const text = `Conversation ${entry.id} was closed while this request was underway.`
  return new LiminalError('CONVERSATION_CLOSED', text)
}

function closeOf(entry: Entry): ConversationClose {
  const { streamId, id: conversationId } = entry
  return { type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode: null, message: null }
}
