import { Deque } from '../deque.ts'
import type { LiminalError } from '../errors.ts'
import {
  type AbandonListener,
  type MessageFate,
  PART_WINDOW,
  type ParticipantMessage,
  type TakenListener,
} from './participant.ts'

/** Bytes of parts that may be ahead of what was taken: one more than that is sent only if nothing is. What waits for a slow reader stays small however large the parts are. */
const PART_WINDOW_BYTES = 1024 * 1024

/** Whether a behaviour answers in parts. */
export function isParts(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** Hands the parts of a reply on as they come, as far ahead of the asker as the window allows. */
export class PartPump implements AbandonListener, TakenListener {
  readonly #message: ParticipantMessage
  readonly #done: MessageFate
  readonly #iterator: AsyncIterator<unknown>
  #sent = 0
  /** Of the parts that were sent and not taken, oldest first. */
  readonly #sizes = new Deque<number>()
  #bytes = 0
  #isAbandoned = false
  #wake: (() => void) | null = null

  constructor(parts: AsyncIterable<unknown>, message: ParticipantMessage, done: MessageFate) {
    this.#message = message
    this.#done = done
    this.#iterator = parts[Symbol.asyncIterator]()
    message.onTaken(this)
    message.onAbandoned(this)
  }

  /**
   * Pumps until the parts end, or nobody wants them any more.
   * @throws what the parts throw, and what `encode` throws.
   */
  async run(encode: (value: unknown) => Uint8Array): Promise<void> {
    const { replyRequested } = this.#message
    // Whoever ended or threw is not told to stop.
    let isRunning = true
    try {
      for (;;) {
        if (this.#isFull()) await this.#room()
        if (this.#isAbandoned) return
        isRunning = false
        const { done, value } = await this.#iterator.next()
        isRunning = done !== true
        if (done === true) {
          this.#done.reply(value === undefined || !replyRequested ? null : encode(value))
          return
        }
        // A message that wants no reply wants no parts either, but all of the work.
        if (!replyRequested || this.#isAbandoned) continue
        const part = encode(value)
        this.#sent++
        this.#sizes.push(part.length)
        this.#bytes += part.length
        this.#done.part(part)
      }
    } finally {
      if (isRunning) await this.#stop()
    }
  }

  async #stop(): Promise<void> {
    await this.#iterator.return?.()
    // Nobody waits, except for its place.
    if (this.#isAbandoned && this.#sent === 0) this.#done.reply(null)
  }

  taken(count: number): void {
    while (this.#sizes.size > this.#sent - count) this.#bytes -= this.#sizes.shift() ?? 0
    this.#wake?.()
  }

  abandoned(_error: LiminalError): void {
    this.#isAbandoned = true
    this.#wake?.()
  }

  #isFull(): boolean {
    return this.#sent >= this.#message.taken + PART_WINDOW || this.#bytes >= PART_WINDOW_BYTES
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (!this.#isAbandoned && this.#isFull()) return
        this.#wake = null
        resolve()
      }
      this.#wake()
    })
  }
}
