import { partsOfMark, type RejectOptions } from '../bus/index.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import {
  ACCEPT_CHECKPOINT,
  ACCEPT_EXTEND,
  ACCEPT_ONE,
  ACCEPT_TAKEN,
  type Accept,
  Capability,
  codeOf,
  type Reject,
} from '../protocol/index.ts'
import { waitFor } from '../waiting.ts'
import type { Connection } from './connection.ts'
import { Credit } from './credit.ts'
import { wireText } from './wire-text.ts'

/** How the deliveries of one subscription on one connection are answered. */
export interface AnswerTerms {
  readonly channel: string
  readonly stream: number
  /** Deliveries that the server sends beyond those accepted, at most. */
  readonly window: number
  /** Whether they are numbered by their positions in a log. */
  readonly logged: boolean
  /** Whether a cursor moves on by them. */
  readonly cursor: boolean
  /** Whether that counts attempts: then the server knows of each delivery before its subscriber has it, because that may be the end of this process. */
  readonly limitsAttempts: boolean
  readonly acceptsEach: boolean
  /** Deliveries that the subscription had before this connection: their ordinals come first. */
  readonly before: number
}

/** What a subscriber says of the deliveries that it got over one connection. What it says of earlier ones is for nobody. */
export class DeliveryAnswers {
  readonly #connection: Connection
  readonly #terms: AnswerTerms
  /** `null`: the server sends whatever there is, or hears of each delivery alone. */
  readonly #credit: Credit | null
  /** Of those accepted one by one. */
  #acceptedCount = 0
  /** The last delivery that the subscriber has and the server was not told of; 0: none. */
  #taken = 0
  #tellsTaken = false
  /** The last delivery that was answered: the server knows by it that the subscriber has it. */
  #lastAnswered = 0
  readonly #checkpoints = new Map<string, Deferred<void>>()
  #lastCheckpoint = 0
  #live = true

  constructor(connection: Connection, terms: AnswerTerms) {
    this.#connection = connection
    this.#terms = terms
    const { window, cursor } = terms
    const counts = this.isPaced && !this.#tellsEach
    this.#credit = counts ? new Credit(window, (mark) => this.#answer(0, mark), cursor) : null
  }

  /** Whether the server waits for answers before it sends more. */
  get isPaced(): boolean {
    return this.#connection.granted(Capability.CREDITS)
  }

  /** Deliveries came: the newest has this ordinal. */
  received(ordinal: number): void {
    this.#credit?.received(ordinal - this.#terms.before)
  }

  /** The subscriber gets deliveries, in order, up to this one. */
  handedOut(mark: number): void {
    if (!this.#terms.cursor) return
    this.#taken = mark
    if (this.#terms.limitsAttempts) {
      this.flush()
      this.#connection.outbox.flush()
    } else if (!this.#tellsTaken) {
      this.#tellsTaken = true
      // Leases are longer than a turn.
      setImmediate(() => {
        this.#tellsTaken = false
        this.flush()
      })
    }
  }

  /** One delivery was accepted, or all up to it, as the terms say. */
  accepted(mark: number, ordinal: number): void {
    if (this.#tellsEach) this.#answer(ACCEPT_ONE, mark)
    else if (this.#terms.acceptsEach) {
      // Without a log a window is all that they move, and it counts.
      this.#acceptedCount++
      this.#credit?.accepted(this.#acceptedCount)
    } else this.#credit?.accepted(ordinal - this.#terms.before, mark)
  }

  /** A delivery was handed back to its cursor. */
  rejected(mark: number, { reason, delayMs = 0 }: RejectOptions): void {
    if (!this.#isOpen) return
    const text = reason === undefined ? null : wireText(reason)
    const streamId = this.#terms.stream
    const referencedMessageId = this.#reference(mark)
    this.#lastAnswered = mark
    if (delayMs === 0) {
      this.#connection.write({ type: 'Reject', flags: 0, streamId, referencedMessageId, reason: text })
    } else {
      const wait = text === null ? String(delayMs) : `${delayMs} ${text}`
      this.#connection.write({ type: 'Defer', flags: 0, streamId, referencedMessageId, reason: wait })
    }
  }

  /** A delivery takes longer. */
  extended(mark: number): void {
    if (!this.#terms.cursor) return
    this.flush()
    this.#accept(ACCEPT_EXTEND, mark)
  }

  /** Asks for what was accepted to be written down. @throws LiminalError `CONNECTION_LOST`, `TIMEOUT`, or what the server says. */
  async checkpoint(timeoutMs: number): Promise<void> {
    this.flush()
    this.#lastCheckpoint++
    const id = String(this.#lastCheckpoint)
    const written = new Deferred<void>()
    this.#checkpoints.set(id, written)
    const { stream, channel } = this.#terms
    this.#connection.write({ type: 'Accept', flags: ACCEPT_CHECKPOINT, streamId: stream, referencedMessageId: id })
    try {
      await waitFor(written.promise, { timeoutMs, what: `The checkpoint on '${channel}'` })
    } finally {
      this.#checkpoints.delete(id)
    }
  }

  /** The server has written a checkpoint down, or could not. */
  checkpointAnswered(frame: Accept | Reject): void {
    const waiting = this.#checkpoints.get(frame.referencedMessageId)
    if (waiting === undefined) return
    if (frame.type === 'Accept') waiting.resolve()
    else waiting.reject(failureOf(frame.reason))
  }

  /** Tells what was accepted, and what is in the subscriber's hands, as far as it was not told yet. */
  flush(): void {
    this.#credit?.flush()
    const taken = this.#taken
    this.#taken = 0
    if (taken !== 0 && taken !== this.#lastAnswered) this.#accept(ACCEPT_TAKEN, taken)
  }

  /** Nothing is told any more. @param error what a checkpoint that is underway fails with. */
  stop(error: LiminalError): void {
    this.#live = false
    this.#credit?.stop()
    for (const waiting of this.#checkpoints.values()) waiting.reject(error)
  }

  get #tellsEach(): boolean {
    return this.#terms.acceptsEach && this.#terms.logged
  }

  get #isOpen(): boolean {
    return this.#live && this.#connection.open
  }

  #answer(flags: number, mark: number): void {
    this.#lastAnswered = mark
    this.#accept(flags, mark)
  }

  #accept(flags: number, mark: number): void {
    if (!this.#isOpen) return
    const referencedMessageId = this.#reference(mark)
    this.#connection.write({ type: 'Accept', flags, streamId: this.#terms.stream, referencedMessageId })
  }

  /** A delivery in the words of its frame: the sequence, and the flags of one that is repeated. */
  #reference(mark: number): string {
    if (!this.#terms.logged) return String(mark)
    const { sequence, flags } = partsOfMark(mark)
    return flags === 0 ? String(sequence) : `${sequence}.${flags}`
  }
}

/** What a refused checkpoint says: a reason code, a space, and a text. */
function failureOf(reason: string | null): LiminalError {
  const [, code = '65535', text = 'The server could not write the checkpoint down.'] =
    /^(\d{1,5}) (.*)$/s.exec(reason ?? '') ?? []
  return new LiminalError(codeOf(Number(code)), text)
}
