import type { ChannelCore, MessageRun, PublishObserver } from '../channel/index.ts'
import { Deque } from '../deque.ts'
import type { LiminalError } from '../errors.ts'
import {
  ACK_DELIVERED,
  ACK_DUPLICATE,
  ACK_POSITION,
  Capability,
  NO_POSITION,
  PUBLISH_NO_ACK,
} from '../protocol/index.ts'
import type { SessionContext } from './context.ts'

/** What became of some messages of a run. */
type Answer =
  | {
      readonly is: 'accepted'
      readonly messageId: bigint
      readonly count: number
      readonly flags: number
      readonly position: bigint | null
    }
  | { readonly is: 'refused'; readonly error: LiminalError; readonly count: number }

/** Hears how many publishes were answered. */
export interface AnswerKeeper {
  answered(count: number): void
}

/**
 * The answers of one stream on which a publish waited, or waits, for the disk: in the order of the publishes, whichever of their channels answers first. Says where in the log they are to a peer
 * that understands it (extension `DURABLE`).
 */
export class AnswerLine {
  readonly streamId: number
  readonly #context: SessionContext
  readonly #keeper: AnswerKeeper
  readonly #runs = new Deque<PendingRun>()
  /** What the peer takes the next answer's position for. */
  #position: bigint | null = null

  constructor(context: SessionContext, streamId: number, keeper: AnswerKeeper) {
    this.#context = context
    this.streamId = streamId
    this.#keeper = keeper
  }

  /** Whether nothing waits for its answer. */
  get idle(): boolean {
    return this.#runs.size === 0
  }

  /** Publishes a run, and answers it behind all before it. */
  publish(channel: ChannelCore, run: MessageRun, flags: number): void {
    channel.publishRun(run, this.#open(run.count, flags))
  }

  /** Refuses a run, behind all before it. */
  refuse(error: LiminalError, count: number, flags: number): void {
    this.#open(count, flags).refusedAll(error, count)
  }

  /** Lets the peer forget what it knows of positions on this stream. */
  forget(): void {
    this.#announce(null)
  }

  /** Some messages of a run were answered: what may go out does. */
  answered(run: PendingRun, answer: Answer): void {
    run.unanswered -= answer.count
    if (this.#runs.at(0) === run) this.#write(run, answer)
    else run.answers.push(answer)
    this.#keeper.answered(answer.count)
    for (let oldest = this.#runs.at(0); oldest !== undefined; oldest = this.#runs.at(0)) {
      for (const waiting of oldest.answers.splice(0)) this.#write(oldest, waiting)
      if (oldest.unanswered > 0) return
      this.#runs.shift()
    }
  }

  #open(count: number, flags: number): PendingRun {
    const run = new PendingRun(this, this.#context, count, flags)
    this.#runs.push(run)
    return run
  }

  #write(run: PendingRun, answer: Answer): void {
    const { output } = this.#context
    const { streamId } = this
    if (answer.is === 'refused') {
      const frame = { type: 'PublishError', flags: 0, streamId, ...this.#context.refusal(answer.error) } as const
      output.repeat(frame, answer.count)
    } else if (!run.isSilent) {
      this.#announce(answer.position)
      output.acknowledge(streamId, answer.flags, answer.messageId, answer.count)
      if (this.#position !== null) this.#position += BigInt(answer.count)
    }
  }

  #announce(position: bigint | null): void {
    if (position === this.#position || !this.#context.granted(Capability.DURABLE)) return
    this.#position = position
    this.#context.output.acknowledge(this.streamId, ACK_POSITION, position ?? NO_POSITION, 1)
  }
}

/** One run on its way through a channel. */
class PendingRun implements PublishObserver {
  readonly isSilent: boolean
  readonly publisher: Uint8Array
  /** Answers that wait for those of earlier runs. */
  readonly answers: Answer[] = []
  unanswered: number
  readonly #line: AnswerLine
  readonly #context: SessionContext

  constructor(line: AnswerLine, context: SessionContext, count: number, flags: number) {
    this.#line = line
    this.#context = context
    this.unanswered = count
    this.publisher = context.publisher
    this.isSilent = (flags & PUBLISH_NO_ACK) !== 0 && context.granted(Capability.UNACKNOWLEDGED_PUBLISH)
  }

  accepted(messageId: bigint, count: number, deliveredTo: number, position: bigint | null): void {
    const flags = deliveredTo > 0 ? ACK_DELIVERED : 0
    this.#line.answered(this, { is: 'accepted', messageId, count, flags, position })
  }

  duplicate(messageId: bigint, deliveredTo: number | null, position: bigint | null): void {
    const repeated = this.#context.granted(Capability.RECEIPTS) ? ACK_DUPLICATE : 0
    const flags = repeated | ((deliveredTo ?? 0) > 0 ? ACK_DELIVERED : 0)
    this.#line.answered(this, { is: 'accepted', messageId, count: 1, flags, position })
  }

  refused(error: LiminalError): void {
    this.refusedAll(error, 1)
  }

  refusedAll(error: LiminalError, count: number): void {
    this.#line.answered(this, { is: 'refused', error, count })
  }
}
