import { type ErrorCode, LiminalError, ProtocolError } from '../errors.ts'

/** A line of input that could not be published. Everything before it was; nothing after it counts as published. */
export class RefusedLine extends LiminalError {
  /** Counts from 1, as editors do. */
  readonly line: number

  constructor(line: number, cause: unknown) {
    const reason = cause instanceof LiminalError ? cause : new LiminalError('INTERNAL', String(cause), { cause })
    super(reason.code, `line ${line}: ${reason.message}`, { cause: reason, retryable: reason.retryable })
    this.line = line
  }
}

/** The error of a command line that is wrong: exit code 2. */
export function usageError(message: string, options?: { cause?: unknown }): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', message, options)
}

/** What to do about a failure, where that is known. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  CONNECTION_FAILED: 'is a server running there? start one with: liminal serve --create-channels',
  CONNECTION_LOST:
    'whether the last requests were processed is unknown; run the command again, with --key to publish at most once',
  AuthenticationFailure: "give the server's token with --auth-token or LIMINAL_AUTH_TOKEN",
  CHANNEL_NOT_FOUND:
    'declare it where the server runs: liminal serve --channel <name>, or allow any: --create-channels',
  NO_RESPONDER: 'start one: liminal respond <subject> --echo',
  LISTEN_FAILED: 'choose another address with --host or --port; --port 0 takes any free one',
  PARTICIPANT_GONE: 'whether it processed the request is unknown; ask again and another responder takes over',
  TIMEOUT: 'allow more time with --timeout <milliseconds>',
  SUBSCRIPTION_SHED: 'whoever reads the output must keep up; redirect it to a file, and read that',
  CURSOR_FENCED: 'a newer subscription owns that cursor; choose another name to get messages beside it',
  CURSOR_NOT_FOUND: 'see which there are: liminal cursor ls',
  STORE_LOCKED: 'a data directory is for one server at a time; end the other one, or choose another with --data-dir',
  OUTBOX_FULL: 'fewer messages underway help: --in-flight <n>',
  CODEC_UNAVAILABLE: 'unset LIMINAL_CODEC to use the codec that loads',
}

/** What is said about an error: the same facts for people and for machines. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly hint?: string
  /** The u16 of the wire, of a protocol error. */
  readonly reasonCode?: number
  /** The line of input that was refused, from 1. */
  readonly line?: number
  /** What led to it, nearest first. */
  readonly causes: readonly string[]
}

/** Reads an error for output. */
export function failureOf(error: unknown): Failure {
  const code = error instanceof LiminalError ? error.code : 'INTERNAL'
  const hint = HINTS[code as ErrorCode]
  return {
    code,
    message: error instanceof Error ? error.message : String(error),
    retryable: error instanceof LiminalError && error.retryable,
    ...(hint === undefined ? {} : { hint }),
    ...(error instanceof ProtocolError ? { reasonCode: error.reasonCode } : {}),
    ...(error instanceof RefusedLine ? { line: error.line } : {}),
    causes: causesOf(error),
  }
}

// A chain longer than this is a cycle or of no use to a reader.
const MOST_CAUSES = 10

function causesOf(error: unknown): string[] {
  const causes: string[] = []
  let current = error instanceof Error ? error.cause : undefined
  while (current !== undefined && current !== null && causes.length < MOST_CAUSES) {
    if (!(current instanceof Error)) {
      causes.push(String(current))
      break
    }
    const code = 'code' in current ? `${String(current.code)}: ` : ''
    causes.push(`${current.name}: ${code}${current.message}`)
    current = current.cause
  }
  return causes
}
