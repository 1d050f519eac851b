import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { codecInfo } from '../../ts/codec/index.ts'

/** The built command. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
if (!existsSync(MAIN)) throw new Error('dist/cli/main.js is missing: run `npm run build` first')

const running = new Set<Cli>()

// Whatever a test has left running is ended by its pid.
afterEach(async () => {
  await Promise.all([...running].map((cli) => cli.kill()))
})

export interface CliExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface CliOptions {
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Leave stdout unread, for the test to read (or not). */
  readonly unread?: boolean
}

/** A process of the built `liminal` command. */
export class Cli {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exit: Promise<CliExit>
  readonly #stdout: Text
  readonly #stderr: Text

  constructor(args: readonly string[], { environment = {}, unread = false }: CliOptions = {}) {
    const inherited = { ...process.env }
    // What the machine of whoever runs the tests has set must not decide how they end.
    for (const name of ['LIMINAL_URL', 'LIMINAL_AUTH_TOKEN', 'NO_COLOR', 'FORCE_COLOR']) delete inherited[name]
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // The codec of the tests, said so: a process that falls back to it by itself warns on stderr.
      env: { ...inherited, LIMINAL_CODEC: codecInfo().codec, ...environment },
    })
    running.add(this)
    // A process that ends before it has read its input breaks the pipe; how it ended is what the test looks at.
    this.#child.stdin.on('error', () => undefined)
    this.#stdout = new Text(unread ? null : this.#child.stdout)
    this.#stderr = new Text(this.#child.stderr)
    this.#exit = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on(unread ? 'exit' : 'close', (code, signal) => {
        running.delete(this)
        resolve({ code, signal })
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get stdin(): Writable {
    return this.#child.stdin
  }

  /** The raw stream, for a test that asked to read it by itself. */
  get stdoutStream(): Readable {
    return this.#child.stdout
  }

  get stdout(): string {
    return this.#stdout.all
  }

  get stderr(): string {
    return this.#stderr.all
  }

  /** Resolves with the first line of stdout that matches. */
  printed(pattern: RegExp): Promise<string> {
    return this.#line(this.#stdout, pattern)
  }

  /** Resolves with the first line of stderr that matches. */
  noted(pattern: RegExp): Promise<string> {
    return this.#line(this.#stderr, pattern)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<CliExit> {
    this.#child.kill('SIGKILL')
    return this.#exit
  }

  exited(): Promise<CliExit> {
    return this.#exit
  }

  async #line(text: Text, pattern: RegExp): Promise<string> {
    const ended = this.#exit.then(({ code, signal }) => {
      throw new Error(
        `liminal ended (${code ?? signal}) without a line like ${pattern}:\n${this.stdout}\n${this.stderr}`,
      )
    })
    return Promise.race([text.line(pattern), ended])
  }
}

/** Text as it arrives, and who waits for a line of it. */
class Text {
  readonly #chunks: string[] = []
  #waiting: { readonly pattern: RegExp; readonly resolve: (line: string) => void }[] = []

  constructor(stream: Readable | null) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#chunks.push(chunk)
      if (this.#waiting.length > 0) this.#look()
    })
  }

  get all(): string {
    return this.#chunks.join('')
  }

  line(pattern: RegExp): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push({ pattern, resolve })
      this.#look()
    })
  }

  #look(): void {
    const lines = this.all.split('\n').slice(0, -1)
    this.#waiting = this.#waiting.filter(({ pattern, resolve }) => {
      const found = lines.find((line) => pattern.test(line))
      if (found !== undefined) resolve(found)
      return found === undefined
    })
  }
}

/** Runs a command to its end. */
export async function liminal(
  args: readonly string[],
  options: CliOptions & { readonly input?: string | Uint8Array } = {},
) {
  const cli = new Cli(args, options)
  cli.stdin.end(options.input ?? '')
  const { code, signal } = await cli.exited()
  return { code, signal, stdout: cli.stdout, stderr: cli.stderr }
}

/** Starts a server on a free port and resolves once it listens. */
export async function startServer(...args: readonly string[]): Promise<{ readonly server: Cli; readonly url: string }> {
  const server = new Cli(['serve', '--port', '0', '--json', ...args])
  const { listening } = JSON.parse(await server.printed(/^\{"listening":/))
  return { server, url: listening.url }
}

/** A server for all tests of a file, each of which has names of its own on it. Returns its URL, once the tests run. */
export function sharedServer(...args: readonly string[]): () => string {
  let shared: { readonly server: Cli; readonly url: string } | null = null
  beforeAll(async () => {
    shared = await startServer(...args)
    running.delete(shared.server)
  })
  afterAll(async () => {
    await shared?.server.kill()
  })
  return () => {
    if (shared === null) throw new Error('The server of this file has not started.')
    return shared.url
  }
}

/** Starts a subscriber and resolves once it is subscribed. */
export async function startSub(url: string, channel: string, ...args: readonly string[]): Promise<Cli> {
  const sub = new Cli(['sub', channel, '--url', url, ...args])
  await sub.noted(new RegExp(`^subscribed to ${channel}$`))
  return sub
}

/** Starts a responder and resolves once it can be asked. */
export async function startResponder(url: string, subject: string, ...args: readonly string[]): Promise<Cli> {
  const responder = new Cli(['respond', subject, '--url', url, ...args])
  await responder.noted(new RegExp(`^responding to ${subject}$`))
  return responder
}
