import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { BusOptions } from '../../ts/bus/index.ts'
import type { ServerOptions } from '../../ts/server/index.ts'

const PROGRAM = fileURLToPath(new URL('./durable-server.mjs', import.meta.url))
const BUILT = new URL('../../dist/server/index.js', import.meta.url)

/** Why a server did not start, in its own words. */
export interface Refusal {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}

export interface ServerProcessOptions {
  /** A command that runs the one behind it, such as `['prlimit', '--fsize=65536']`. */
  readonly wrapper?: readonly string[]
  /** Options of Node, such as a module to import first. */
  readonly nodeOptions?: readonly string[]
  /** Behind the options, for the program. */
  readonly arguments?: readonly string[]
  /** Added to its environment. */
  readonly environment?: Readonly<Record<string, string>>
}

/** A server with a data directory in a process of its own, which can be killed at any moment. */
export class DurableServer {
  /** Settles once it listens, with its port. Rejects if the process ends before; with the `cause` a {@link Refusal} if it said why. */
  readonly listening: Promise<number>
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  /** Starts a process. @param options for `createServer`, without functions. */
  constructor(options: BusOptions & ServerOptions, program: ServerProcessOptions = {}) {
    const { wrapper = [], nodeOptions = [], environment = {}, arguments: more = [] } = program
    if (!existsSync(BUILT)) throw new Error('dist/server/index.js is missing: run `npm run build` first')
    const [command, ...args] = [...wrapper, process.execPath, ...nodeOptions, PROGRAM, JSON.stringify(options), ...more]
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
    // One that is killed breaks its pipes.
    this.#child.stdin?.on('error', () => undefined)
    this.#exited = once(this.#child, 'exit')
    this.listening = this.#listen()
    // Whoever kills it before it listens need not look.
    this.listening.catch(() => undefined)
  }

  /** Starts one and resolves when it listens. */
  static async start(options: BusOptions & ServerOptions, process?: ServerProcessOptions): Promise<DurableServer> {
    const server = new DurableServer(options, process)
    await server.listening
    return server
  }

  /** @throws Error before it has started. */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('The server process has no id.')
    return this.#child.pid
  }

  /** Where it listens. */
  async url(): Promise<string> {
    return `liminal://127.0.0.1:${await this.listening}`
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Closes it in order; resolves when it is gone. */
  async close(): Promise<void> {
    this.#child.stdin?.end()
    await this.#exited
  }

  /** Resolves when the process ends, for whatever reason. */
  async exited(): Promise<void> {
    await this.#exited
  }

  async #listen(): Promise<number> {
    const errors: Buffer[] = []
    this.#child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk))
    const { stdout } = this.#child
    if (stdout === null) throw new Error('The server process has no output.')
    for await (const line of createInterface({ input: stdout })) {
      const said: { port: number } | { failed: Refusal } = JSON.parse(line)
      if ('port' in said) return said.port
      throw new Error(`The server refused to start: ${said.failed.message}`, { cause: said.failed })
    }
    throw new Error(`The server ended before it listened: ${Buffer.concat(errors).toString()}`)
  }
}

/** Starts one that must refuse, and resolves with its reason. */
export async function refusalOf(options: BusOptions, process?: ServerProcessOptions): Promise<Refusal> {
  const server = new DurableServer(options, process)
  try {
    await server.listening
  } catch (error) {
    if (error instanceof Error && isRefusal(error.cause)) return error.cause
    throw error
  } finally {
    await server.kill()
  }
  throw new Error('The server started where it should have refused to.')
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'code' in value
}
