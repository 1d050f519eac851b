import type { Writable } from 'node:stream'
import { failureOf } from './failure.ts'
import { jsonLine, visible } from './visible.ts'

/** A stream that commands write to; a terminal says so by `isTTY`. */
export type OutputStream = Writable & { readonly isTTY?: boolean }

export interface OutputOptions {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** One JSON document per line instead of text for people. */
  readonly json: boolean
  /** Say what led to an error. */
  readonly verbose: boolean
  readonly environment: Readonly<Record<string, string | undefined>>
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof STYLES

/** Where a command writes: results to stdout, everything said about them to stderr. */
export class Output {
  readonly json: boolean
  readonly #options: OutputOptions
  #progressShown = false

  constructor(options: OutputOptions) {
    this.#options = options
    this.json = options.json
  }

  /** Whether someone watches stderr. */
  get watched(): boolean {
    return this.#options.stderr.isTTY === true
  }

  /** A line of the result. */
  print(line: string): void {
    this.#clearProgress()
    this.#options.stdout.write(`${line}\n`)
  }

  /** A JSON line of the result. u64 values are given as strings by the caller. */
  printJson(value: unknown): void {
    this.print(jsonLine(value))
  }

  /** Bytes of the result. Returns a promise when the reader is behind: await it before writing more. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    return this.#options.stdout.write(bytes) ? undefined : settled(this.#options.stdout, 'drain')
  }

  /** A line for people, on stderr. */
  note(line: string): void {
    this.#clearProgress()
    this.#options.stderr.write(`${line}\n`)
  }

  /** Shows how far a long run is, on a terminal only. Replaces what was shown before. */
  progress(text: string): void {
    if (!this.watched) return
    this.#options.stderr.write(`\r\u001b[K${text}`)
    this.#progressShown = true
  }

  /** Says why a command failed: `code: message` and what to do, or one JSON line with --json. */
  fail(error: unknown): void {
    const { causes, ...failure } = failureOf(error)
    if (this.json) {
      this.note(jsonLine({ error: this.#options.verbose ? { ...failure, causes } : failure }))
      return
    }
    const reason = failure.reasonCode === undefined ? '' : ` (reason code ${failure.reasonCode})`
    this.note(`${this.styleNote('red', failure.code)}: ${visible(failure.message)}${reason}`)
    if (failure.hint !== undefined) this.note(`${this.styleNote('dim', 'hint:')} ${failure.hint}`)
    if (this.#options.verbose) for (const cause of causes) this.note(`  caused by ${visible(cause)}`)
  }

  /** Text for `print`, in colour where stdout is a terminal. */
  style(style: Style, text: string): string {
    return paint(this.#options.stdout, this.#options.environment, style, text)
  }

  /** Text for `note`, in colour where stderr is a terminal. */
  styleNote(style: Style, text: string): string {
    return paint(this.#options.stderr, this.#options.environment, style, text)
  }

  /** Resolves once everything written has left the process. */
  async flush(): Promise<void> {
    this.#clearProgress()
    await Promise.all([written(this.#options.stdout), written(this.#options.stderr)])
  }

  #clearProgress(): void {
    if (!this.#progressShown) return
    this.#progressShown = false
    this.#options.stderr.write('\r\u001b[K')
  }
}

/** Colours only on a terminal that has them, and never where NO_COLOR is set (no-color.org). */
function paint(stream: OutputStream, environment: OutputOptions['environment'], style: Style, text: string): string {
  const refused = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb'
  return stream.isTTY === true && !refused ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text
}

/** Resolves at the event, or when the stream is gone and it cannot come any more. */
function settled(stream: Writable, event: 'drain'): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off(event, done)
      stream.off('close', done)
      resolve()
    }
    stream.on(event, done)
    stream.on('close', done)
  })
}

function written(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableEnded) return Promise.resolve()
  return new Promise((resolve) => stream.write('', () => resolve()))
}
