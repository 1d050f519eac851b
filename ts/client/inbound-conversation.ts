import type { FrameBatch } from '../codec/index.ts'
import { AbandonableMessage, type MessageFate, type Participant } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { type CausalContext, Column, HEAD_WIDTH, NO_CAUSE, ROW_WIDTH, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { InboundConversations } from './inbound-conversations.ts'
import { InboundReply } from './inbound-reply.ts'
import { payloadOf } from './reply.ts'
import type { ResponderLink } from './responder-link.ts'

/** What one conversation from the server is made of. */
export interface InboundParts {
  readonly core: ClientCore
  readonly connection: Connection
  readonly inbound: InboundConversations
  readonly responder: ResponderLink
  readonly id: bigint
  /** The stream of the open. */
  readonly stream: number
  /** The participant left. */
  readonly left: (error: LiminalError | null) => void
}

/** Schema id, length, and two absent options: an envelope that says nothing about its origin. */
const EMPTY_CAUSAL_ENVELOPE = SCHEMA_ID_BYTES + 4 + 2 + 4

/** One conversation that the server opened towards this connection, and who answers it here. */
export class InboundConversation {
  readonly #parts: InboundParts
  readonly #participant: Participant
  /** Messages being worked on: requests by their stream. */
  readonly #requests = new Map<number, AbandonableMessage>()
  readonly #messages = new Set<AbandonableMessage>()
  #open = true

  constructor(parts: InboundParts) {
    this.#parts = parts
    const { id, responder, left } = parts
    this.#participant = responder.source.join({ id, subject: responder.subject, leave: left })
  }

  message(batch: FrameBatch, row: number, stream: number, replyRequested: boolean): void {
    const payload = payloadOf(batch, row)
    const message = new AbandonableMessage(payload, causalOf(this.#parts.connection, batch, row), replyRequested)
    if (replyRequested) this.#requests.set(stream, message)
    else this.#messages.add(message)
    const done: MessageFate = {
      reply: (reply) => {
        if (this.#take(message, stream)) this.#answer(stream, reply)
      },
      // A message without a reply has nobody to tell: the behaviour's runner has reported it.
      fail: (error) => {
        if (this.#take(message, stream) && replyRequested) this.#parts.inbound.refuse(stream, this.#parts.id, error)
      },
    }
    try {
      this.#participant.receive(message, done)
    } catch (thrown) {
      done.fail(toLiminalError(thrown))
    }
  }

  /** The stream of the open. */
  get stream(): number {
    return this.#parts.stream
  }

  /** The asking side gave one request up. It may have been answered a moment ago. */
  withdraw(stream: number): void {
    const message = this.#requests.get(stream)
    this.#requests.delete(stream)
    message?.abandon(nobodyWaits())
  }

  /**
   * The conversation is over, and whoever works for it hears that nobody waits any more.
   *
   * @param well Whether it was closed; messages that want no reply are then left to finish.
   */
  close(well: boolean): void {
    if (!this.#open) return
    this.#open = false
    const abandoned = well ? [...this.#requests.values()] : [...this.#requests.values(), ...this.#messages]
    this.#requests.clear()
    this.#messages.clear()
    for (const message of abandoned) message.abandon(nobodyWaits())
    this.#participant.close()
  }

  /** Whether somebody still waited for what became of it. */
  #take(message: AbandonableMessage, stream: number): boolean {
    if (!message.replyRequested) return this.#messages.delete(message)
    return this.#requests.get(stream) === message && this.#requests.delete(stream)
  }

  #answer(stream: number, reply: Uint8Array | null): void {
    if (reply === null) return
    const { core, connection, inbound, id } = this.#parts
    if (!connection.open) return
    try {
      core.submit(new InboundReply(core, connection, stream, id, reply))
    } catch (thrown) {
      const error = toLiminalError(thrown)
      const text = `The reply could not be sent: ${error.message}`
      inbound.refuse(stream, id, new LiminalError('RESPONDER_FAILED', text, { cause: error }))
    }
  }
}

function nobodyWaits(): LiminalError {
  return new LiminalError('ABORTED', 'Nobody waits for the reply any more: the asking side gave up, closed or is gone.')
}

function causalOf(connection: Connection, batch: FrameBatch, row: number): CausalContext {
  const at = HEAD_WIDTH + row * ROW_WIDTH
  const start = batch.columns[at + Column.ENVELOPE]
  const payload = batch.columns[at + Column.PAYLOAD]
  if (payload - start === EMPTY_CAUSAL_ENVELOPE) return NO_CAUSE
  const envelope = batch.bytes.subarray(start, payload + batch.columns[at + Column.PAYLOAD_LENGTH])
  return connection.settings.codec.extractCausalContext(envelope)
}
