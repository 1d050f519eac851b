import type { Channel, Receipt } from '../bus/index.ts'
import { LiminalError } from '../errors.ts'
import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/index.ts'
import { confirmSent } from './confirm-sent.ts'
import { abortedBy, type CommandContext } from './context.ts'
import { RefusedLine } from './failure.ts'
import { type Line, linesOf } from './lines.ts'
import { parseJsonBytes } from './payload.ts'
import { Window } from './window.ts'

export interface PublishLinesOptions {
  /** Publishes underway at the same time. */
  readonly inFlight: number
  /** The top-level field that holds each message's idempotency key, or null. */
  readonly keyField: string | null
  /** Whether each line waits for its receipt. */
  readonly acknowledged: boolean
}

// The rest of a frame that carries a line: header, channel name, envelope, key.
const FRAME_ROOM = 64 * 1024
// Bounds the memory of lines underway, whatever their number.
const MAX_BYTES_UNDERWAY = 8 * 1024 * 1024
const BLANK = /^[\t\r ]*$/

/**
 * Publishes each line of stdin as it is, in order, many at a time. Ends with the first line that is refused; the lines before it were published, and
 * at most `inFlight` lines after it may have been.
 *
 * @throws RefusedLine that names the line. @throws LiminalError `ABORTED`.
 */
export async function publishLines(
  channel: Channel<Uint8Array>,
  context: CommandContext,
  options: PublishLinesOptions,
): Promise<void> {
  const run = new LineRun(channel, context, options)
  const stop = () => context.stdin.destroy()
  context.signal.addEventListener('abort', stop, { once: true })
  try {
    await run.publishAll()
  } finally {
    context.signal.removeEventListener('abort', stop)
  }
}

class LineRun {
  readonly #channel: Channel<Uint8Array>
  readonly #context: CommandContext
  readonly #options: PublishLinesOptions
  readonly #window: Window
  readonly #startedAt = performance.now()
  #published = 0
  #delivered = 0
  #duplicates = 0
  #blank = 0
  #shownAt = this.#startedAt
  #refused: RefusedLine | null = null

  constructor(channel: Channel<Uint8Array>, context: CommandContext, options: PublishLinesOptions) {
    this.#channel = channel
    this.#context = context
    this.#options = options
    this.#window = new Window(options.inFlight, MAX_BYTES_UNDERWAY)
  }

  async publishAll(): Promise<void> {
    try {
      await this.#readAll()
    } catch (error) {
      // A refusal or a signal destroys stdin to end the wait for its next line; what that looks like to the reader is of no interest.
      if (this.#refused === null && !this.#context.signal.aborted) throw error
    }
    await this.#window.empty()
    if (this.#refused !== null) throw this.#refused
    if (this.#context.signal.aborted) throw abortedBy(this.#context.signal)
    if (!this.#options.acknowledged) await confirmSent(this.#channel)
    this.#summarise()
  }

  async #readAll(): Promise<void> {
    for await (const lines of linesOf(this.#context.stdin, DEFAULT_MAX_FRAME_BYTES - FRAME_ROOM)) {
      for (const line of lines) {
        if (isBlank(line.bytes)) {
          this.#blank += 1
          continue
        }
        while (this.#window.full) await this.#window.room()
        if (this.#refused !== null) return
        if (this.#options.acknowledged) this.#publish(line)
        else await this.#send(line)
        if (this.#refused !== null) return
      }
      this.#showProgress()
    }
  }

  #publish(line: Line): void {
    const { bytes } = line
    let receipt: Promise<Receipt>
    try {
      receipt = this.#channel.publish(bytes, this.#keyIn(parseJsonBytes(bytes)))
    } catch (error) {
      this.#refuse(line, error)
      return
    }
    this.#window.enter(bytes.length)
    receipt.then(
      ({ delivered, duplicate }) => {
        this.#published += 1
        if (delivered) this.#delivered += 1
        if (duplicate) this.#duplicates += 1
        this.#window.leave(bytes.length)
      },
      (error: unknown) => {
        this.#refuse(line, error)
        this.#window.leave(bytes.length)
      },
    )
  }

  #keyIn(value: unknown): { readonly idempotencyKey?: string } {
    const { keyField } = this.#options
    return keyField === null ? {} : { idempotencyKey: keyOf(value, keyField) }
  }

  async #send(line: Line): Promise<void> {
    try {
      const key = this.#keyIn(parseJsonBytes(line.bytes))
      await this.#channel.ready({ signal: this.#context.signal })
      this.#channel.send(line.bytes, key)
      this.#published += 1
    } catch (error) {
      this.#refuse(line, error)
    }
  }

  #refuse(line: Line, error: unknown): void {
    // Refusals of lines underway may arrive in any order; the first line is the one to name.
    if (this.#refused === null || line.number < this.#refused.line) this.#refused = new RefusedLine(line.number, error)
    this.#context.stdin.destroy()
  }

  #showProgress(): void {
    const now = performance.now()
    if (now - this.#shownAt < 200) return
    this.#shownAt = now
    this.#context.output.progress(`published ${this.#published.toLocaleString('en')} messages`)
  }

  #summarise(): void {
    const { output } = this.#context
    const seconds = (performance.now() - this.#startedAt) / 1_000
    if (output.json) {
      const acknowledged = this.#options.acknowledged
        ? { delivered: this.#delivered, duplicates: this.#duplicates }
        : {}
      output.printJson({ published: this.#published, ...acknowledged, blankLines: this.#blank, seconds })
      return
    }
    const duplicates = this.#duplicates === 0 ? '' : `, ${this.#duplicates.toLocaleString('en')} of them duplicates`
    output.note(
      `published ${this.#published.toLocaleString('en')} messages to ${this.#channel.name}${duplicates} in ${seconds.toFixed(2)} s`,
    )
  }
}

function isBlank(bytes: Uint8Array): boolean {
  // Hardly any line is; only a short one is worth a look.
  return bytes.length < 8 && BLANK.test(String.fromCharCode(...bytes))
}

function keyOf(value: unknown, field: string): string {
  const key =
    typeof value === 'object' && value !== null
      ? Object.entries(value).find(([name]) => name === field)?.[1]
      : undefined
  if (typeof key === 'string' && key !== '') return key
  if (typeof key === 'number') return String(key)
  throw new LiminalError(
    'PAYLOAD_INVALID',
    `the field ${JSON.stringify(field)} is no string or number, so it is no key`,
  )
}
