import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'

const run = promisify(execFile)
const onWindows = process.platform === 'win32'

/** What a program said and how it ended. */
export interface Outcome {
  readonly stdout: string
  readonly stderr: string
}

/**
 * An empty project with npm and node and nothing else on its PATH: no compiler, no cargo, none of the settings of this process. `folder` must not
 * exist yet.
 */
export class Project {
  readonly folder: string
  readonly #environment: Record<string, string>

  constructor(folder: string, registry: string) {
    this.folder = join(folder, 'project')
    mkdirSync(this.folder, { recursive: true })
    writeFileSync(join(this.folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')
    this.#environment = {
      PATH: onWindows ? windowsPath() : unixPath(join(folder, 'bin')),
      HOME: folder,
      npm_config_cache: join(folder, 'npm-cache'),
      npm_config_registry: registry,
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_update_notifier: 'false',
      ...(onWindows ? { SystemRoot: process.env.SystemRoot ?? '', USERPROFILE: folder } : {}),
    }
  }

  /** The folder of an installed package. */
  installed(name: string): string {
    return join(this.folder, 'node_modules', name)
  }

  /** Runs npm and returns what it printed. Rejects with that if it fails. */
  npm(...options: string[]): Promise<Outcome> {
    const command = onWindows ? 'npm.cmd' : join(this.#environment.PATH ?? '', 'npm')
    return run(command, options, { cwd: this.folder, env: this.#environment, shell: onWindows })
  }

  /** Runs node to its end and returns what it printed. Rejects with that if it fails. */
  node(...options: string[]): Promise<Outcome> {
    return run(process.execPath, options, { cwd: this.folder, env: this.#environment })
  }

  /** Whether a command can be started in the project. */
  has(command: string): Promise<boolean> {
    return new Promise((resolve) => {
      const started = spawn(command, ['--version'], { cwd: this.folder, env: this.#environment, stdio: 'ignore' })
      started.once('spawn', () => resolve(true)).once('error', () => resolve(false))
    })
  }

  /** Starts node. Its JSON lines are read with {@link Program.next}. */
  start(options: readonly string[], environment: Readonly<Record<string, string>> = {}): Program {
    return new Program(
      spawn(process.execPath, options, {
        cwd: this.folder,
        env: { ...this.#environment, ...environment },
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    )
  }
}

/** A running program that prints one JSON value per line. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  readonly #exit: Promise<number | null>
  #errors = ''

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#exit = once(child, 'close').then(([code]) => code as number | null)
  }

  /** The next line. Rejects with what the program complained about if it ended instead. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done !== true) return value
    throw new Error(`the program ended with exit code ${await this.#exit}: ${this.#errors}`)
  }

  /** The next line, as the value it stands for. */
  async next(): Promise<unknown> {
    return JSON.parse(await this.line())
  }

  /** Resolves once what it wrote to standard error matches. Rejects if it ends before. */
  async complains(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#errors)) {
      const more = once(this.#child.stderr, 'data').then(() => true)
      const ended = this.#exit.then(() => pattern.test(this.#errors))
      if (!(await Promise.race([more, ended]))) throw new Error(`the program ended and said only: ${this.#errors}`)
    }
  }

  /** Ends its input, and returns its exit code and all it wrote to standard error. */
  async end(): Promise<{ code: number | null; stderr: string }> {
    this.#child.stdin.end()
    return { code: await this.#exit, stderr: this.#errors }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** A folder with links to what npm needs, and nothing else. */
function unixPath(folder: string): string {
  mkdirSync(folder, { recursive: true })
  symlinkSync(process.execPath, join(folder, 'node'))
  for (const name of ['npm', 'sh', 'env']) symlinkSync(find(name), join(folder, name))
  return folder
}

function windowsPath(): string {
  return [dirname(process.execPath), join(process.env.SystemRoot ?? '', 'System32')].join(delimiter)
}

function find(name: string): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      // npm under node_modules/.bin would be a dependency's.
      if (!folder.includes('node_modules')) return realpathSync(join(folder, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error(`${name} is not on PATH`)
}
