import type { LiminalError } from '../errors.ts'
import type { Encoded } from '../payload-text.ts'
import { Capability, reasonOf } from '../protocol/index.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import type { ConversationLink } from './conversation-link.ts'
import { lostError } from './peer-error.ts'
import { type Question, Request } from './request.ts'

/** One message of a conversation that goes on, and waits for its reply. */
export class ConversationRequest extends Request {
  readonly #link: ConversationLink

  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    link: ConversationLink,
    question: Question,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super(core, question, 0, Number.POSITIVE_INFINITY, resolve, reject)
    this.#link = link
    link.hold(this)
  }

  /** Conversations end with their connection. */
  override survives(error: LiminalError): boolean {
    this.abandon(lostError(this.what, error))
    return false
  }

  protected override send(connection: Connection, payload: Encoded): void {
    this.core.frames.request(connection.outbox, this.stream, this.#link.id, this.question.causal, payload)
  }

  protected override over(connection: Connection | null, givenUp: LiminalError | null): void {
    this.#link.release(this)
    if (connection === null || givenUp === null || !isOwnDecision(givenUp)) return
    if (!connection.granted(Capability.REASONS)) return
    const { id: conversationId } = this.#link
    const reasonCode = reasonOf(givenUp.code)
    connection.write({
      type: 'ConversationError',
      flags: 0,
      streamId: this.stream,
      conversationId,
      reasonCode,
      message: null,
    })
  }
}

/** The conversation goes on, so the server has to hear that this one request is not waited for. */
function isOwnDecision(error: LiminalError): boolean {
  return error.code === 'TIMEOUT' || error.code === 'ABORTED'
}
