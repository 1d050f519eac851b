import { Worker } from 'node:worker_threads'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { type Exit, type ExitReason, exitError, exitKilled } from './exit.ts'
import type { PassiveProcess, Process } from './process.ts'
import type { ProcessSystem } from './system.ts'
import { THREAD_PROGRAM } from './thread-program.ts'

/** How a thread is started. */
export interface ThreadOptions {
  /** A module whose default export is a function: `(request, context) => result`, which may be a promise or an async iterable. */
  readonly module: URL
  /** What its process is called. Default: `'thread'`. */
  readonly name?: string
  /** Whose child its process is. Default: nobody's. */
  readonly parent?: Process
  /** Mebibytes of heap; past it the thread ends. Default: 64. */
  readonly memoryMb?: number
  /** Milliseconds to start and load the module. Default: 10,000. */
  readonly loadMs?: number
  /** Milliseconds in which it has to react when a call is abandoned; one that does not is stuck, and is killed. Default: 100. */
  readonly graceMs?: number
  /** Called when it may take calls that were held back: {@link Thread.isFree} holds again. */
  readonly onRoom?: () => void
  /** Parts of a result that it may be ahead of what was taken. Default: 64. */
  readonly window?: number
}

/** What was thrown in a thread, as far as it can be told outside. */
export interface ThrownInThread {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The `code` of the error, if it had one. */
  readonly code?: string | undefined
}

/** Hears what becomes of a call: one of the first four, once; parts come before `ended`. */
export interface ThreadCallObserver {
  returned(value: unknown): void
  threw(thrown: ThrownInThread): void
  /** The parts are over. `value`: what their generator returned. */
  ended(value: unknown): void
  /** The thread is gone, and the call with it. */
  lost(reason: ExitReason): void
  part(value: unknown): void
  /** It answers in parts, and they were not wanted. */
  inParts(): void
}

/** A call in a thread, for whoever made it. */
export interface ThreadCall {
  /** So many parts were taken. */
  take(count: number): void
  /** Nobody wants the result any more: the `signal` of the function is aborted, and nothing is heard of the call. A thread that does not react is killed. */
  abandon(error: LiminalError): void
}

/** What is asked of the function in a thread. Both are copied. */
export interface ThreadRequest {
  readonly request: unknown
  /** It gets these, and a `signal`. */
  readonly context: Readonly<Record<string, unknown>>
  readonly inParts: boolean
}

type FromThread =
  | { readonly is: 'ready' }
  | { readonly is: 'unfit'; readonly error: ThrownInThread }
  | { readonly is: 'value' | 'end' | 'part'; readonly id: number; readonly value: unknown }
  | { readonly is: 'threw'; readonly id: number; readonly error: ThrownInThread }
  | { readonly is: 'in-parts' | 'alive'; readonly id: number }

const DEFAULT_MEMORY_MB = 64
const DEFAULT_LOAD_MS = 10_000
const DEFAULT_GRACE_MS = 100
const DEFAULT_WINDOW = 64

/**
 * A worker thread as a process: the end of one is the end of the other, in the turn in which Node tells of it, and after everything that the thread has sent before. An error
 * that nobody catches, `process.exit()`, too little memory end it with `error`; who ends its process ends the thread, whatever it is at. A thread does not keep the program
 * alive while nothing is asked of it.
 */
export class Thread {
  /** Its exit is the thread's. */
  readonly process: Process
  readonly #process: PassiveProcess
  readonly #worker: Worker
  readonly #graceMs: number
  readonly #onRoom: (() => void) | undefined
  readonly #ready = new Deferred<void>()
  readonly #terminated = new Deferred<void>()
  readonly #calls = new IntegerMap<ThreadCallObserver>()
  /** Abandoned calls that the thread has not reacted to, and when it is too late. */
  readonly #overdue = new Map<number, NodeJS.Timeout>()
  #load: NodeJS.Timeout | null
  #lastId = 0

  /** Starts it. @throws LiminalError like `ProcessSystem.spawnPassive`. */
  constructor(processes: ProcessSystem, options: ThreadOptions) {
    const { module, name = 'thread', parent, memoryMb = DEFAULT_MEMORY_MB, loadMs = DEFAULT_LOAD_MS } = options
    this.#graceMs = options.graceMs ?? DEFAULT_GRACE_MS
    this.#onRoom = options.onRoom
    const family = parent === undefined ? {} : { parent }
    this.#process = processes.spawnPassive({ name, ...family, onExit: (exit) => this.#exited(exit) })
    this.process = this.#process
    this.#worker = new Worker(THREAD_PROGRAM, {
      eval: true,
      execArgv: [],
      name,
      workerData: { module: module.href, window: options.window ?? DEFAULT_WINDOW },
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    })
    this.#load = setTimeout(() => this.#process.end(exitKilled(tooSlow(module, loadMs))), loadMs)
    this.#worker.on('message', (message: FromThread) => this.#heard(message))
    this.#worker.once('error', (error) => this.#process.end(exitError(error)))
    this.#worker.once('exit', (code) => {
      this.#process.end(exitError(new LiminalError('PROCESS_GONE', `The thread ended with code ${code}, by itself.`)))
      this.#terminated.resolve()
    })
  }

  /** Resolves once the module is loaded. Rejects with what prevented it. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Resolves once the thread has really ended, which takes a moment longer than the exit of its process. */
  get terminated(): Promise<void> {
    return this.#terminated.promise
  }

  /** Whether it may be given something: it lives, and is not suspected to be stuck, since it has reacted to every abandoned call. */
  get isFree(): boolean {
    return this.#overdue.size === 0 && this.#process.over === null
  }

  /** Calls underway. */
  get calls(): number {
    return this.#calls.size
  }

  /** Calls the function. @throws LiminalError `PROCESS_GONE` if the thread is over; DataCloneError for what cannot be copied. */
  call({ request, context, inParts }: ThreadRequest, observer: ThreadCallObserver): ThreadCall {
    const { over } = this.#process
    if (over !== null) throw new LiminalError('PROCESS_GONE', 'The thread is over.', { cause: over })
    this.#lastId++
    const id = this.#lastId
    this.#worker.postMessage({ is: 'call', id, request, context, inParts })
    if (this.#calls.size === 0) this.#worker.ref()
    this.#calls.set(id, observer)
    return {
      take: (count) => {
        if (this.#calls.has(id)) this.#worker.postMessage({ is: 'taken', id, count })
      },
      abandon: (error) => this.#abandon(id, error),
    }
  }

  #abandon(id: number, error: LiminalError): void {
    if (!this.#settle(id)) return
    this.#worker.postMessage({ is: 'abandon', id, reason: error.message })
    const stuck = setTimeout(() => {
      const message = `The thread did not react within ${this.#graceMs} ms: it is stuck, and was ended. ${error.message}`
      this.#process.end(exitKilled(new LiminalError('TIMEOUT', message, { cause: error })))
    }, this.#graceMs)
    this.#overdue.set(id, stuck)
  }

  #heard(message: FromThread): void {
    switch (message.is) {
      case 'ready':
        this.#loaded()
        this.#ready.resolve()
        if (this.#calls.size === 0) this.#worker.unref()
        break
      case 'unfit':
        this.#process.end(exitError(thrownInThread(message.error)))
        break
      case 'alive':
        clearTimeout(this.#overdue.get(message.id))
        this.#overdue.delete(message.id)
        if (this.#overdue.size === 0) this.#onRoom?.()
        break
      case 'part':
        this.#calls.get(message.id)?.part(message.value)
        break
      default:
        this.#finished(message)
    }
  }

  #finished(message: Exclude<FromThread, { is: 'ready' | 'unfit' | 'alive' | 'part' }>): void {
    const observer = this.#calls.get(message.id)
    if (observer === undefined) return
    this.#settle(message.id)
    if (message.is === 'value') observer.returned(message.value)
    else if (message.is === 'end') observer.ended(message.value)
    else if (message.is === 'threw') observer.threw(message.error)
    else observer.inParts()
  }

  #settle(id: number): boolean {
    if (!this.#calls.delete(id)) return false
    if (this.#calls.size === 0) this.#worker.unref()
    return true
  }

  #exited({ reason }: Exit): void {
    this.#loaded()
    this.#ready.reject(reason.cause ?? new LiminalError('PROCESS_GONE', 'The thread was ended.'))
    for (const timer of this.#overdue.values()) clearTimeout(timer)
    this.#overdue.clear()
    const observers = this.#calls.values()
    this.#calls.clear()
    void this.#worker.terminate()
    for (const observer of observers) observer.lost(reason)
  }

  #loaded(): void {
    if (this.#load !== null) clearTimeout(this.#load)
    this.#load = null
  }
}

/** What was thrown in a thread as an error of this side. */
export function thrownInThread({ name, message, stack }: ThrownInThread): Error {
  const error = new Error(message)
  error.name = name
  if (stack !== undefined) error.stack = stack
  return error
}

function tooSlow(module: URL, loadMs: number): LiminalError {
  return new LiminalError('TIMEOUT', `The thread did not load ${module.pathname} within ${loadMs} ms.`)
}
