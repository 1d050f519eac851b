import type { FrameBatch } from '../codec/index.ts'
import { openBytes } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { Encoded } from '../payload-text.ts'
import { Capability, Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { type Question, Request } from './request.ts'

/**
 * One request with a conversation of its own. Open and message go out in one write and the close follows the answer, so that it costs one round trip. The
 * conversation's id is its stream.
 */
export class Ask extends Request {
  /** @throws LiminalError `PAYLOAD_TOO_LARGE`. */
  constructor(
    core: ClientCore,
    question: Question,
    deadline: number,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ) {
    super(core, question, openBytes(question.subject), deadline, resolve, reject)
  }

  override receive(batch: FrameBatch, row: number): void {
    if (batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE] === FrameType.ConversationClose) {
      this.abandon(new LiminalError('CONVERSATION_CLOSED', `${this.what} got no reply: the responder left.`))
    } else super.receive(batch, row)
  }

  protected override send(connection: Connection, payload: Encoded): void {
    const { frames } = this.core
    const { subject, causal, openFlags = 0 } = this.question
    if (openFlags !== 0 && !connection.granted(Capability.WORK)) {
      const text = `${this.what} cannot go to another responder: that needs the extension WORK, which this server has not granted.`
      this.abandon(new LiminalError('NOT_SUPPORTED', text))
      return
    }
    frames.open(connection.outbox, this.stream, this.stream, subject, openFlags)
    frames.request(connection.outbox, this.stream, this.stream, causal, payload)
  }

  /** The close makes the signal of a responder that still works on it abort. */
  protected override over(connection: Connection | null): void {
    if (connection !== null) this.core.frames.close(connection.outbox, this.stream, this.stream, 0)
  }
}
