import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { checkInteger, checkKnownOptions, checkName, checkOptions, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { ProcessSystem } from '../process/index.ts'
import { asSentence, textOf } from '../thrown.ts'
import { checkWait } from '../waiting.ts'
import { Breaker } from './breaker.ts'
import type { ConsumerView } from './consumer.ts'
import { IsolatedThread, type ThreadResult } from './isolated-thread.ts'
import { Link, LinkedList } from './linked-list.ts'
import {
  type Choice,
  checkChoice,
  crashed,
  RoutingError,
  type RoutingFunction,
  type RoutingRequest,
} from './routing-function.ts'
import { sourceHash } from './source-hash.ts'

/** What the default export of an isolated module is called with: all of it is a copy. The message must be fit for structured cloning. */
export interface IsolatedRoutingRequest extends Omit<RoutingRequest, 'consumers'> {
  /** The candidates as they were when the call began, the full ones included, in the order in which they joined. */
  readonly consumers: readonly ConsumerView[]
}

/** How an isolated routing function is run. */
export interface IsolatedRoutingOptions {
  /** What errors call it. Default: the module's file name. */
  readonly name?: string | undefined
  /** Milliseconds of one call, from when a thread begins it; then the thread is ended and replaced. Default: 1,000. */
  readonly timeoutMs?: number | undefined
  /** Milliseconds that a thread may take to start and load the module. Default: 10,000. */
  readonly loadMs?: number | undefined
  /** Threads, which is also how many calls run at a time. Default: 1. */
  readonly threads?: number | undefined
  /** Most calls that wait for a thread; one more fails with `ROUTING_FAILED`. Default: 1,024. */
  readonly maxWaiting?: number | undefined
  /** Mebibytes of heap of each thread; past it the thread is ended and replaced. Default: 64. */
  readonly memoryMb?: number | undefined
  /** Lost threads within `windowMs` that suspend the function. Default: 5. */
  readonly maxLosses?: number | undefined
  /** Milliseconds for which a lost thread counts. Default: 10,000. */
  readonly windowMs?: number | undefined
  /** Milliseconds for which a suspended function is not asked; then one thread is tried. Default: 5,000. */
  readonly cooldownMs?: number | undefined
}

interface Call {
  readonly request: RoutingRequest
  readonly resolve: (choice: Choice) => void
  readonly reject: (error: RoutingError) => void
}

const KNOWN = [
  'name',
  'timeoutMs',
  'loadMs',
  'threads',
  'maxWaiting',
  'memoryMb',
  'maxLosses',
  'windowMs',
  'cooldownMs',
]
const MAX_THREADS = 64

/**
 * Loads a module whose default export is a routing function, `(request: IsolatedRoutingRequest) => string | null`, also as a promise, into threads of its own. An endless
 * loop, a crash and a runaway heap end with the thread, delay nobody else, and fail that one choice.
 *
 * Its identity is the SHA-256 of the module's text, not of what it imports. If the file changes, threads that are replaced refuse it: deploy it again.
 *
 * Its threads end when no group holds it any more, or with `close`.
 * @param module a file, as a URL or a path.
 * @throws LiminalError `INVALID_ARGUMENT`; `ROUTING_FAILED` if the module cannot be loaded. One without such an export fails when it is asked.
 */
export async function isolatedRouting(
  module: URL | string,
  options: IsolatedRoutingOptions = {},
): Promise<IsolatedRouting> {
  checkOptions('options', options)
  checkKnownOptions('options', options, KNOWN)
  const url = moduleUrl(module)
  const { name = decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf('/') + 1)) } = options
  const { timeoutMs = 1_000, loadMs = 10_000, threads = 1, maxWaiting = 1_024, memoryMb = 64 } = options
  const { maxLosses = 5, windowMs = 10_000, cooldownMs = 5_000 } = options
  checkName('options.name', name)
  checkWait({ timeoutMs })
  checkWait({ timeoutMs: loadMs })
  checkInteger('options.threads', threads, 1)
  if (threads > MAX_THREADS) throw invalidArgument('options.threads', `at most ${MAX_THREADS}`, threads)
  checkInteger('options.maxWaiting', maxWaiting, 0)
  checkInteger('options.memoryMb', memoryMb, 1)
  checkInteger('options.maxLosses', maxLosses, 1)
  checkWait({ timeoutMs: windowMs })
  checkWait({ timeoutMs: cooldownMs })
  let hash: string
  try {
    hash = sourceHash(await readFile(url))
  } catch (cause) {
    throw new LiminalError('ROUTING_FAILED', `The routing module ${url.pathname} cannot be read.`, { cause })
  }
  const breaker = new Breaker({ failures: maxLosses, windowMs, cooldownMs })
  const routing = new IsolatedRouting(name, hash, { url, timeoutMs, loadMs, threads, maxWaiting, memoryMb }, breaker)
  await routing.load()
  return routing
}

interface Settings {
  readonly url: URL
  readonly timeoutMs: number
  readonly loadMs: number
  readonly threads: number
  readonly maxWaiting: number
  readonly memoryMb: number
}

/** A routing function in threads of its own; see {@link isolatedRouting}. */
export class IsolatedRouting implements RoutingFunction, AsyncDisposable {
  readonly name: string
  readonly hash: string
  readonly #settings: Settings
  /** The threads are processes of their own little system: a routing function may serve several buses. */
  readonly #processes = new ProcessSystem({ recordedExits: 0 })
  readonly #breaker: Breaker
  readonly #idle: IsolatedThread[] = []
  readonly #threads = new Set<IsolatedThread>()
  readonly #waiting = new LinkedList<Call>()
  readonly #stopping = new Set<Promise<void>>()
  #starting = 0
  #holders = 0
  #isClosed = false
  /** Why the last thread was lost, or could not be started. */
  #lastFailure: unknown
  #cooldown: NodeJS.Timeout | undefined

  /** @internal Use {@link isolatedRouting}. */
  constructor(name: string, hash: string, settings: Settings, breaker: Breaker) {
    this.name = name
    this.hash = hash
    this.#settings = settings
    this.#breaker = breaker
  }

  /** Threads that are ready or at a call. */
  get threads(): number {
    return this.#threads.size
  }

  /** Calls that wait for a thread. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether it lost so many threads that it is not asked for a while. */
  get isSuspended(): boolean {
    return this.#breaker.state === 'open'
  }

  /** @internal Starts the first threads. @throws RoutingError (as a rejection) if one cannot be started. */
  async load(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#settings.threads }, () => this.#start()))
    } catch (cause) {
      await this.close()
      throw crashed(this, cause)
    }
  }

  choose(request: RoutingRequest): Promise<Choice> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new RoutingError('crashed', this, 'is closed. Load it again.'))
      if (this.#breaker.state === 'open') return reject(this.#suspended())
      if (this.#idle.length === 0 && this.#waiting.size >= this.#settings.maxWaiting) {
        const what = `has ${this.#waiting.size} calls waiting already. Give it more threads.`
        return reject(new RoutingError('suspended', this, what))
      }
      this.#waiting.append(new Link({ request, resolve, reject }))
      this.#advance()
    })
  }

  /** @throws LiminalError `CLOSED`. */
  hold(): () => void {
    if (this.#isClosed)
      throw new LiminalError('CLOSED', `The routing function '${this.name}' is closed. Load it again.`)
    this.#holders++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holders--
      if (this.#holders === 0) void this.close()
    }
  }

  /** Ends its threads and fails the calls that are not done. Resolves when they have ended. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#cooldown)
    this.#failWaiting(() => new RoutingError('crashed', this, 'was closed.'))
    this.#idle.length = 0
    const threads = [...this.#threads]
    this.#threads.clear()
    for (const thread of threads) this.#stop(thread)
    await Promise.all(this.#stopping)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #advance(): void {
    while (this.#idle.length > 0) {
      const call = this.#waiting.shift()
      if (call === undefined) return
      const thread = this.#idle.pop()
      if (thread !== undefined) void this.#run(thread, call)
    }
  }

  async #run(thread: IsolatedThread, call: Call): Promise<void> {
    const { message, key, attempt, consumers } = call.request
    // Copied now and not when the call was made: what it waited for may have changed them.
    const task = { message, key, attempt, consumers: [...consumers].map(copyOf) } satisfies IsolatedRoutingRequest
    const result = await thread.run(task, this.#settings.timeoutMs)
    // A thread that is ended takes a moment to be gone: it is replaced at once.
    if (result.is === 'timed-out') this.#lost(thread, this.#tooLate())
    else if (this.#threads.has(thread)) this.#free(thread)
    this.#answer(call, result)
  }

  #answer(call: Call, result: ThreadResult): void {
    switch (result.is) {
      case 'answered':
        try {
          call.resolve(checkChoice(this, result.value))
        } catch (error) {
          call.reject(error instanceof RoutingError ? error : crashed(this, error))
        }
        return
      case 'threw':
        call.reject(crashed(this, result.cause))
        return
      case 'lost':
        call.reject(new RoutingError('crashed', this, 'took its thread down. The thread is replaced.', result.cause))
        return
      case 'timed-out':
        call.reject(this.#tooLate())
    }
  }

  #tooLate(): RoutingError {
    const what = `did not answer within ${this.#settings.timeoutMs} ms, and its thread was ended.`
    return new RoutingError('timed-out', this, what)
  }

  #free(thread: IsolatedThread): void {
    if (this.#isClosed) return
    this.#breaker.succeeded()
    this.#idle.push(thread)
    this.#restore()
    this.#advance()
  }

  /** A thread that was ready is lost, at a call or while it was idle. */
  #lost(thread: IsolatedThread, why: unknown): void {
    if (!this.#threads.delete(thread)) return
    const at = this.#idle.indexOf(thread)
    if (at !== -1) this.#idle.splice(at, 1)
    this.#stop(thread)
    this.#failed(why)
  }

  /** A thread was lost or could not be started. */
  #failed(why: unknown): void {
    if (this.#isClosed) return
    this.#lastFailure = why
    this.#breaker.failed()
    if (this.#breaker.state !== 'open') {
      this.#restore()
      return
    }
    this.#failWaiting(() => this.#suspended())
    this.#coolDown()
  }

  #coolDown(): void {
    clearTimeout(this.#cooldown)
    this.#cooldown = setTimeout(() => {
      this.#breaker.probe()
      // Timers count whole milliseconds, and may be a little early for the clock of the breaker.
      if (this.#breaker.state === 'open') this.#coolDown()
      else this.#restore()
    }, Math.ceil(this.#breaker.waitMs))
    this.#cooldown.unref()
  }

  /** Starts the threads that are missing; a single one after a cool-down, until that has done a call. */
  #restore(): void {
    const wanted = this.#breaker.state === 'closed' ? this.#settings.threads : 1
    if (this.#breaker.state === 'open') return
    for (let missing = wanted - this.#threads.size - this.#starting; missing > 0; missing--) {
      this.#start().catch((error: unknown) => this.#failed(error))
    }
  }

  async #start(): Promise<void> {
    this.#starting++
    let thread: IsolatedThread
    try {
      const { url, memoryMb, loadMs } = this.#settings
      const lost = (ended: IsolatedThread, why: unknown): void => this.#lost(ended, why)
      thread = await IsolatedThread.start(this.#processes, { module: url, hash: this.hash, memoryMb, loadMs, lost })
    } finally {
      this.#starting--
    }
    if (this.#isClosed) {
      await thread.stop()
      return
    }
    this.#threads.add(thread)
    this.#idle.push(thread)
    this.#advance()
  }

  #stop(thread: IsolatedThread): void {
    const stopped = thread.stop().finally(() => this.#stopping.delete(stopped))
    this.#stopping.add(stopped)
  }

  #failWaiting(error: () => RoutingError): void {
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift()) call.reject(error())
  }

  #suspended(): RoutingError {
    const waitMs = Math.ceil(this.#breaker.waitMs)
    const why = asSentence(textOf(this.#lastFailure))
    const what = `lost too many threads and is not asked for ${waitMs} ms. Of the last one: ${why}`
    return new RoutingError('suspended', this, what, this.#lastFailure)
  }
}

function copyOf(view: ConsumerView): ConsumerView {
  const { id, inFlight, capacity, available, latencyMs, completed, failed, tags } = view
  return { id, inFlight, capacity, available, latencyMs, completed, failed, tags }
}

function moduleUrl(module: URL | string): URL {
  if (typeof module !== 'string' && !(module instanceof URL)) throw invalidArgument('module', 'a URL or a path', module)
  const url = typeof module === 'string' && !module.startsWith('file:') ? pathToFileURL(module) : new URL(module)
  if (url.protocol !== 'file:') throw invalidArgument('module', 'a file', url.href)
  return url
}
