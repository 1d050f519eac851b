import { LiminalError } from '../errors.ts'
import type { Failed, Message } from './child.ts'

/**
 * The other side of `Child`: the process that started this one. When that process is gone, this one ends too: nobody is left to work for.
 */
export class Parent<Down extends Message, Up extends Message> {
  constructor(handle: (message: Down) => void) {
    process.on('message', (message) => handle(message as Down))
    process.on('disconnect', () => process.exit(0))
  }

  tell(message: Up): void {
    this.#send(message)
  }

  /** Reports what makes it impossible to go on, and ends the process once that is said. */
  readonly fail = (error: unknown): void => {
    const failed: Failed = {
      type: 'failed',
      code: error instanceof LiminalError ? error.code : 'INTERNAL',
      message: error instanceof Error ? error.message : String(error),
    }
    this.#send(failed, () => process.exit(1))
  }

  #send(message: Up | Failed, done: () => void = () => undefined): void {
    if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, done)
  }
}
