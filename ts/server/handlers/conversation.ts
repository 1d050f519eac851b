import { checkName } from '../../arguments.ts'
import { dispatchWork } from '../../bus/index.ts'
import { CoarseClock } from '../../coarse-clock.ts'
import type { FrameBatch } from '../../codec/index.ts'
import {
  type ConversationCore,
  type ConversationTerms,
  type MessageTerms,
  messageHeadBytes,
  Work,
} from '../../conversation/index.ts'
import { LiminalError } from '../../errors.ts'
import { hasItem, itemsOf, withItem, withoutItem } from '../../few.ts'
import { IntegerMap } from '../../integer-map.ts'
import { ownBytes } from '../../payload.ts'
import type { Accept, CausalContext, ConversationClose, DispatchHead } from '../../protocol/index.ts'
import {
  Capability,
  Column,
  HAS_HEAD,
  HEAD_WIDTH,
  IN_PARTS,
  OPEN_DISPATCH,
  OPEN_REROUTE,
  REPLY_REQUESTED,
  ROW_WIDTH,
  readDispatchHead,
  readHead,
  withHead,
} from '../../protocol/index.ts'
import type { DispatchOutcome } from '../../routing/index.ts'
import { isError, textOf, toLiminalError } from '../../thrown.ts'
import { timeoutError } from '../../waiting.ts'
import type { SessionContext } from '../context.ts'
import { type AskedKeeper, Entry, Pending } from './asked.ts'
import { outcomeHeadOf } from './outcome-head.ts'

/** The longest that a request of a peer with a deadline of its own is kept, in milliseconds. */
const LONGEST_REQUEST_MS = 600_000

const ASKED_IN_PARTS: MessageTerms = { inParts: true }
const REROUTED: ConversationTerms = { onCrash: 'route-to-next' }

/** The conversations that the peer opened: open, messages with and without reply, close. */
export class Conversations implements AskedKeeper {
  readonly #context: SessionContext
  readonly #entries = new IntegerMap<Entry>(2)
  /** Requests whose replies come in parts, by their streams. */
  readonly #streaming = new Map<number, Pending>()
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
  open(streamId: number, id: number | bigint, subject: string, flags: number, held: number): boolean {
    const works = (flags & (OPEN_DISPATCH | OPEN_REROUTE)) !== 0 && this.#context.granted(Capability.WORK)
    const dispatches = works && (flags & OPEN_DISPATCH) !== 0
    const entry = new Entry(this, id, streamId, dispatches ? subject : null)
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
      if (dispatches) checkName('subject', subject)
      else entry.core = this.#context.bus.conversations.open(subject, entry, works ? REROUTED : null)
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
    const flags = batch.columns[at + Column.FLAGS]
    if (entry !== undefined && entry.dispatchTo !== null) {
      this.#dispatch(entry, entry.dispatchTo, streamId, flags, batch.payload(row), batch.causal(row))
      return
    }
    const core = entry?.core ?? null
    if (entry === undefined || core === null) {
      const text = `No conversation ${id} is open on this connection; open it first.`
      this.#refuse(streamId, id, entry?.error ?? new LiminalError('CONVERSATION_NOT_FOUND', text))
      return
    }
    let payload = batch.payload(row)
    const causal = batch.causal(row)
    if ((flags & HAS_HEAD) !== 0 && this.#context.granted(Capability.WORK)) {
      try {
        // Nothing that it could say matters here.
        payload = readHead(payload).payload
      } catch (thrown) {
        this.#refuse(streamId, id, toLiminalError(thrown))
        return
      }
    }
    if ((flags & REPLY_REQUESTED) !== 0) this.#request(entry, core, streamId, flags, payload, causal)
    else this.#send(entry, core, streamId, payload, causal)
  }

  /** The peer has given up the request on this stream, and the conversation goes on. A request that was answered meanwhile is not there any more. */
  withdraw(streamId: number, id: number | bigint): void {
    // A conversation has 1,024 requests underway at most.
    const underway = itemsOf(this.#entries.get(id)?.pending ?? null)
    const pending = underway.find((request) => request.streamId === streamId)
    if (pending === undefined || !this.#take(pending)) return
    pending.abandon(new LiminalError('ABORTED', 'The asking side gave this request up.'))
    this.#context.settled()
  }

  /** Accept: the peer has taken so many parts. Returns whether the stream is one of these. */
  taken({ streamId, referencedMessageId }: Accept): boolean {
    const pending = this.#streaming.get(streamId)
    if (pending === undefined) return false
    if (/^\d{1,15}$/.test(referencedMessageId)) {
      // A stream lasts for as long as somebody takes it.
      pending.deadline = this.#deadline()
      pending.exchange?.take(Number(referencedMessageId))
    }
    return true
  }

  /** Requests underway are answered with an error first. An id that is not open is as good as closed. @param reason for the participant. */
  close(id: number | bigint, reason: string | null): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#close(entry, null, reason)
  }

  /** The connection is over: everybody who works for this peer hears of it. */
  closeAll(error: LiminalError): void {
    for (const entry of this.#entries.values()) this.#close(entry, error, null)
  }

  #request(
    entry: Entry,
    core: ConversationCore,
    streamId: number,
    flags: number,
    payload: Uint8Array,
    causal: CausalContext,
  ): void {
    const inParts = (flags & IN_PARTS) !== 0 && this.#context.granted(Capability.STREAMS)
    const deadline = this.#context.capabilities !== 0 ? this.#deadline() : Number.POSITIVE_INFINITY
    const pending = this.#admit(entry, streamId, payload.length, deadline, inParts)
    if (pending === null) return
    const limits = this.#context.capabilities !== 0 ? null : { timeoutMs: this.#context.options.replyTimeoutMs }
    try {
      pending.exchange = core.ask(payload, causal, limits, pending, inParts ? ASKED_IN_PARTS : null)
    } catch (thrown) {
      this.failed(pending, toLiminalError(thrown))
    }
  }

  /** Takes a request in, or refuses it. */
  #admit(entry: Entry, streamId: number, bytes: number, deadline: number, inParts: boolean): Pending | null {
    const full = this.#context.refusing ?? this.#full(bytes)
    if (full !== null) {
      this.#refuse(streamId, entry.id, full)
      return null
    }
    const pending = new Pending(this, entry, streamId, bytes, deadline, inParts)
    entry.pending = withItem(entry.pending, pending)
    this.#pending++
    this.#pendingBytes += pending.bytes
    if (inParts) this.#streaming.set(streamId, pending)
    return pending
  }

  #dispatch(
    entry: Entry,
    subject: string,
    streamId: number,
    flags: number,
    bytes: Uint8Array,
    causal: CausalContext,
  ): void {
    let options: DispatchHead | null = null
    let payload = bytes
    try {
      if ((flags & REPLY_REQUESTED) === 0) throw unanswerable(subject)
      if ((flags & HAS_HEAD) !== 0) {
        const headed = readHead(bytes)
        options = readDispatchHead(headed)
        // The same that a bus in this process allows: it has to fit the heads of those who get the message.
        if (options?.key !== undefined) checkName('key', options.key)
        payload = headed.payload
      }
    } catch (thrown) {
      this.#refuse(streamId, entry.id, toLiminalError(thrown))
      return
    }
    // The group keeps the time of a dispatch, which may be long.
    const pending = this.#admit(entry, streamId, payload.length, Number.POSITIVE_INFINITY, false)
    if (pending === null) return
    const dispatching = new AbortController()
    pending.dispatching = dispatching
    const work = new Work(ownBytes(payload), causal)
    dispatchWork(this.#context.bus.conversations, subject, work, { ...options, signal: dispatching.signal }).then(
      ({ value, ...outcome }) => this.#dispatched(pending, value, outcome),
      (thrown: unknown) => this.failed(pending, failureOf(thrown)),
    )
  }

  #dispatched(pending: Pending, value: Uint8Array, outcome: Omit<DispatchOutcome<unknown>, 'value'>): void {
    this.answered(pending, withHead({ outcome: outcomeHeadOf(outcome) }, value), REPLY_REQUESTED | HAS_HEAD)
  }

  #deadline(): number {
    this.#clock ??= new CoarseClock(LONGEST_REQUEST_MS, (tick) => this.#expire(tick))
    return this.#clock.deadline()
  }

  #expire(tick: number): boolean {
    for (const entry of this.#entries.values()) {
      for (const pending of itemsOf(entry.pending)) {
        if (pending.deadline > tick) continue
        const subject = entry.dispatchTo ?? entry.core?.subject ?? ''
        pending.abandon(timeoutError(LONGEST_REQUEST_MS, `The request to '${subject}'`))
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

  /** See AskedKeeper. */
  answered(pending: Pending, reply: Uint8Array, flags: number): void {
    if (!this.#take(pending)) return
    const { output, options } = this.#context
    const { entry, streamId } = pending
    const most = options.limits.frameBytes
    if (messageHeadBytes(null) + reply.length > most) {
      const text = `The reply has ${reply.length} bytes; a frame of this server carries ${most} at most, header and all.`
      this.#refuse(streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    } else if (
      !(flags === REPLY_REQUESTED
        ? output.answer(streamId, entry.id, reply)
        : output.answerWith(streamId, entry.id, reply, flags))
    ) {
      const text = `The reply has ${reply.length} bytes, and too many replies wait for this connection already; ask for less at once.`
      this.#refuse(streamId, entry.id, new LiminalError('LIMIT_EXCEEDED', text))
    }
    this.#context.settled()
  }

  /** See AskedKeeper. What is sent is bounded by the window, which the peer moves, and by what may wait for room. */
  partCame(pending: Pending, part: Uint8Array): void {
    const { output, options } = this.#context
    const { entry, streamId } = pending
    const fits = messageHeadBytes(null) + part.length <= options.limits.frameBytes
    if (fits && output.answerWith(streamId, entry.id, part, IN_PARTS)) return
    const text = `A part of the reply has ${part.length} bytes, and ${fits ? 'too many replies wait for this connection already' : 'no frame of this server carries so many'}.`
    pending.abandon(new LiminalError('LIMIT_EXCEEDED', text))
  }

  /** See AskedKeeper. */
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
    if (pending.inParts) this.#streaming.delete(pending.streamId)
    return true
  }

  /** See AskedKeeper. The conversation ended from the other side: the participant left, or the bus closed it. */
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
  #close(entry: Entry, error: LiminalError | null, reason: string | null): void {
    this.#entries.delete(entry.id)
    if (entry.pending !== null) this.#failPending(entry, error ?? closedUnderway(entry))
    // Without an error: messages that want no reply are finished, requests are answered already.
    entry.core?.close(undefined, reason ?? undefined)
  }

  #failPending(entry: Entry, error: LiminalError): void {
    for (const pending of itemsOf(entry.pending)) {
      this.failed(pending, error)
      pending.dispatching?.abort(error)
    }
  }

  #refuse(streamId: number, id: number | bigint, error: LiminalError): void {
    const refusal = this.#context.refusal(error)
    const conversationId = BigInt(id)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}

function unanswerable(subject: string): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', `What is dispatched to '${subject}' has to want a reply.`)
}

/** A dispatch fails with what happened to it; what the consumer said is the cause, and what the asker is told. */
function failureOf(thrown: unknown): LiminalError {
  const error = toLiminalError(thrown)
  const { cause } = error
  if (error.code !== 'RESPONDER_FAILED' || !isError(cause)) return error
  return new LiminalError('RESPONDER_FAILED', `${error.message} ${textOf(cause)}`, { cause })
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
