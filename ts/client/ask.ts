import type { FrameBatch } from '../codec/index.ts'
import { openBytes } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import type { Encoded } from '../payload-text.ts'
import { Column, FrameType, HEAD_WIDTH, ROW_WIDTH } from '../protocol/index.ts'
import type { ClientCore } from './client-core.ts'
import type { Connection } from './connection.ts'
import { type Question, Request } from './request.ts'
import { requireWork } from './require.ts'

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

  /** @throws LiminalError `NOT_SUPPORTED`, before anything is sent. */
  override write(connection: Connection): void {
    if (this.question.openFlags !== undefined) requireWork(connection, 'Giving a request to another responder')
    super.write(connection)
  }

  override receive(batch: FrameBatch, row: number): void {
    if (batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.TYPE] === FrameType.ConversationClose) {
      this.abandon(new LiminalError('CONVERSATION_CLOSED', `${this.what} got no reply: the responder left.`))
    } else super.receive(batch, row)
  }

  protected override send(connection: Connection, payload: Encoded): void {
    const { frames } = this.core
    const { subject, causal, openFlags = 0 } = this.question
    frames.open(connection.outbox, this.stream, this.stream, subject, openFlags)
    frames.request(connection.outbox, this.stream, this.stream, causal, payload)
  }

  /** The close makes the signal of a responder that still works on it abort. */
  protected override over(connection: Connection | null): void {
    if (connection !== null) this.core.frames.close(connection.outbox, this.stream, this.stream, 0)
  }
}
