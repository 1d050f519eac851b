import type { Down, Up } from './messages.ts'

/** The orchestrator, as the processes that it starts see it. */
export const parent = {
  /** Calls for each message. When the orchestrator is gone, this process ends too: nobody is left to measure for. */
  listen(handle: (message: Down) => void): void {
    process.on('message', (message) => handle(message as Down))
    process.on('disconnect', () => process.exit(0))
    process.on('uncaughtException', parent.fail)
    process.on('unhandledRejection', parent.fail)
  },

  tell(message: Up): void {
    send(message, () => undefined)
  },

  /** Reports what makes it impossible to go on, and ends the process once that is said. */
  fail(error: unknown): void {
    const message = error instanceof Error ? describe(error) : String(error)
    send({ type: 'failed', message }, () => process.exit(1))
  },
}

function describe(error: Error): string {
  return error.cause instanceof Error ? `${error.message} (${describe(error.cause)})` : error.message
}

function send(message: Up, done: () => void): void {
  if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, done)
}
