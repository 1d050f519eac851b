import type { FrameBatch } from '../codec/index.ts'
import {
  AbandonableMessage,
  type ConversationInfo,
  type MessageFate,
  type MessageTerms,
  messageHeadBytes,
  type Participant,
  participantGone,
} from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { type Few, hasItem, itemsOf, withItem, withoutItem } from '../few.ts'
import type { ExitReason } from '../process/index.ts'
import {
  Capability,
  type CausalContext,
  HAS_HEAD,
  IN_PARTS,
  REPLY_REQUESTED,
  readHead,
  readRequestHead,
} from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { checkFrame } from './frame-size.ts'
import type { InboundConversations } from './inbound-conversations.ts'
import { InboundReply } from './inbound-reply.ts'
import { InboundSteps } from './inbound-steps.ts'
import type { ResponderLink } from './responder-link.ts'

const NOTHING = new Uint8Array(0)

/** One message that is being worked on here, and what becomes of it. */
class InboundMessage extends AbandonableMessage implements MessageFate {
  /** Of a request: its own, where the answer goes. */
  readonly stream: number
  readonly #conversation: InboundConversation
  readonly #records: boolean
  #recorded: InboundSteps | null = null
  #parts = 0

  constructor(
    conversation: InboundConversation,
    stream: number,
    payload: Uint8Array,
    causal: CausalContext,
    replyRequested: boolean,
    terms: MessageTerms | null,
    recordsSteps: boolean,
  ) {
    super(payload, causal, replyRequested, terms)
    this.stream = stream
    this.#conversation = conversation
    this.#records = recordsSteps
  }

  /** Made when the first step is asked for. */
  override get steps(): InboundSteps | null {
    if (this.#records) this.#recorded ??= this.#conversation.stepsOf(this)
    return this.#recorded
  }

  /** It is settled here: its steps are of no concern any more. */
  settle(): void {
    this.#recorded?.end(nobodyWaits())
  }

  override abandon(error: LiminalError): void {
    super.abandon(error)
    this.#recorded?.end(error)
  }

  reply(reply: Uint8Array | null): void {
    this.#conversation.answer(this, reply)
  }

  part(part: Uint8Array): void {
    this.#parts++
    this.#conversation.part(this, part)
  }

  /** What was not sent cannot have been taken. */
  override take(count: number): void {
    super.take(Math.min(count, this.#parts))
  }

  fail(error: LiminalError): void {
    this.#conversation.fail(this, error)
  }

  /** `PARTICIPANT_GONE` on a request's stream says that it is undone. */
  handBack(error: LiminalError): void {
    this.#conversation.fail(this, new LiminalError('PARTICIPANT_GONE', error.message, { cause: error }))
  }

  crash(reason: ExitReason): void {
    this.#conversation.fail(this, participantGone(this.#conversation.subject, reason))
  }
}

/** One conversation that the server opened towards this connection, and who answers it here. */
export class InboundConversation implements ConversationInfo {
  /** The id that the server chose. */
  readonly key: number | bigint
  readonly subject: string
  /** The stream of the open. */
  readonly stream: number
  readonly #core: ClientCore
  readonly #connection: Connection
  readonly #inbound: InboundConversations
  readonly #responder: ResponderLink
  /** `null` until it has joined. */
  #participant: Participant | null = null
  /** What it left with while it joined; `undefined`: it stays. */
  #leftEarly: LiminalError | null | undefined
  /** Messages being worked on. */
  #underway: Few<InboundMessage> = null
  #open = true

  constructor(
    core: ClientCore,
    connection: Connection,
    inbound: InboundConversations,
    responder: ResponderLink,
    key: number | bigint,
    stream: number,
  ) {
    this.#core = core
    this.#connection = connection
    this.#inbound = inbound
    this.key = key
    this.subject = responder.subject
    this.stream = stream
    this.#responder = responder
  }

  /** Lets the responder join. Returns what it left with meanwhile, `undefined` if it stays. @throws what keeps it from joining. */
  join(): LiminalError | null | undefined {
    const participant = this.#responder.source.join(this)
    if (this.#leftEarly === undefined) {
      this.#participant = participant
      this.#responder.began()
    }
    return this.#leftEarly
  }

  get id(): bigint {
    return BigInt(this.key)
  }

  /** See ConversationInfo. */
  leave(error: LiminalError | null): void {
    if (this.#participant === null) this.#leftEarly = error
    else this.#inbound.left(this, error)
  }

  /** See ConversationInfo. Towards the server it is the same as leaving with that error. */
  lost(reason: ExitReason): void {
    this.leave(participantGone(this.subject, reason))
  }

  message(batch: FrameBatch, row: number, stream: number, flags: number): void {
    let payload = batch.payload(row)
    let terms: MessageTerms | null = null
    let recordsSteps = false
    // Mostly there is neither.
    if ((flags & (HAS_HEAD | IN_PARTS)) !== 0) {
      try {
        const inParts = (flags & IN_PARTS) !== 0 && this.#connection.granted(Capability.STREAMS)
        if ((flags & HAS_HEAD) !== 0 && this.#connection.granted(Capability.WORK)) {
          const headed = readHead(payload)
          payload = headed.payload
          const { attempt, deadline, key, steps } = readRequestHead(headed)
          terms = { attempt, deadline, key, inParts }
          recordsSteps = steps === true && this.#connection.granted(Capability.DURABLE)
        } else terms = { inParts }
      } catch (thrown) {
        if ((flags & REPLY_REQUESTED) !== 0) this.#inbound.refuse(stream, this.key, toLiminalError(thrown))
        return
      }
    }
    const replyRequested = (flags & REPLY_REQUESTED) !== 0
    const message = new InboundMessage(this, stream, payload, batch.causal(row), replyRequested, terms, recordsSteps)
    this.#underway = withItem(this.#underway, message)
    if (message.inParts) this.#inbound.streams(stream, message)
    try {
      this.#participant?.receive(message, message)
    } catch (thrown) {
      message.fail(toLiminalError(thrown))
    }
    message.release()
  }

  /** See InboundMessage. What is said of its steps goes on its stream, in both directions. */
  stepsOf(message: InboundMessage): InboundSteps {
    const steps = new InboundSteps((payload) => {
      if (!hasItem(this.#underway, message)) return nobodyWaits()
      return this.#connection.open ? this.#send(message, payload, HAS_HEAD) : nobodyWaits()
    })
    this.#inbound.records(message.stream, steps)
    return steps
  }

  /** The asking side gave one request up. It may have been answered a moment ago. */
  withdraw(stream: number): void {
    for (const message of itemsOf(this.#underway)) {
      if (message.stream === stream && message.replyRequested && this.#take(message)) message.abandon(nobodyWaits())
    }
  }

  /**
   * The conversation is over, and whoever works for it hears that nobody waits any more.
   *
   * @param well Whether it was closed; messages that want no reply are then left to finish.
   * @param reason what the asking side said to that.
   */
  close(well: boolean, reason: string | null): void {
    if (!this.#open) return
    this.#open = false
    this.#responder.ended()
    const underway = itemsOf(this.#underway)
    this.#underway = null
    for (const message of underway) {
      if (message.inParts) this.#inbound.streams(message.stream, null)
      this.#inbound.records(message.stream, null)
      if (!well || message.replyRequested) message.abandon(nobodyWaits())
    }
    this.#participant?.close(reason)
  }

  /** See InboundMessage. */
  answer(message: InboundMessage, reply: Uint8Array | null): void {
    if (!this.#take(message) || !message.replyRequested) return
    let failure: LiminalError | null
    if (reply !== null) failure = this.#send(message, reply, REPLY_REQUESTED)
    else if (message.inParts) failure = this.#send(message, NOTHING, REPLY_REQUESTED | IN_PARTS)
    else failure = new LiminalError('RESPONDER_FAILED', 'The responder took the request but gave no reply.')
    if (failure !== null) this.#inbound.refuse(message.stream, this.key, failure)
  }

  /** See InboundMessage. What cannot be sent ends the reply: whoever makes it stops. */
  part(message: InboundMessage, part: Uint8Array): void {
    if (!hasItem(this.#underway, message)) return
    const failure = message.inParts ? this.#send(message, part, IN_PARTS) : this.#oneReplyOnly()
    if (failure === null) return
    this.fail(message, failure)
    message.abandon(nobodyWaits())
  }

  #oneReplyOnly(): LiminalError {
    const text = `The responder for '${this.subject}' answered in parts, and one reply was asked for. Ask with stream().`
    return new LiminalError('RESPONDER_FAILED', text)
  }

  /** Returns why it could not be sent. */
  #send({ stream }: InboundMessage, content: Uint8Array, flags: number): LiminalError | null {
    const connection = this.#connection
    if (!connection.open) return null
    try {
      const bytes = checkFrame('The reply', messageHeadBytes(null), content, this.#core.settings.frameBytes)
      // Mostly there is room, and it need not wait for any.
      if (flags === REPLY_REQUESTED && this.#core.hasRoom(connection, bytes)) {
        this.#core.frames.request(connection.outbox, stream, this.key, null, content)
      } else this.#core.submit(new InboundReply(connection, stream, this.key, content, bytes, flags))
      return null
    } catch (thrown) {
      const error = toLiminalError(thrown)
      const text = `The reply could not be sent: ${error.message}`
      return new LiminalError('RESPONDER_FAILED', text, { cause: error })
    }
  }

  /** See InboundMessage. A message without a reply has nobody to tell: the behaviour's runner has reported it. */
  fail(message: InboundMessage, error: LiminalError): void {
    if (this.#take(message) && message.replyRequested) this.#inbound.refuse(message.stream, this.key, error)
  }

  /** Whether somebody still waited for what became of it. */
  #take(message: InboundMessage): boolean {
    if (!hasItem(this.#underway, message)) return false
    this.#underway = withoutItem(this.#underway, message)
    if (message.inParts) this.#inbound.streams(message.stream, null)
    this.#inbound.records(message.stream, null)
    message.settle()
    return true
  }
}

function nobodyWaits(): LiminalError {
  return new LiminalError('ABORTED', 'Nobody waits for the reply any more: the asking side gave up, closed or is gone.')
}
