import type { ChannelCore, PublishObserver } from '../../channel/index.ts'
import type { FrameBatch } from '../../codec/index.ts'
import { Deferred } from '../../deferred.ts'
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
import { type AnswerKeeper, AnswerLine } from '../answer-line.ts'
import type { SessionContext } from '../context.ts'

/** Publishes of a session without an answer, at most: further ones are not read. */
const MOST_PENDING = 65_536
/** Streams of a peer that are remembered so, at most, but for those on which something waits. */
const MOST_LINES = 4_096

/** Publish: runs go to their channel as they lie in the received bytes, and no frame object is made. */
export class Publishing implements AnswerKeeper {
  readonly #context: SessionContext
  #answers: PublishAnswers
  /** The streams on which something waited for the disk: what the peer knows of positions there is remembered. */
  readonly #lines = new Map<number, AnswerLine>()
  #pending = 0
  #room: Deferred<void> | null = null
  #settled: Deferred<void> | null = null

  constructor(context: SessionContext) {
    this.#context = context
    this.#answers = new PublishAnswers(context, 1, 0)
  }

  /** Publishes that wait for the disk. */
  get pending(): number {
    return this.#pending
  }

  /** Settles when no publish waits for the disk any more; `null` if none does. */
  settled(): Promise<void> | null {
    if (this.#pending === 0) return null
    this.#settled ??= new Deferred()
    return this.#settled.promise
  }

  /** What the run at `row` has to wait for before it is published: the subscribers of its channel that are behind, or its disk. */
  hold(batch: FrameBatch, row: number): Promise<void> | null {
    if (this.#pending >= MOST_PENDING) {
      this.#room ??= new Deferred()
      return this.#room.promise
    }
    const channel = this.#context.bus.channels.byId(batch.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.CHANNEL])
    return channel === undefined ? null : channel.hold()
  }

  /** Publishes the run that starts at `row` and returns how many rows it has. */
  publish(batch: FrameBatch, row: number): number {
    const { columns } = batch
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const count = columns[at + Column.RUN]
    const streamId = columns[at + Column.STREAM] >>> 0
    const flags = columns[at + Column.FLAGS]
    // Answers keep their order: on such a stream all go the long way.
    const line = this.#lines.size === 0 ? undefined : this.#lines.get(streamId)
    if (this.#context.refusing !== null) {
      this.#refuse(this.#context.refusing, line, streamId, flags, count)
      return count
    }
    let channel: ChannelCore
    try {
      const { channels } = this.#context.bus
      channel = channels.byId(columns[at + Column.CHANNEL]) ?? channels.get(batch.channel(row))
    } catch (thrown) {
      this.#refuse(toLiminalError(thrown), line, streamId, flags, count)
      return count
    }
    const run = { bytes: batch.bytes, columns, first: row, count }
    if (line === undefined && channel.log === null) channel.publishRun(run, this.#answersFor(streamId, flags))
    else {
      this.#pending += count
      const answers = line ?? this.#lineOf(streamId)
      answers.publish(channel, run, flags)
    }
    return count
  }

  /** See AnswerKeeper. */
  answered(count: number): void {
    this.#pending -= count
    if (this.#room !== null && this.#pending < MOST_PENDING / 2) {
      this.#room.resolve()
      this.#room = null
    }
    if (this.#pending > 0) return
    this.#settled?.resolve()
    this.#settled = null
    this.#context.settled()
  }

  #refuse(error: LiminalError, line: AnswerLine | undefined, streamId: number, flags: number, count: number): void {
    if (line === undefined) this.#answersFor(streamId, flags).refusedAll(error, count)
    else {
      this.#pending += count
      line.refuse(error, count, flags)
    }
  }

  #lineOf(streamId: number): AnswerLine {
    if (this.#lines.size >= MOST_LINES) this.#forgetIdle()
    const line = new AnswerLine(this.#context, streamId, this)
    this.#lines.set(streamId, line)
    return line
  }

  /** A peer may use any number of streams, one after the other. */
  #forgetIdle(): void {
    for (const [streamId, line] of this.#lines) {
      if (!line.idle) continue
      line.forget()
      this.#lines.delete(streamId)
    }
  }

  #answersFor(streamId: number, flags: number): PublishAnswers {
    if (!this.#answers.isFor(streamId, flags)) this.#answers = new PublishAnswers(this.#context, streamId, flags)
    return this.#answers
  }
}

/** Turns what became of a run into the answers on its stream. Remembers nothing of a run: the publishes of one stream and flags share one. */
class PublishAnswers implements PublishObserver {
  readonly publisher = null
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

  duplicate(messageId: bigint, deliveredTo: number | null): void {
    if (this.#silent) return
    const repeated = this.#context.granted(Capability.RECEIPTS) ? ACK_DUPLICATE : 0
    const reached = (deliveredTo ?? 0) > 0 ? ACK_DELIVERED : 0
    this.#context.output.acknowledge(this.#streamId, repeated | reached, messageId, 1)
  }

  refused(error: LiminalError): void {
    this.refusedAll(error, 1)
  }

  refusedAll(error: LiminalError, count: number): void {
    const frame = { type: 'PublishError', flags: 0, streamId: this.#streamId, ...this.#context.refusal(error) } as const
    this.#context.output.repeat(frame, count)
  }
}
