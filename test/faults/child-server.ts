import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const PROGRAM = fileURLToPath(new URL('./server-process.ts', import.meta.url))

/** Bytes, after a garbage collection. */
export interface Memory {
  readonly rss: number
  readonly heapUsed: number
  readonly arrayBuffers: number
}

/** A server in a process of its own, so that its memory and its descriptors are nobody else's. */
export class ChildServer {
  readonly address: { readonly host: string; readonly port: number }
  readonly #process: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterableIterator<string>
  readonly #errors: readonly Buffer[]

  private constructor(
    process: ChildProcessWithoutNullStreams,
    lines: AsyncIterableIterator<string>,
    errors: readonly Buffer[],
    address: ChildServer['address'],
  ) {
    this.#process = process
    this.#lines = lines
    this.#errors = errors
    this.address = address
  }

  /** Starts it; it ends with the test. `descriptors` limits how many files and sockets the process may have open. */
  static async start(options: object, { descriptors }: { descriptors?: number } = {}): Promise<ChildServer> {
    const node = [process.execPath, '--expose-gc', '--import', 'tsx', PROGRAM, JSON.stringify(options)]
    const limited = ['sh', '-c', `ulimit -n ${descriptors ?? 0} && exec "$@"`, 'sh', ...node]
    const [command, ...rest] = descriptors === undefined ? node : limited
    const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
    const errors: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    // The pipe breaks when the process dies, which shows in what it no longer answers.
    child.stdin.on('error', () => undefined)
    const exited = once(child, 'exit')
    onTestFinished(async () => {
      child.stdin.end()
      if (child.exitCode === null) await exited
    })
    const reader: Interface = createInterface({ input: child.stdout })
    const lines = reader[Symbol.asyncIterator]()
    const first = await lines.next()
    if (first.done) throw new Error(`The server process did not start: ${Buffer.concat(errors).toString()}`)
    return new ChildServer(child, lines, errors, JSON.parse(first.value).address)
  }

  /** Rejects if the process is dead, like the others. */
  async memory(): Promise<Memory> {
    return JSON.parse(await this.#ask('memory'))
  }

  /** Connections that it has. */
  async sessions(): Promise<number> {
    return JSON.parse(await this.#ask('sessions')).sessions
  }

  /** Resolves once it has no more than `most` connections. */
  async quiet(most: number): Promise<void> {
    await this.#ask(`quiet ${most}`)
  }

  async #ask(question: string): Promise<string> {
    this.#process.stdin.write(`${question}\n`)
    const line = await this.#lines.next()
    if (line.done) throw new Error(`The server process is dead: ${Buffer.concat(this.#errors).toString()}`)
    return line.value
  }
}
