import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

/** Lines of output kept to explain a failure. */
const KEPT_LINES = 20
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000

/** Programs that run now. Node processes end with their parent; these would not. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A server that is not ours, in a process of its own. */
export class Program {
  readonly pid: number
  readonly #process: ChildProcess
  readonly #exited: Promise<void>

  private constructor(child: ChildProcess, pid: number, exited: Promise<void>) {
    this.#process = child
    this.pid = pid
    this.#exited = exited
  }

  /**
   * Starts a program and resolves once it has said that it is ready.
   *
   * @param ready what it prints then, on stdout or stderr.
   * @throws Error with its last lines if it ends before, or says nothing for a minute.
   */
  static async start(
    command: string,
    parameters: readonly string[],
    ready: RegExp,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Program> {
    const child = spawn(command, [...parameters], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    running.add(child)
    const lines: string[] = []
    const exited = new Promise<void>((resolve) => {
      child.on('close', () => {
        running.delete(child)
        resolve()
      })
    })
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const refuse = (why: string, cause?: unknown) =>
          reject(new Error(`${command} ${why}: ${lines.join(' | ')}`, { cause }))
        timer = setTimeout(() => refuse('did not get ready in time'), START_TIMEOUT_MS)
        child.on('error', (cause) => refuse('cannot be run', cause))
        child.on('exit', (code, signal) => refuse(`ended with ${signal ?? code}`))
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding('utf8').on('data', (text: string) => {
            lines.push(...text.split('\n').filter(Boolean))
            if (lines.some((line) => ready.test(line))) resolve()
            lines.splice(0, lines.length - KEPT_LINES)
          })
        }
      })
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      clearTimeout(timer)
    }
    if (child.pid === undefined) throw new Error(`${command} has no process id`)
    return new Program(child, child.pid, exited)
  }

  /** Asks it to end, and ends it where it does not listen. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.#exited
    clearTimeout(timer)
  }
}

/** The first line that a program prints about its version, or null where it is not installed. */
export function versionOf(command: string, parameters: readonly string[]): string | null {
  const { error, stdout, stderr } = spawnSync(command, [...parameters], { encoding: 'utf8' })
  if (error !== undefined) return null
  return (stdout || stderr).trim().split('\n', 1)[0]
}

/** A TCP port of 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The system gave no port.')
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  return address.port
}
