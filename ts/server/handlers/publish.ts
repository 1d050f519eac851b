import type { ChannelCore, PublishObserver } from '../../channel/index.ts'
import type { FrameBatch } from '../../codec/index.ts'
import type { LiminalError } from '../../errors.ts'
import {
  ACK_DELIVERED,
  ACK_DUPLICATE,
  Capability,
  Column,
  HEAD_WIDTH,
  PUBLISH_NO_ACK,
  ROW_WIDTH,
} from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'

/** Publish: runs go to their channel as they lie in the received bytes, and no frame object is made. */
export class Publishing {
  readonly #context: SessionContext
  #answers: PublishAnswers

  constructor(context: SessionContext) {
    this.#context = context
    this.#answers = new PublishAnswers(context, 1, 0)
  }

  /** What the run at `row` has to wait for before it is published: the subscribers of its channel that are behind. */
  hold(batch: FrameBatch, row: number): Promise<void> | null {
    const channel = this.#context.bus.channels.byId(batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.CHANNEL])
    return channel === undefined ? null : channel.hold()
  }

  /** Publishes the run that starts at `row` and returns how many rows it has. */
  publish(batch: FrameBatch, row: number): number {
    const { columns } = batch
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const count = columns[at + Column.RUN]
    const answers = this.#answersFor(columns[at + Column.STREAM] >>> 0, columns[at + Column.FLAGS])
    if (this.#context.refusing !== null) {
      answers.refusedAll(this.#context.refusing, count)
      return count
    }
    let channel: ChannelCore
    try {
      const { channels } = this.#context.bus
      channel = channels.byId(columns[at + Column.CHANNEL]) ?? channels.get(batch.channel(row))
    } catch (thrown) {
      answers.refusedAll(toLiminalError(thrown), count)
      return count
    }
    channel.publishRun({ bytes: batch.bytes, columns, first: row, count }, answers)
    return count
  }

  #answersFor(streamId: number, flags: number): PublishAnswers {
    if (!this.#answers.isFor(streamId, flags)) this.#answers = new PublishAnswers(this.#context, streamId, flags)
    return this.#answers
  }
}

/** Turns what became of a run into the answers on its stream. Remembers nothing of a run: the publishes of one stream and flags share one. */
class PublishAnswers implements PublishObserver {
  readonly #context: SessionContext
  readonly #streamId: number
  readonly #flags: number
  readonly #silent: boolean

  constructor(context: SessionContext, streamId: number, flags: number) {
    this.#context = context
    this.#streamId = streamId
    this.#flags = flags
    this.#silent = (flags & PUBLISH_NO_ACK) !== 0 && context.granted(Capability.UNACKNOWLEDGED_PUBLISH)
  }

  isFor(streamId: number, flags: number): boolean {
    return this.#streamId === streamId && this.#flags === flags
  }

  accepted(firstMessageId: bigint, count: number, deliveredTo: number): void {
    if (this.#silent) return
    this.#context.output.acknowledge(this.#streamId, deliveredTo > 0 ? ACK_DELIVERED : 0, firstMessageId, count)
  }

  duplicate(messageId: bigint, deliveredTo: number): void {
    if (this.#silent) return
    const repeated = this.#context.granted(Capability.RECEIPTS) ? ACK_DUPLICATE : 0
    this.#context.output.acknowledge(this.#streamId, repeated | (deliveredTo > 0 ? ACK_DELIVERED : 0), messageId, 1)
  }

  refused(error: LiminalError): void {
    this.refusedAll(error, 1)
  }

  refusedAll(error: LiminalError, count: number): void {
    const frame = { type: 'PublishError', flags: 0, streamId: this.#streamId, ...this.#context.refusal(error) } as const
    this.#context.output.repeat(frame, count)
  }
}
