import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Down, Up } from './messages.ts'

type OfType<T extends Up['type']> = Extract<Up, { readonly type: T }>

interface Expectation {
  readonly resolve: (message: Up) => void
  readonly reject: (error: Error) => void
}

/** A Node process of the benchmark: what it is told and what it tells. When it ends or fails, everything that is expected of it fails at once. */
export class Child {
  readonly name: string
  readonly #process: ChildProcess
  readonly #received: Up[] = []
  readonly #expected = new Map<Up['type'], Expectation[]>()
  readonly #exited: Promise<void>
  #failure: Error | null = null
  #progressed: (through: number) => void = () => undefined

  /** @param module a file beside the compiled caller's folder. Its stderr is ours. */
  constructor(name: string, module: URL, environment: Readonly<Record<string, string>>) {
    this.name = name
    this.#process = fork(fileURLToPath(module), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, ...environment },
      // A loader or an inspector of the orchestrator has no place in what is measured.
      execArgv: [],
    })
    this.#process.on('message', (message) => this.#receive(message as Up))
    this.#process.on('error', (cause) => this.#fail(new Error(`The ${name} process cannot be run.`, { cause })))
    this.#exited = new Promise((resolve) => {
      this.#process.on('exit', (code, signal) => {
        this.#fail(new Error(`The ${name} process ended with ${signal ?? `exit code ${code}`}.`))
        resolve()
      })
    })
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw this.#failure ?? new Error(`The ${this.name} process has no id.`)
    return this.#process.pid
  }

  /** Gets every progress report. */
  onProgress(progressed: (through: number) => void): void {
    this.#progressed = progressed
  }

  tell(message: Down): void {
    // One that is gone is reported to whoever expects something of it.
    if (this.#process.connected) this.#process.send(message, () => undefined)
  }

  /** The next message of a type, also one that came before it was expected. Rejects with what ended the process. */
  expect<T extends Up['type']>(type: T): Promise<OfType<T>> {
    const matches = (message: Up): message is OfType<T> => message.type === type
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
  request<T extends Up['type']>(message: Down, type: T): Promise<OfType<T>> {
    this.tell(message)
    return this.expect(type)
  }

  /** Ends it at once. Resolves when it has ended. */
  async end(): Promise<void> {
    if (this.#process.pid === undefined) return
    this.#process.kill('SIGKILL')
    await this.#exited
  }

  #receive(message: Up): void {
    if (message.type === 'failed') this.#fail(new Error(`${this.name}: ${message.message}`))
    else if (message.type === 'progress') this.#progressed(message.through)
    else {
      const expectation = this.#expected.get(message.type)?.shift()
      if (expectation === undefined) this.#received.push(message)
      else expectation.resolve(message)
    }
  }

  #fail(error: Error): void {
    // The first reason explains the others.
    this.#failure ??= error
    for (const expectations of this.#expected.values()) {
      for (const { reject } of expectations.splice(0)) reject(this.#failure)
    }
  }
}
