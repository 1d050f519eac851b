import { type ErrorCode, LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import type { Encoded } from '../payload-text.ts'
import {
  type AnswerHead,
  Capability,
  HAS_HEAD,
  PUSH_CANCEL,
  readHead,
  readWorkHead,
  type WorkerRegisterAck,
  type WorkHead,
  withHead,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { sayPushFailed } from './diagnostics.ts'
import { checkFrame } from './frame-size.ts'
import { InboundPush, type PushTaker } from './inbound-push.ts'
import { PushExtension } from './push-extension.ts'
import { EMPTY_PUSH_REPLY_BYTES, PushReplyCall, writePushReply } from './push-reply.ts'
import { headText } from './wire-text.ts'
import { WorkerRegistrations } from './worker-registrations.ts'

/** Pushes that a server may have underway to one connection. */
const MAX_PUSHES = 65_536
/** How far refusals may fill the outbox: they wait for no room, and a server that reads none of them is given up. */
const REFUSAL_OUTBOXES = 2

const NOTHING = new Uint8Array(0)

/** What the server pushes to one connection (spec server §8), and what becomes of it. With the extension `WORK` it is told, without it only replies are. */
export class InboundPushes {
  /** Who works on this connection. */
  readonly registrations: WorkerRegistrations
  readonly #core: ClientCore
  readonly #connection: Connection
  /** Whether answers can say more than "this is the reply". */
  readonly #tells: boolean
  readonly #underway = new IntegerMap<InboundPush>()
  readonly #extensions = new Map<InboundPush, PushExtension>()
  #leaving = false

  constructor(core: ClientCore, connection: Connection) {
    this.#core = core
    this.#connection = connection
    this.#tells = connection.granted(Capability.WORK)
    this.registrations = new WorkerRegistrations(connection)
  }

  /** Pushes underway. */
  get size(): number {
    return this.#underway.size
  }

  /** Takes a Push frame. */
  receive(key: number | bigint, flags: number, payload: Uint8Array): void {
    if (this.#tells && (flags & PUSH_CANCEL) !== 0) {
      this.#cancelled(key)
      return
    }
    if (this.#underway.has(key)) {
      this.#connection.violated(`the server pushed ${key} again, which is not answered yet`)
      return
    }
    if (this.#tells && (flags & HAS_HEAD) !== 0) this.#receiveHeaded(key, payload)
    else this.#give(key, null, payload)
  }

  /** Takes a WorkerRegisterAck frame. */
  acknowledged(ack: WorkerRegisterAck): void {
    this.registrations.acknowledged(ack)
  }

  /** The connection is gone. */
  lost(error: LiminalError): void {
    this.#leaving = true
    for (const push of this.#underway.values()) this.abandon(push, error)
    this.registrations.lost(error)
  }

  /** The bus says goodbye: takes no more, and hands back what is underway at once, and what still comes. Resolves once the server pushes no work any more. */
  leave(): Promise<void> {
    this.#leaving = true
    const left = this.registrations.leave()
    for (const push of this.#underway.values()) this.handBack(push, 'The bus was closed.')
    return left
  }

  /** Whether a push is underway. */
  holds(push: InboundPush): boolean {
    return this.#underway.get(push.key) === push
  }

  /** See InboundPush. */
  extend(push: InboundPush, leaseMs: number): void {
    const waiting = this.#extensions.get(push)
    if (waiting?.backlog) {
      waiting.leaseMs = leaseMs
      return
    }
    const extension = new PushExtension(this, push, leaseMs)
    if (this.#core.hasRoom(this.#connection, extension.bytes)) {
      extension.write(this.#connection)
      return
    }
    this.#core.submit(extension)
    this.#extensions.set(push, extension)
  }

  /** See InboundPush. */
  reply(push: InboundPush, reply: Encoded): void {
    if (!this.#settle(push)) return
    const { key } = push
    const connection = this.#connection
    try {
      const bytes = checkFrame('The reply', EMPTY_PUSH_REPLY_BYTES, reply, this.#core.settings.frameBytes)
      // Mostly there is room, and it need not wait for any.
      if (this.#core.hasRoom(connection, bytes)) writePushReply(connection, key, 0, reply)
      else this.#core.submit(new PushReplyCall(connection, key, reply, bytes))
    } catch (thrown) {
      const cause = toLiminalError(thrown)
      const text = `The reply could not be sent: ${cause.message}`
      this.#refuse(key, push.work, new LiminalError('RESPONDER_FAILED', text, { cause }))
    }
  }

  /** See InboundPush. */
  fail(push: InboundPush, error: LiminalError): void {
    if (this.#settle(push)) this.#refuse(push.key, push.work, error)
    // Nobody waits for the answer, but whoever wrote the handler should hear of it.
    else sayPushFailed(push.key, push.work?.subject ?? null, error, false)
  }

  /** See InboundPush. Without the extension there is nobody to hand it to, and it stays unanswered. */
  handBack(push: InboundPush, why: string): void {
    if (!this.#settle(push)) return
    if (this.#tells) this.#answer(push.key, { status: 'handed-back', message: headText(why) })
    else sayPushFailed(push.key, null, new LiminalError('PARTICIPANT_GONE', why), false)
    push.abandon(new LiminalError('ABORTED', `The message was handed back: ${why}`))
  }

  /** Its answer is of no use any more. */
  abandon(push: InboundPush, error: LiminalError): void {
    if (this.#settle(push)) push.abandon(error)
  }

  #receiveHeaded(key: number | bigint, bytes: Uint8Array): void {
    let work: WorkHead | null
    let payload: Uint8Array
    try {
      const headed = readHead(bytes)
      work = readWorkHead(headed)
      payload = headed.payload
    } catch (thrown) {
      this.#refuse(key, null, toLiminalError(thrown))
      return
    }
    this.#give(key, work, payload)
  }

  #give(key: number | bigint, work: WorkHead | null, payload: Uint8Array): void {
    const taker = this.#leaving ? null : this.#takerOf(work)
    if (taker === null) {
      this.#nobodyTakes(key, work)
      return
    }
    if (this.#underway.size >= MAX_PUSHES) {
      const text = `The connection has ${MAX_PUSHES} pushes underway; it takes no more.`
      this.#decline(key, work, 'LIMIT_EXCEEDED', text)
      return
    }
    const push = new InboundPush(this, key, work, taker)
    this.#underway.set(key, push)
    taker.take(push, payload)
  }

  /** A server without the extension cannot mark what is work: all of it is, where somebody works. */
  #takerOf(work: WorkHead | null): PushTaker | null {
    const { worker } = this.registrations
    if (work !== null) return worker
    return (this.#tells ? null : worker) ?? this.#core.pushHandlers.next()
  }

  #nobodyTakes(key: number | bigint, work: WorkHead | null): void {
    if (work !== null || this.#leaving) this.#decline(key, work, 'PARTICIPANT_GONE', this.#goneText())
    else this.#refuse(key, null, new LiminalError('NO_RESPONDER', 'Nobody takes pushes on this connection.'))
  }

  #goneText(): string {
    return this.#leaving ? 'The bus was closed.' : 'No worker is registered on this connection any more.'
  }

  /** Gives back what was not begun. */
  #decline(key: number | bigint, work: WorkHead | null, code: ErrorCode, text: string): void {
    if (this.#tells) this.#answer(key, { status: 'handed-back', code, message: text })
    else sayPushFailed(key, work?.subject ?? null, new LiminalError(code, text), false)
  }

  #refuse(key: number | bigint, work: WorkHead | null, error: LiminalError): void {
    sayPushFailed(key, work?.subject ?? null, error, this.#tells)
    if (this.#tells) this.#answer(key, { status: 'failed', code: error.code, message: headText(error.message) })
  }

  #answer(key: number | bigint, head: AnswerHead): void {
    const connection = this.#connection
    if (!connection.open) return
    const { outbox } = connection
    if (outbox.waitingBytes > REFUSAL_OUTBOXES * outbox.capacityBytes && !this.#leaving) {
      connection.violated('the server pushes and reads no answers')
      return
    }
    writePushReply(connection, key, HAS_HEAD, withHead(head, NOTHING))
  }

  #cancelled(key: number | bigint): void {
    // It may have been answered a moment ago.
    const push = this.#underway.get(key)
    if (push !== undefined) this.abandon(push, nobodyWaits())
  }

  /** Whether it was still underway. */
  #settle(push: InboundPush): boolean {
    if (!this.holds(push)) return false
    this.#underway.delete(push.key)
    this.#extensions.delete(push)
    push.over()
    return true
  }
}

function nobodyWaits(): LiminalError {
  return new LiminalError('ABORTED', 'Nobody waits for the answer any more: it was given up, or another worker has it.')
}
