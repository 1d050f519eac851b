import type { FrameBatch } from '../codec/index.ts'
import type { ParticipantSource } from '../conversation/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { Capability, CONFIRM, Column, FrameType, HEAD_WIDTH, OPEN_OFFER, ROW_WIDTH } from '../protocol/index.ts'
import { timeoutError, waitFor } from '../waiting.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { errorFromPeer } from './peer-error.ts'
import type { Restorable } from './restorable.ts'
import type { StreamOwner } from './streams.ts'

/** One registration to answer a subject, over all connections of the bus. */
export class ResponderLink implements StreamOwner, Restorable {
  readonly channel = null
  readonly subject: string
  readonly source: ParticipantSource
  /** Told once when it is over, whoever ended it. */
  onOver: (() => void) | null = null
  readonly #core: ClientCore
  #connection: Connection | null = null
  /** The stream of the registration, and its id. */
  #stream = 0
  #ready = new Deferred<void>()
  #refusedBefore = false
  #attached: Deferred<boolean> | null = null
  #timer: NodeJS.Timeout | null = null
  #withdrawn = false
  #confirmed = new Deferred<void>()
  #closing: Promise<void> | null = null
  #conversations = 0
  #idle: Deferred<void> | null = null

  constructor(core: ClientCore, subject: string, source: ParticipantSource) {
    this.#core = core
    this.subject = subject
    this.source = source
  }

  /** Settles with the registration on the present connection, or on the next one. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Begins to answer: now, and on every connection to come. */
  register(): void {
    this.#core.restorables.add(this)
    this.#core.responders.add(this)
    const { connection } = this.#core
    if (connection !== null) void this.attach(connection)
  }

  attach(connection: Connection): Promise<boolean> {
    if (this.#refusedBefore) {
      this.#refusedBefore = false
      this.#ready = new Deferred()
    }
    if (!connection.granted(Capability.RESPONDERS)) {
      this.#refused(
        new LiminalError(
          'NOT_SUPPORTED',
          `The server at ${connection.address.url} lets no client answer '${this.subject}': it does not offer the RESPONDERS extension.`,
        ),
      )
      return Promise.resolve(false)
    }
    this.#connection = connection
    this.#stream = connection.streams.open(this)
    const attached = new Deferred<boolean>()
    this.#attached = attached
    const flags = OPEN_OFFER | (connection.granted(Capability.CONFIRMATIONS) ? CONFIRM : 0)
    this.#core.frames.open(connection.outbox, this.#stream, this.#stream, this.subject, flags)
    const { requestTimeoutMs } = this.#core.settings
    this.#timer = setTimeout(() => {
      this.#refused(timeoutError(requestTimeoutMs, `Registering the responder of '${this.subject}'`))
    }, requestTimeoutMs)
    this.#timer.unref()
    return attached.promise
  }

  receive(batch: FrameBatch, row: number): void {
    const type = batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE]
    if (type === FrameType.ConversationOpen) {
      this.#stopTimer()
      this.#ready.resolve()
      this.#attached?.resolve(true)
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type === 'ConversationError') this.#refused(errorFromPeer(frame))
    } else if (type === FrameType.ConversationClose) {
      this.#confirmed.resolve()
    }
  }

  lost(error: LiminalError): void {
    this.#stopTimer()
    this.#connection = null
    this.#attached?.resolve(false)
    this.#attached = null
    this.#confirmed.resolve()
    if (error.code === 'CLOSED') return
    // A wait for the old registration goes on as a wait for the next one.
    const before = this.#ready
    this.#ready = new Deferred()
    this.#ready.promise.then(
      () => before.resolve(),
      (reason: Error) => before.reject(reason),
    )
  }

  /** See Restorable. */
  leave(): void {
    const connection = this.#connection
    if (connection?.open) this.#core.frames.close(connection.outbox, this.#stream, this.#stream, 0)
  }

  /** The bus is closed. */
  end(error: LiminalError): void {
    this.#over()
    this.#core.responders.remove(this)
    this.#ready.reject(error)
    this.#confirmed.resolve()
  }

  /** Withdraws it: resolves when no conversation can reach it any more. What is underway goes on, and is answered. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** A conversation with it began. */
  began(): void {
    this.#conversations++
  }

  /** A conversation with it is over. */
  ended(): void {
    this.#conversations--
    if (this.#conversations === 0) this.#idle?.resolve()
  }

  /** Resolves once it is in no conversation. */
  idle(): Promise<void> {
    this.#idle ??= new Deferred()
    if (this.#conversations === 0) this.#idle.resolve()
    return this.#idle.promise
  }

  async #close(): Promise<void> {
    if (this.#withdrawn) return
    this.#over()
    this.#core.restorables.delete(this)
    await this.#withdraw()
    this.#core.responders.remove(this)
    this.#ready.reject(new LiminalError('CLOSED', `The responder of '${this.subject}' was closed.`))
  }

  #over(): void {
    this.#withdrawn = true
    this.#stopTimer()
    this.onOver?.()
    this.onOver = null
  }

  async #withdraw(): Promise<void> {
    const connection = this.#connection
    if (!connection?.open) return
    const confirms = connection.granted(Capability.CONFIRMATIONS)
    this.#core.frames.close(connection.outbox, this.#stream, this.#stream, confirms ? CONFIRM : 0)
    if (confirms) {
      const { requestTimeoutMs } = this.#core.settings
      const what = `Withdrawing the responder of '${this.subject}'`
      // A server that does not confirm in time changes nothing: requests that still come are refused.
      await waitFor(this.#confirmed.promise, { timeoutMs: requestTimeoutMs, what }).catch(() => {})
    }
    connection.streams.close(this.#stream)
    this.#connection = null
  }

  /** The server does not let it answer: it stays unregistered until the next connection. */
  #refused(error: LiminalError): void {
    this.#stopTimer()
    this.#connection?.streams.close(this.#stream)
    this.#connection = null
    this.#attached?.resolve(false)
    this.#attached = null
    this.#refusedBefore = true
    this.#ready.reject(error)
    this.#core.status.tell({ type: 'responder-refused', subject: this.subject, error })
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
