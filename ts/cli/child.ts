import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ErrorCode, LiminalError } from '../errors.ts'

/** What a child process reports when it cannot go on. Every protocol between parent and child has it. */
export interface Failed {
  readonly type: 'failed'
  readonly code: ErrorCode
  readonly message: string
}

/** A message between parent and child, told apart by `type`. */
export interface Message {
  readonly type: string
}

type OfType<M extends Message, T extends M['type']> = Extract<M, { readonly type: T }>

interface Expectation<Up extends Message> {
  readonly resolve: (message: Up) => void
  readonly reject: (error: Error) => void
}

/** How a process ended. */
export interface ChildExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * A real process of ours that runs a module, and the messages between us. `Down` is what it is told, `Up` what it tells. When it ends or fails, everything
 * that is expected of it fails at once.
 */
export class Child<Down extends Message, Up extends Message> {
  readonly name: string
  readonly #process: ChildProcess
  readonly #received: Up[] = []
  readonly #expected = new Map<string, Expectation<Up>[]>()
  #failure: LiminalError | null = null
  #listener: ((message: Up) => void) | null = null
  /** Resolves when the process has ended. */
  readonly exited: Promise<ChildExit>

  private constructor(name: string, process: ChildProcess) {
    this.name = name
    this.#process = process
    process.on('message', (message) => this.#receive(message as Up | Failed))
    process.on('error', (cause) =>
      this.#fail(new LiminalError('INTERNAL', `the ${name} process cannot be run: ${cause.message}`, { cause })),
    )
    this.exited = new Promise((resolve) => {
      process.on('exit', (code, signal) => {
        const how = signal === null ? `exit code ${code}` : signal
        this.#fail(new LiminalError('PARTICIPANT_GONE', `the ${name} process ended with ${how}`))
        resolve({ code, signal })
      })
    })
  }

  /** Starts a process that runs `module`, a file beside the compiled caller. Its stderr is ours. */
  static start<Down extends Message, Up extends Message>(name: string, module: URL): Child<Down, Up> {
    return new Child(name, fork(fileURLToPath(module), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw this.#failure ?? new LiminalError('INTERNAL', `${this.name} has no pid`)
    return this.#process.pid
  }

  /** Gets every message that nobody expects. At most one listener. */
  listen(listener: (message: Up) => void): void {
    this.#listener = listener
  }

  tell(message: Down): void {
    // A child that is gone is reported to whoever expects something of it.
    if (this.#process.connected) this.#process.send(message, () => undefined)
  }

  /** The next message of a type, also one that came before it was expected. Rejects with what ended the process. */
  expect<T extends Up['type']>(type: T): Promise<OfType<Up, T>> {
    const matches = (message: Up): message is OfType<Up, T> => message.type === type
    const index = this.#received.findIndex(matches)
    const found = index === -1 ? undefined : this.#received.splice(index, 1)[0]
    if (found !== undefined && matches(found)) return Promise.resolve(found)
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const expectations = this.#expected.get(type) ?? []
      expectations.push({ resolve: (message) => matches(message) && resolve(message), reject })
      this.#expected.set(type, expectations)
    })
  }

  /** Tells it something and resolves with the next message of a type. */
  request<T extends Up['type']>(message: Down, type: T): Promise<OfType<Up, T>> {
    this.tell(message)
    return this.expect(type)
  }

  /** Ends the process at once, without giving it a say. Resolves when it has ended. */
  async kill(): Promise<ChildExit> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL')
    return this.exited
  }

  #receive(message: Up | Failed): void {
    if (isFailed(message)) {
      this.#fail(new LiminalError(message.code, `${this.name}: ${message.message}`))
      return
    }
    const expectation = this.#expected.get(message.type)?.shift()
    if (expectation !== undefined) expectation.resolve(message)
    else if (this.#listener !== null) this.#listener(message)
    else this.#received.push(message)
  }

  #fail(error: LiminalError): void {
    // The first reason is the one that explains the others.
    this.#failure ??= error
    for (const expectations of this.#expected.values()) {
      for (const { reject } of expectations.splice(0)) reject(this.#failure)
    }
  }
}

function isFailed(message: Message): message is Failed {
  return message.type === 'failed'
}
