import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import type { ExitReason } from '../process/index.ts'
import { Capability, HAS_HEAD, PUSH_CANCEL, type PushReply, type WorkHead, withHead } from '../protocol/index.ts'
import type { SessionContext } from './context.ts'
import type { PushEntry } from './push-entry.ts'

/** Push and PushReply travel on this stream (spec server §8.1). */
const PUSH_STREAM = 1
/** Bytes of a Push frame without its payload. */
const EMPTY_PUSH_BYTES = 22

const NOTHING = new Uint8Array(0)

/** Gives out correlation ids, which no two pushes of a server share. */
export interface Correlations {
  next(): number
}

/** What was pushed to one peer and not answered. Only this peer can answer it: ids are looked up nowhere else. */
export class Pushes {
  readonly #context: SessionContext
  readonly #correlations: Correlations
  readonly #entries = new IntegerMap<PushEntry>()
  #isGone = false

  constructor(context: SessionContext, correlations: Correlations) {
    this.#context = context
    this.#correlations = correlations
  }

  /** Pushes without an answer. */
  get size(): number {
    return this.#entries.size
  }

  /** Whether the peer understands heads, cancellations and leases. */
  get tells(): boolean {
    return this.#context.granted(Capability.WORK)
  }

  /**
   * Pushes a message. Returns its correlation id.
   * @param work what the peer is told beside it, where it understands that.
   * @throws LiminalError `CONNECTION_LOST`, `OUTBOX_FULL`, `LIMIT_EXCEEDED` for one that no frame carries: nothing was sent.
   */
  push(payload: Uint8Array, work: WorkHead | null, entry: PushEntry): number {
    const { output, options } = this.#context
    if (this.#isGone || output.closed) throw connectionLost()
    const headed = work !== null && this.tells
    const content = headed ? withHead({ work }, payload) : payload
    const length = EMPTY_PUSH_BYTES + content.length
    if (length > options.limits.frameBytes) {
      const text = `The push has ${content.length} bytes; a frame of this server carries ${options.limits.frameBytes} at most, header and all.`
      throw new LiminalError('LIMIT_EXCEEDED', text)
    }
    const id = this.#correlations.next()
    const flags = headed ? HAS_HEAD : 0
    if (!output.offer({ type: 'Push', flags, streamId: PUSH_STREAM, correlationId: BigInt(id), payload: content })) {
      throw new LiminalError('OUTBOX_FULL', 'The push was not sent: its connection is too far behind; try again later.')
    }
    this.#entries.set(id, entry)
    return id
  }

  /** The peer answers. An answer that nobody waits for is dropped. */
  reply({ correlationId, flags, payload }: PushReply): void {
    const id = Number(correlationId)
    const entry = this.#entries.get(id)
    if (entry === undefined || !entry.answered(payload, this.tells ? flags : 0)) return
    this.#entries.delete(id)
    this.#context.settled()
  }

  /** Nobody waits for an answer any more: the peer is told if it understands that. Returns whether it was still underway. */
  withdraw(id: number): boolean {
    if (!this.#entries.delete(id)) return false
    if (this.tells && !this.#isGone) {
      const correlationId = BigInt(id)
      // Without room it is left out: the peer then works in vain, and nothing else is lost.
      this.#context.output.offer({
        type: 'Push',
        flags: PUSH_CANCEL,
        streamId: PUSH_STREAM,
        correlationId,
        payload: NOTHING,
      })
    }
    this.#context.settled()
    return true
  }

  /** Takes an entry out without telling anybody. */
  forget(id: number): void {
    if (this.#entries.delete(id)) this.#context.settled()
  }

  /** Nothing is written any more. */
  fade(): void {
    this.#isGone = true
  }

  /** The connection is over: everybody who waits hears of it at once. */
  gone(reason: ExitReason): void {
    this.#isGone = true
    for (const entry of this.#entries.values()) entry.gone(reason)
    this.#entries.clear()
  }
}

export function connectionLost(cause?: unknown): LiminalError {
  return new LiminalError(
    'CONNECTION_LOST',
    'The connection that was pushed to is gone; whether the push was handled is unknown.',
    { cause },
  )
}
