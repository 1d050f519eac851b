import type {
  AbandonListener,
  ConversationInfo,
  MessageFate,
  Participant,
  ParticipantMessage,
} from '../conversation/index.ts'
import { type ErrorCode, isErrorCode, LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import { type AnswerHead, HAS_HEAD, type Headed, readAnswerHead, readHead, type WorkHead } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import { sayLeaseExpired } from './diagnostics.ts'
import type { PushEntry } from './push-entry.ts'
import type { SessionWorker } from './session-worker.ts'
import type { UnsentWork } from './work-line.ts'

/** What a worker may say of its work in its own words. Everything else is its failure. */
const OWN_WORDS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'RESPONDER_FAILED',
  'PAYLOAD_INVALID',
  'LIMIT_EXCEEDED',
  'NOT_SUPPORTED',
])

/** What says that no frame carries a message to any worker. */
const TOO_LARGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['LIMIT_EXCEEDED', 'PAYLOAD_TOO_LARGE'])

/** A worker behind a connection in one conversation: each message is a push, under a lease. */
export class WorkerParticipant implements Participant {
  readonly #worker: SessionWorker
  readonly #conversation: ConversationInfo

  constructor(worker: SessionWorker, conversation: ConversationInfo) {
    this.#worker = worker
    this.#conversation = conversation
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    const worker = this.#worker
    if (worker.inFlight >= worker.capacity) {
      done.fail(worker.full())
      return
    }
    const delivery = new Delivery(worker, done, message.replyRequested)
    try {
      delivery.begin(message, this.#workOf(message))
    } catch (thrown) {
      const error = toLiminalError(thrown)
      // Nothing was sent. What no frame carries, nobody else gets either.
      if (TOO_LARGE.has(error.code)) done.fail(error)
      else done.handBack(error)
      return
    }
    message.onAbandoned(delivery)
  }

  close(): void {
    // Messages underway hear of it by themselves.
  }

  #workOf({ attempt, deadline, key, causal }: ParticipantMessage): WorkHead | null {
    if (!this.#worker.pushes.tells) return null
    const { subject, id } = this.#conversation
    return {
      subject,
      conversation: id.toString(),
      attempt,
      deadline,
      leaseMs: this.#worker.leaseMs,
      key,
      parentId: causal.parentId,
      vectorClockEntry: causal.vectorClockEntry === null ? null : causal.vectorClockEntry.toString(),
    }
  }
}

function isFull(thrown: unknown): boolean {
  return thrown instanceof LiminalError && thrown.code === 'OUTBOX_FULL'
}

/** One message at a worker, until it is answered, handed back, or not waited for any more. */
class Delivery implements PushEntry, AbandonListener, UnsentWork {
  readonly #worker: SessionWorker
  readonly #done: MessageFate
  readonly #replyRequested: boolean
  #id = 0
  #isOpen = true
  #lease: NodeJS.Timeout | null = null
  /** What waits for room on the connection. */
  #unsent: { readonly payload: Uint8Array; readonly work: WorkHead | null } | null = null

  constructor(worker: SessionWorker, done: MessageFate, replyRequested: boolean) {
    this.#worker = worker
    this.#done = done
    this.#replyRequested = replyRequested
  }

  /** Sends it, or lets it wait for room. @throws LiminalError why it can never be sent. */
  begin({ payload }: ParticipantMessage, work: WorkHead | null): void {
    const worker = this.#worker
    if (!worker.line.isWaiting) {
      try {
        this.#send(payload, work)
        worker.inFlight++
        return
      } catch (error) {
        if (!isFull(error)) throw error
      }
    }
    worker.inFlight++
    this.#unsent = { payload: ownBytes(payload), work }
    worker.line.wait(this)
  }

  /** There may be room. Returns whether it need not wait any more. */
  retry(): boolean {
    if (this.#unsent === null) return true
    const { payload, work } = this.#unsent
    try {
      this.#send(payload, work)
    } catch (thrown) {
      if (isFull(thrown)) return false
      this.#settle()
      this.#done.handBack(toLiminalError(thrown))
    }
    this.#unsent = null
    return true
  }

  /** It is not sent any more. */
  giveBack(error: LiminalError): void {
    if (!this.#isOpen) return
    this.#settle()
    this.#done.handBack(error)
  }

  #send(payload: Uint8Array, work: WorkHead | null): void {
    const { pushes, leaseMs } = this.#worker
    this.#id = pushes.push(payload, work, this)
    this.#begin(leaseMs)
  }

  answered(bytes: Uint8Array, flags: number): boolean {
    if ((flags & HAS_HEAD) === 0) {
      this.#settle()
      this.#reply(bytes)
      return true
    }
    let headed: Headed
    let answer: AnswerHead
    try {
      headed = readHead(bytes)
      answer = readAnswerHead(headed)
    } catch (thrown) {
      this.#settle()
      this.#done.fail(toLiminalError(thrown))
      return true
    }
    if (answer.status === 'extend') {
      this.#begin(answer.leaseMs ?? this.#worker.leaseMs)
      return false
    }
    this.#settle()
    if (answer.status === 'failed') this.#done.fail(this.#failure(answer))
    else if (answer.status === 'handed-back') this.#done.handBack(this.#handedBack(answer))
    else this.#reply(headed.payload)
    return true
  }

  /** The exit of the registration has settled it already, unless it was withdrawn before. */
  gone(): void {
    this.#settle()
  }

  abandoned(): void {
    if (!this.#isOpen) return
    const isSent = this.#unsent === null
    this.#settle()
    if (isSent) this.#worker.pushes.withdraw(this.#id)
  }

  #reply(payload: Uint8Array): void {
    this.#done.reply(this.#replyRequested ? payload : null)
  }

  #begin(milliseconds: number): void {
    if (this.#lease !== null) clearTimeout(this.#lease)
    this.#lease = setTimeout(() => this.#expired(), Math.min(Math.max(1, milliseconds), MAX_TIMEOUT_MS))
    this.#lease.unref()
  }

  #expired(): void {
    if (!this.#isOpen) return
    this.#settle()
    this.#worker.pushes.withdraw(this.#id)
    const { id, registration } = this.#worker
    const text = `The lease of the worker '${id}' ran out before it answered or asked for more time.`
    sayLeaseExpired({ identity: id, taskQueue: registration.taskQueue, correlationId: BigInt(this.#id) })
    this.#done.handBack(new LiminalError('TIMEOUT', text))
  }

  #settle(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (this.#unsent !== null) this.#worker.line.leave(this)
    this.#unsent = null
    this.#worker.inFlight--
    if (this.#lease !== null) clearTimeout(this.#lease)
    this.#lease = null
  }

  #failure({ code, message }: AnswerHead): LiminalError {
    const own = code !== undefined && isErrorCode(code) && OWN_WORDS.has(code) ? code : 'RESPONDER_FAILED'
    return new LiminalError(own, message ?? `The worker '${this.#worker.id}' failed and did not say why.`)
  }

  #handedBack({ message }: AnswerHead): LiminalError {
    return new LiminalError('PARTICIPANT_GONE', message ?? `The worker '${this.#worker.id}' handed the message back.`)
  }
}
