import type { FrameBatch } from '../codec/index.ts'
import { messageHeadBytes, openBytes } from '../conversation/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import type { Encoded } from '../payload-text.ts'
import { Capability, type CausalContext, CONFIRM, Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import { timeoutError, waitFor } from '../waiting.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame } from './frame-size.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { requireWork } from './require.ts'
import type { StreamOwner } from './streams.ts'
import { wireText } from './wire-text.ts'

/** Something that waits for a reply in a conversation. */
export interface LinkedRequest {
  /** The conversation is over. */
  abandon(error: LiminalError): void
}

/** How a conversation is held. */
export interface LinkTerms {
  /** Flags of the open beside those for confirmation. */
  readonly openFlags: number
  readonly deadlineMs?: number | undefined
  readonly idleTimeoutMs?: number | undefined
  readonly causal?: CausalContext | undefined
}

type Phase = 'unsent' | 'opening' | 'open' | 'closing' | 'over'

/** One conversation on its connection: it never outlives it. Its id is the stream that it was opened on. */
export class ConversationLink extends Call implements StreamOwner {
  readonly subject: string
  readonly what: string
  readonly bytes: number
  /** Settles when the server has agreed, or with what kept it from that. Without confirmations: as soon as it is asked. */
  readonly opened = new Deferred<void>()
  /** Settles when the conversation is over. */
  readonly closed = new Deferred<void>()
  readonly #core: ClientCore
  readonly #requests = new Set<LinkedRequest>()
  readonly #confirmedClose = new Deferred<void>()
  #phase: Phase = 'unsent'
  #connection: Connection | null = null
  #stream = 0
  #ending: LiminalError | null = null

  readonly #terms: LinkTerms
  #deadline: NodeJS.Timeout | null = null
  #idle: NodeJS.Timeout | null = null

  constructor(core: ClientCore, subject: string, terms: LinkTerms) {
    super()
    this.#terms = terms
    this.#core = core
    this.subject = subject
    this.what = `The conversation with '${subject}'`
    this.bytes = openBytes(subject)
  }

  get id(): bigint {
    return BigInt(this.#stream)
  }

  /** The connection, while messages can be exchanged. @throws LiminalError what ended the conversation. */
  get connection(): Connection {
    if (this.#phase === 'open' && this.#connection !== null) return this.#connection
    throw this.#ending ?? this.#over()
  }

  /** What its messages say if they say nothing themselves. */
  get causal(): CausalContext | null {
    return this.#terms.causal ?? null
  }

  /** @throws LiminalError `NOT_SUPPORTED`, before anything is sent. */
  write(connection: Connection): void {
    const { openFlags } = this.#terms
    if (openFlags !== 0) requireWork(connection, 'Giving a request to another responder')
    const confirms = connection.granted(Capability.CONFIRMATIONS)
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    this.#core.frames.open(connection.outbox, this.#stream, this.id, this.subject, openFlags | (confirms ? CONFIRM : 0))
    this.#phase = confirms ? 'opening' : 'open'
    this.#watchTime()
    if (!confirms) this.opened.resolve()
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationOpen) {
      if (this.#phase !== 'opening') return
      this.#phase = 'open'
      this.opened.resolve()
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type === 'ConversationError') this.#finish(errorFromPeer(frame))
    } else if (type === FrameType.ConversationClose) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationClose') return
      const { reasonCode, message } = frame
      this.#finish(reasonCode === null ? null : errorFromPeer({ reasonCode, message }))
    }
  }

  /** Sends a message that wants no reply. @throws LiminalError `CONVERSATION_CLOSED` or what ended it, `OUTBOX_FULL`, `PAYLOAD_TOO_LARGE`. */
  send(payload: Encoded): void {
    const connection = this.connection
    const { settings, frames } = this.#core
    const what = `The message to '${this.subject}'`
    const bytes = checkFrame(what, messageHeadBytes(this.causal), payload, settings.frameBytes)
    this.#core.claimRoom(bytes, what)
    frames.message(connection.outbox, this.#stream, this.id, this.causal, payload)
    this.#idle?.refresh()
  }

  /** A request that shares the fate of the conversation, until {@link release}. */
  hold(request: LinkedRequest): void {
    this.#requests.add(request)
    this.#idle?.refresh()
  }

  release(request: LinkedRequest): void {
    this.#requests.delete(request)
    this.#idle?.refresh()
  }

  /** Nobody waits for the open any more. */
  abandon(error: LiminalError): void {
    this.unpark()
    this.#hangUp(0, error.message)
    this.#finish(error)
  }

  /** Ends it from this side. Resolves when the server has confirmed that, or is not going to. */
  async close(reason: string | null = null): Promise<void> {
    if (this.#phase === 'closing') await this.#waitForClose()
    if (this.#phase !== 'open') return
    const error = this.#over()
    this.#ending = error
    for (const request of [...this.#requests]) request.abandon(error)
    const confirms = this.#connection?.granted(Capability.CONFIRMATIONS) === true
    this.#hangUp(confirms ? CONFIRM : 0, reason)
    if (!confirms) return this.#finish(null)
    this.#phase = 'closing'
    await this.#waitForClose()
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.#finish(lostError(this.what, error))
  }

  end(error: LiminalError): void {
    this.#finish(error)
  }

  async #waitForClose(): Promise<void> {
    const { requestTimeoutMs } = this.#core.settings
    const what = `Closing the conversation with '${this.subject}'`
    // A server that does not confirm in time changes nothing: here it is over.
    await waitFor(this.#confirmedClose.promise, { timeoutMs: requestTimeoutMs, what }).catch(() => {})
    this.#finish(null)
  }

  #hangUp(flags: number, reason: string | null): void {
    const connection = this.#connection
    if (connection === null || !connection.open) return
    const { id: conversationId } = this
    const streamId = this.#stream
    if (reason === null) this.#core.frames.close(connection.outbox, streamId, conversationId, flags)
    else {
      const message = wireText(reason)
      connection.write({ type: 'ConversationClose', flags, streamId, conversationId, reasonCode: null, message })
    }
  }

  #watchTime(): void {
    const { deadlineMs, idleTimeoutMs } = this.#terms
    if (deadlineMs !== undefined) {
      this.#deadline = setTimeout(() => this.#expire(timeoutError(deadlineMs, this.what)), deadlineMs)
    }
    if (idleTimeoutMs !== undefined) {
      const error = new LiminalError('TIMEOUT', `${this.what} was idle for ${idleTimeoutMs} ms.`)
      this.#idle = setTimeout(() => this.#expire(error), idleTimeoutMs)
    }
  }

  #expire(error: LiminalError): void {
    this.#hangUp(0, error.message)
    this.#finish(error)
  }

  #finish(error: LiminalError | null): void {
    if (this.#phase === 'over') return
    const asked = this.#phase === 'closing'
    this.#phase = 'over'
    if (this.#deadline !== null) clearTimeout(this.#deadline)
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#ending = error ?? this.#over()
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.opened.reject(this.#ending)
    for (const request of [...this.#requests]) request.abandon(this.#ending)
    if (error === null || asked) this.closed.resolve()
    else this.closed.reject(error)
    this.#confirmedClose.resolve()
  }

  #over(): LiminalError {
    return new LiminalError(
      'CONVERSATION_CLOSED',
      `The conversation with '${this.subject}' is closed. Open another one.`,
    )
  }
}
