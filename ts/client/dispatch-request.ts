import type { FrameBatch } from '../codec/index.ts'
import { messageHeadBytes, openBytes } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, ownBytes, type PayloadKind } from '../payload.ts'
import {
  type CausalContext,
  Column,
  type DispatchHead,
  FrameType,
  HAS_HEAD,
  HEAD_PREFIX_BYTES,
  HEAD_WIDTH,
  LARGEST_HEAD_BYTES,
  NO_CAUSE,
  NO_SCHEMA,
  OPEN_DISPATCH,
  REPLY_REQUESTED,
  ROW_WIDTH,
  readHead,
  readOutcomeHead,
  withHead,
} from '../protocol/index.ts'
import { DispatchError, type DispatchOutcome } from '../routing/index.ts'
import { timeoutError } from '../waiting.ts'
import { Call } from './backlog.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame } from './frame-size.ts'
import { errorFromPeer, lostError } from './peer-error.ts'
import { requireWork } from './require.ts'
import type { StreamOwner } from './streams.ts'

/** Milliseconds that a dispatch waits for a connection unless told otherwise: as long as it would for a consumer. */
const DEFAULT_WAIT_MS = 30_000

/** What is dispatched, and how. */
export interface Dispatched {
  readonly subject: string
  readonly payload: Uint8Array
  readonly kind: PayloadKind
  readonly causal: CausalContext | undefined
  readonly head: DispatchHead
}

/** A message that is given to the consumer group of a subject, in a conversation of its own, whose id is its stream. */
export class DispatchRequest extends Call implements StreamOwner {
  readonly what: string
  readonly bytes: number
  readonly #core: ClientCore
  readonly #dispatched: Dispatched
  readonly #resolve: (outcome: DispatchOutcome<unknown>) => void
  readonly #reject: (error: unknown) => void
  #connection: Connection | null = null
  #stream = 0
  #isSettled = false
  #waiting: NodeJS.Timeout | null = null

  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    dispatched: Dispatched,
    resolve: (outcome: DispatchOutcome<unknown>) => void,
    reject: (error: unknown) => void,
  ) {
    super()
    this.#core = core
    this.#dispatched = dispatched
    this.#resolve = resolve
    this.#reject = reject
    const { subject, payload, causal } = dispatched
    this.what = `The message to group '${subject}'`
    const others = messageHeadBytes(causal ?? null) + HEAD_PREFIX_BYTES + LARGEST_HEAD_BYTES + openBytes(subject)
    this.bytes = checkFrame(this.what, others, payload, core.settings.frameBytes)
  }

  override park(): void {
    const { waitMs = DEFAULT_WAIT_MS } = this.#dispatched.head
    this.#waiting = setTimeout(() => this.abandon(timeoutError(waitMs, `${this.what}: its way to the server`)), waitMs)
  }

  /** @throws LiminalError `NOT_SUPPORTED`, before anything is sent. */
  write(connection: Connection): void {
    this.#stopWaiting()
    requireWork(connection, 'Dispatching')
    const { subject, payload, causal = NO_CAUSE, head } = this.#dispatched
    const stream = connection.streams.open(this)
    this.#stream = stream
    this.#connection = connection
    this.#core.frames.open(connection.outbox, stream, stream, subject, OPEN_DISPATCH)
    const hasHead = Object.values(head).some((value) => value !== undefined)
    connection.write({
      type: 'ConversationMessage',
      flags: REPLY_REQUESTED | (hasHead ? HAS_HEAD : 0),
      streamId: stream,
      conversationId: BigInt(stream),
      envelope: { schemaId: NO_SCHEMA, causal, payload: hasHead ? withHead({ dispatch: head }, payload) : payload },
    })
  }

  receive(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const type = batch.columns[at + Column.TYPE]
    if (type === FrameType.ConversationMessage) {
      const payload = batch.payload(row)
      const flags = batch.columns[at + Column.FLAGS]
      this.#leave()
      this.#settle(() => {
        try {
          this.#resolve(outcomeOf(payload, flags, this.#dispatched.kind))
        } catch (error) {
          this.#reject(error)
        }
      })
    } else if (type === FrameType.ConversationError) {
      const frame = batch.frame(row)
      if (frame.type !== 'ConversationError') return
      this.#leave()
      this.#settle(() => this.#reject(dispatchError(errorFromPeer(frame))))
    } else if (type === FrameType.ConversationClose) {
      this.abandon(new LiminalError('CONVERSATION_CLOSED', `${this.what} was not done: the server ended it.`))
    }
  }

  /** Nobody waits for it any more. */
  abandon(error: LiminalError): void {
    if (this.#isSettled) return
    this.unpark()
    this.#leave()
    this.#settle(() => this.#reject(isVerdict(error) ? dispatchError(error) : error))
  }

  lost(error: LiminalError): void {
    this.#connection = null
    this.abandon(lostError(this.what, error))
  }

  end(error: LiminalError): void {
    this.abandon(error)
  }

  /** Gives the stream back. The close ends a dispatch that is still underway. */
  #leave(): void {
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    connection.streams.close(this.#stream)
    if (connection.open) this.#core.frames.close(connection.outbox, this.#stream, this.#stream, 0)
  }

  #settle(settle: () => void): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#stopWaiting()
    settle()
  }

  #stopWaiting(): void {
    if (this.#waiting !== null) clearTimeout(this.#waiting)
    this.#waiting = null
  }
}

/** @throws LiminalError `PAYLOAD_INVALID`. */
function outcomeOf(bytes: Uint8Array, flags: number, kind: PayloadKind): DispatchOutcome<unknown> {
  const headed = (flags & HAS_HEAD) === 0 ? null : readHead(bytes)
  const outcome = headed === null ? null : readOutcomeHead(headed)
  if (headed === null || outcome === null) {
    throw new LiminalError('REMOTE_ERROR', 'The server answered a dispatch without telling how it went.')
  }
  const payload = kind === 'bytes' ? ownBytes(headed.payload) : headed.payload
  const reroutedFrom = outcome.reroutedFrom.map((reroute) => ({
    ...reroute,
    cause: undefined,
    observedAt: null,
    startedAt: null,
  }))
  return { ...outcome, reroutedFrom, value: decodePayload(payload, kind) }
}

/** What a dispatch failed with. What was tried is known to the server only. */
function dispatchError(error: LiminalError): LiminalError {
  return new DispatchError(error.code, error.message, null, error.cause)
}

/** Whether it is something that a dispatch ends with, and not what kept it from being one. */
function isVerdict({ code }: LiminalError): boolean {
  return code === 'TIMEOUT' || code === 'ABORTED'
}
