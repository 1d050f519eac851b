import { LiminalError } from '../errors.ts'

/** What the exit code of `liminal` means. */
export const ExitCode = {
  OK: 0,
  /** The operation was carried out and failed: a refused publish, nobody to answer, a malformed frame, a benchmark that lost a message. */
  FAILED: 1,
  /** The command line was wrong; nothing was done. */
  USAGE: 2,
  /** No connection, or it was lost, or the server would not let us in, or an address could not be listened on. */
  CONNECTION: 3,
  TIMEOUT: 4,
  /** 128 + the signal's number, as shells have it. */
  INTERRUPTED: 130,
  TERMINATED: 143,
} as const

/** The signals that end a command. */
export type EndingSignal = 'SIGINT' | 'SIGTERM'

/** The exit code of a command that a signal ended. */
export function exitCodeOfSignal(signal: EndingSignal): number {
  return signal === 'SIGINT' ? ExitCode.INTERRUPTED : ExitCode.TERMINATED
}

/** The exit code of a command that ended with an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LiminalError)) return ExitCode.FAILED
  switch (error.code) {
    case 'INVALID_ARGUMENT':
      return ExitCode.USAGE
    case 'CONNECTION_FAILED':
    case 'CONNECTION_LOST':
    case 'LISTEN_FAILED':
    case 'AuthenticationFailure':
    case 'VersionMismatch':
      return ExitCode.CONNECTION
    case 'TIMEOUT':
      return ExitCode.TIMEOUT
    default:
      return ExitCode.FAILED
  }
}

/** The table that `liminal --help` ends with. */
export const EXIT_CODES_HELP = `Exit codes:
  0    done (also: serve and respond were told to stop)
  1    the operation failed
  2    wrong usage, nothing was done
  3    no connection, or it was lost
  4    timeout
  130  interrupted (SIGINT); 143 by SIGTERM; a second signal does not wait for an orderly end`
