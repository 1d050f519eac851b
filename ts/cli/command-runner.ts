import { type ChildProcess, spawn } from 'node:child_process'
import { LiminalError } from '../errors.ts'
import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/index.ts'
import { parseJsonBytes } from './payload.ts'

// Requests that wait for a command to end. Past that the asker hears of it at once instead of waiting in vain.
const MAX_WAITING = 1_024
const MAX_REPLY_BYTES = DEFAULT_MAX_FRAME_BYTES - 64 * 1024
// The end of what a failing command says, for the asker.
const ERROR_TAIL_BYTES = 2_000

interface Waiting {
  readonly start: () => void
}

/** Runs a shell command for each request, a few at a time, the others in the order they came. */
export class CommandRunner {
  readonly #command: string
  readonly #concurrency: number
  #running = 0
  readonly #waiting = new Set<Waiting>()

  constructor(command: string, concurrency: number) {
    this.#command = command
    this.#concurrency = concurrency
  }

  /**
   * The command's output for a request on its stdin: JSON, a newline at its end cut off. Once `signal` is aborted the command and its children are
   * killed, or never started.
   *
   * @throws LiminalError `RESPONDER_FAILED` if it cannot run, exits with another code than 0, or prints what is not JSON; `ABORTED`; `LIMIT_EXCEEDED` when too many
   * requests wait.
   */
  async run(request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#running < this.#concurrency) this.#running += 1
    else await this.#turn(signal)
    try {
      if (signal.aborted) throw aborted(signal)
      return await runCommand(this.#command, request, signal)
    } finally {
      this.#passOn()
    }
  }

  /** Waits for a place; whoever ends hands over its own. */
  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING) {
      throw new LiminalError(
        'LIMIT_EXCEEDED',
        `${MAX_WAITING} requests wait for the command already; start another responder`,
      )
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiting)
        signal.removeEventListener('abort', abort)
      }
      const abort = () => {
        leave()
        reject(aborted(signal))
      }
      const waiting: Waiting = {
        start: () => {
          leave()
          resolve()
        },
      }
      this.#waiting.add(waiting)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  #passOn(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#running -= 1
    else next.start()
  }
}

async function runCommand(command: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const isolated = process.platform !== 'win32'
  // A process group of its own: killing only the shell would leave the command behind.
  const child = spawn(command, { shell: true, detached: isolated, stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true })
  const kill = () => killGroup(child, isolated)
  signal.addEventListener('abort', kill, { once: true })
  try {
    // A command may well answer without reading its input; that breaks the pipe and nothing else.
    child.stdin.on('error', () => undefined)
    child.stdin.end(request)
    const [output, complaint, end] = await Promise.all([
      collect(child.stdout, MAX_REPLY_BYTES, kill),
      tail(child.stderr),
      exitOf(child),
    ])
    if (signal.aborted) throw aborted(signal)
    if (output === null)
      throw new LiminalError('RESPONDER_FAILED', `the command printed more than ${MAX_REPLY_BYTES} bytes`)
    if (end !== 'exit code 0') {
      throw new LiminalError(
        'RESPONDER_FAILED',
        `the command ended with ${end}${complaint === '' ? '' : `: ${complaint}`}`,
      )
    }
    const reply = withoutNewline(output)
    parseJsonBytes(reply)
    return reply
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function killGroup(child: ChildProcess, isolated: boolean): void {
  if (child.pid === undefined || child.exitCode !== null) return
  try {
    if (isolated) process.kill(-child.pid, 'SIGKILL')
    else child.kill('SIGKILL')
  } catch (error) {
    // It ended by itself in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new LiminalError('RESPONDER_FAILED', `the command cannot be run: ${cause.message}`, { cause })),
    )
    child.on('close', (code, signal) => resolve(code === null ? `signal ${signal}` : `exit code ${code}`))
  })
}

/** All bytes of a stream, or null once they are more than `most`. */
async function collect(stream: AsyncIterable<Buffer>, most: number, stop: () => void): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > most) {
      stop()
      return null
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The end of a stream, as text. */
async function tail(stream: AsyncIterable<Buffer>): Promise<string> {
  let end = Buffer.alloc(0)
  for await (const chunk of stream) end = Buffer.concat([end, chunk]).subarray(-ERROR_TAIL_BYTES)
  return end.toString('utf8').trim()
}

function withoutNewline(output: Buffer): Buffer {
  return output.at(-1) === 0x0a ? output.subarray(0, -1) : output
}

function aborted(signal: AbortSignal): LiminalError {
  return new LiminalError('ABORTED', 'nobody waits for the reply any more', { cause: signal.reason })
}
