import type { FrameBatch } from '../codec/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import {
  CONFIRM,
  Column,
  type DurableOpenTerms,
  FrameType,
  HEAD_WIDTH,
  OPEN_DURABLE,
  ROW_WIDTH,
  withDurableTerms,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { DurableRequest } from './durable-request.ts'
import { errorFromPeer } from './peer-error.ts'
import { requireDurable } from './require.ts'
import type { Restorable } from './restorable.ts'
import type { StreamOwner } from './streams.ts'
import { wireText } from './wire-text.ts'

/** Requests of one conversation that wait for their replies, at most. */
const MOST_REQUESTS = 1_024
/** `apart`: it is opened with the next connection. `let-go`: it ended at the server, and is opened when somebody asks for what it has answered. */
type Phase = 'apart' | 'opening' | 'open' | 'let-go' | 'over'

/**
 * A durable conversation of a remote bus. It outlives its connections: on each new one it is opened again under its key, and what was asked and not answered is asked
 * again, under the same id.
 */
export class DurableLink implements Restorable, StreamOwner {
  readonly channel = null
  readonly subject: string
  readonly key: string
  /** Settles when it is open for the first time, or with what keeps it from that. */
  readonly opened = new Deferred<void>()
  /** Settles when it is over. */
  readonly closed = new Deferred<void>()
  readonly #core: ClientCore
  readonly #terms: DurableOpenTerms
  /** Those that have no reply, in the order in which they were made. */
  readonly #requests = new Set<DurableRequest>()
  #bytes = 0
  #phase: Phase = 'apart'
  #connection: Connection | null = null
  #stream = 0
  #attached: Deferred<boolean> | null = null
  /** It was open once. */
  #isKnown = false
  /** What was said to the close, once it was closed from here. */
  #closing: { readonly reason: string | null; readonly done: Deferred<void> } | null = null
  #ending: LiminalError | null = null
  /** The server has said that it is over. */
  #hasEnded = false

  constructor(core: ClientCore, subject: string, terms: DurableOpenTerms) {
    this.#core = core
    this.subject = subject
    this.key = terms.key
    this.#terms = terms
  }

  get id(): bigint {
    return BigInt(this.#stream)
  }

  /** Where requests can be written; `null` while they have to wait. */
  get connection(): Connection | null {
    return this.#phase === 'open' ? this.#connection : null
  }

  /** Opens it, now or with the next connection. */
  begin(): void {
    this.#core.restorables.add(this)
    const { connection } = this.#core
    if (connection !== null) void this.attach(connection)
  }

  /** See Restorable. */
  attach(connection: Connection): Promise<boolean> {
    const attached = new Deferred<boolean>()
    try {
      requireDurable(connection, `A durable conversation with '${this.subject}'`)
      const subject = withDurableTerms(this.subject, this.#isKnown ? { key: this.key, existing: true } : this.#terms)
      this.#connection = connection
      this.#phase = 'opening'
      this.#attached = attached
      this.#stream = connection.streams.open(this)
      const { id: conversationId } = this
      const streamId = this.#stream
      connection.write({ type: 'ConversationOpen', flags: OPEN_DURABLE | CONFIRM, streamId, conversationId, subject })
    } catch (thrown) {
      this.#finish(toLiminalError(thrown))
      attached.resolve(false)
    }
    return attached.promise
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationOpen) this.#reopened()
    else if (type === FrameType.ConversationClose) this.#over(null)
    else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      const error = errorFromPeer(frame)
      // The connection ends, and the conversation does not.
      if (!this.isGoingAway(error)) this.#over(error)
    }
  }

  /** See StreamOwner. */
  lost(_error: LiminalError): void {
    this.#connection = null
    this.#attached?.resolve(false)
    this.#attached = null
    if (this.#phase === 'opening' || this.#phase === 'open') this.#phase = 'apart'
  }

  /** See Restorable. */
  end(error: LiminalError): void {
    this.#finish(error)
  }

  /** Asks, now or as soon as it can. @throws LiminalError what it ended with, `CONVERSATION_CLOSED`, `LIMIT_EXCEEDED`, `OUTBOX_FULL`, `CLOSED`. */
  ask(request: DurableRequest): void {
    if (this.#closing !== null) throw this.#closedHere()
    if (this.#phase === 'over' && this.#ending !== null) throw this.#ending
    if (this.#requests.size >= MOST_REQUESTS) {
      const text = `The conversation with '${this.subject}' has ${MOST_REQUESTS} messages underway. Await replies before sending more.`
      throw new LiminalError('LIMIT_EXCEEDED', text)
    }
    if (this.#bytes > 0 && this.#bytes + request.bytes > this.#core.maxRetainedBytes) {
      const text = `The conversation with '${this.subject}' has ${this.#bytes} bytes of requests underway. Await replies before sending more.`
      throw new LiminalError('OUTBOX_FULL', text)
    }
    this.#requests.add(request)
    this.#bytes += request.bytes
    if (this.#phase === 'open') this.#core.submit(request)
    else if (this.#phase === 'let-go') {
      this.#phase = 'apart'
      this.begin()
    }
  }

  /** It has its answer, or nobody waits for it any more. */
  release(request: DurableRequest): void {
    if (!this.#requests.delete(request)) return
    this.#bytes -= request.bytes
    this.#letGo()
  }

  /** Whether the answer of a server is no answer: it goes away. */
  isGoingAway(error: LiminalError): boolean {
    return error.code === 'SHUTTING_DOWN'
  }

  /** Nobody waits for the open any more. The conversation may be there all the same. */
  abandon(error: LiminalError): void {
    this.#finish(error)
  }

  /** Ends it, for all who have it. Resolves when that is stored. @throws LiminalError what keeps the server from it; `CLOSED`. */
  async close(reason: string | null): Promise<void> {
    if (this.#closing === null && (this.#phase === 'over' || this.#hasEnded)) return
    if (this.#closing === null) {
      this.#closing = { reason, done: new Deferred() }
      for (const request of [...this.#requests]) request.abandon(this.#closedHere())
      if (this.#phase === 'open') this.#sayClose(CONFIRM)
    }
    await this.#closing.done.promise
  }

  #reopened(): void {
    if (this.#phase !== 'opening') return
    this.#phase = 'open'
    this.#isKnown = true
    this.opened.resolve()
    this.#attached?.resolve(true)
    this.#attached = null
    if (this.#closing !== null) {
      this.#sayClose(CONFIRM)
      return
    }
    for (const request of [...this.#requests]) {
      try {
        this.#core.submit(request)
      } catch (thrown) {
        request.abandon(toLiminalError(thrown))
      }
    }
  }

  /** The server says that it is over, or that it was closed. Replies that were given may still be asked for. */
  #over(error: LiminalError | null): void {
    if (this.#closing !== null || this.#phase === 'opening') {
      this.#finish(error)
      return
    }
    this.#hasEnded = true
    if (error === null) this.closed.resolve()
    else this.closed.reject(error)
    this.#letGo()
  }

  /** One that is over, and of which nobody waits for anything, is not needed at the server. */
  #letGo(): void {
    if (!this.#hasEnded || this.#requests.size > 0 || this.#phase === 'over' || this.#phase === 'let-go') return
    if (this.#phase === 'open') this.#sayClose(0)
    this.#phase = 'let-go'
    this.#core.restorables.delete(this)
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
  }

  #sayClose(flags: number): void {
    const connection = this.#connection
    if (connection === null || !connection.open) return
    const { id: conversationId } = this
    const reason = this.#closing?.reason ?? null
    const message = reason === null ? null : wireText(reason)
    const streamId = this.#stream
    connection.write({ type: 'ConversationClose', flags, streamId, conversationId, reasonCode: null, message })
  }

  #finish(error: LiminalError | null): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#core.restorables.delete(this)
    this.#ending ??= error ?? this.#overError()
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.#attached?.resolve(false)
    this.#attached = null
    this.opened.reject(this.#ending)
    for (const request of [...this.#requests]) request.abandon(this.#ending)
    if (error === null) this.closed.resolve()
    else this.closed.reject(error)
    if (error === null) this.#closing?.done.resolve()
    else this.#closing?.done.reject(error)
  }

  #closedHere(): LiminalError {
    return new LiminalError('CONVERSATION_CLOSED', `The conversation with '${this.subject}' was closed.`)
  }

  #overError(): LiminalError {
    const message = `The conversation '${this.key}' with '${this.subject}' is over. Open one with another key.`
    return new LiminalError('CONVERSATION_CLOSED', message)
  }
}
