import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { checkInteger, checkKnownOptions, checkOneOf, checkOptions, invalidArgument } from '../arguments.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import { sayStrayError } from './diagnostics.ts'
import { type Exit, exitError, exitKilled } from './exit.ts'
import type { PassiveProcess, Process } from './process.ts'
import type { ProcessSystem } from './system.ts'
import {
  type ThreadCall,
  type ThreadCallObserver,
  type ThreadRequest,
  type ThreadStep,
  type ThreadStepAnswer,
  type ThrownInThread,
  thrownInThread,
} from './thread-call.ts'
import { THREAD_PROGRAM } from './thread-program.ts'

/** How a thread is started. */
export interface ThreadOptions {
  /** A module whose default export is a function: `(request, context) => result`, which may be a promise or an async iterable. */
  readonly module: URL
  /** What its process is called. Default: `'thread'`. */
  readonly name?: string
  /** Whose child its process is. Default: nobody's. */
  readonly parent?: Process
  /** Links its process with its parent, before anything else can happen to either. Default: false. */
  readonly link?: boolean
  /** Mebibytes of heap; past it the thread ends. Memory of buffers is not part of it. Default: 64. */
  readonly memoryMb?: number
  /** Milliseconds to start and load the module. Default: 10,000. */
  readonly loadMs?: number
  /** Milliseconds in which it has to react when a call is abandoned; one that does not is stuck, and is killed. Default: 100. */
  readonly graceMs?: number
  /**
   * Milliseconds that an abandoned call has to come to its end after its signal was aborted; a thread in which one goes on is killed. Default: 1,000.
   */
  readonly settleMs?: number
  /** Called when it may take calls that were held back: {@link Thread.isFree} holds again. */
  readonly onRoom?: () => void
  /** Parts of a result that it may be ahead of what was taken. Default: 64. */
  readonly window?: number
  /**
   * How results and parts come: `'copies'`, made by structured clone, or `'json'`: the text that `JSON.stringify` makes of them in the thread, `null` for `undefined`.
   * Default: `'copies'`.
   */
  readonly answers?: 'copies' | 'json'
}

type FromThread =
  | { readonly is: 'ready' }
  | { readonly is: 'unfit'; readonly error: ThrownInThread }
  | { readonly is: 'value' | 'end' | 'part'; readonly id: number; readonly value: unknown }
  | { readonly is: 'threw'; readonly id: number; readonly error: ThrownInThread }
  | { readonly is: 'in-parts' | 'settled'; readonly id: number }
  | ({ readonly is: 'step'; readonly id: number; readonly step: number } & ThreadStep)
  | { readonly is: 'alive'; readonly id: number; readonly isUnderway: boolean }

const NO_CALL = { is: 'error', code: 'ABORTED', message: 'Nobody waits for this call any more.' } as const
const DEFAULT_MEMORY_MB = 64
const DEFAULT_LOAD_MS = 10_000
const DEFAULT_GRACE_MS = 100
const DEFAULT_SETTLE_MS = 1_000
const DEFAULT_WINDOW = 64
const KNOWN = Object.keys({
  module: true,
  name: true,
  parent: true,
  link: true,
  memoryMb: true,
  loadMs: true,
  graceMs: true,
  settleMs: true,
  onRoom: true,
  window: true,
  answers: true,
} satisfies Record<keyof ThreadOptions, true>)

/**
 * A worker thread as a process: the end of one is the end of the other, in the turn in which Node tells of it, and after everything that the thread has sent before. An error
 * that nobody catches, `process.exit()`, too little memory end it with `error`; who ends its process ends the thread, whatever it is at. A thread does not keep the program
 * alive while nothing is asked of it.
 *
 * ```ts
 * const thread = new Thread(processes, { module: new URL('./resize.js', import.meta.url) })
 * processes.monitor(thread.process, ({ reason }) => console.log(`the thread is gone: ${reason.is}`))
 * await thread.ready
 * const call = thread.call({ request: image, context: {}, inParts: false }, observer)
 * ```
 */
export class Thread {
  /** Its exit is the thread's. */
  readonly process: Process
  readonly #process: PassiveProcess
  readonly #worker: Worker
  /** Not the port that every thread has: that one belongs to the code in the thread, which may post on it what it likes. */
  readonly #port: MessagePort
  readonly #graceMs: number
  readonly #settleMs: number
  readonly #onRoom: (() => void) | undefined
  readonly #ready = new Deferred<void>()
  readonly #terminated = new Deferred<void>()
  readonly #calls = new IntegerMap<ThreadCallObserver>()
  /** Abandoned calls that the thread has not reacted to, and when it is too late. */
  readonly #overdue = new Map<number, NodeJS.Timeout>()
  /** Abandoned calls that it has reacted to and that still go on, and when it is too late. */
  readonly #lingering = new Map<number, NodeJS.Timeout>()
  #load: NodeJS.Timeout | null = null
  #isLoaded = false
  #lastId = 0

  /** Starts it. @throws LiminalError `INVALID_ARGUMENT`, and like `ProcessSystem.spawnPassive`. */
  constructor(processes: ProcessSystem, options: ThreadOptions) {
    checkThreadOptions(options)
    const { module, name = 'thread', parent, link = false, memoryMb = DEFAULT_MEMORY_MB } = options
    const { loadMs = DEFAULT_LOAD_MS, window = DEFAULT_WINDOW, answers = 'copies' } = options
    this.#graceMs = options.graceMs ?? DEFAULT_GRACE_MS
    this.#settleMs = options.settleMs ?? DEFAULT_SETTLE_MS
    this.#onRoom = options.onRoom
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#worker = new Worker(THREAD_PROGRAM, {
      eval: true,
      execArgv: [],
      name,
      workerData: { port: port2, module: module.href, window, answers },
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    })
    const onExit = (exit: Exit): void => this.#exited(exit)
    try {
      this.#process = processes.spawnPassive({
        name,
        about: module.pathname,
        link,
        onExit,
        ...(parent === undefined ? {} : { parent }),
      })
    } catch (error) {
      void this.#worker.terminate()
      throw error
    }
    this.process = this.#process
    this.#listen()
    if (this.process.over !== null) return
    this.#load = setTimeout(() => this.#process.end(exitKilled(tooSlow(module, loadMs))), loadMs)
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

  /** Calls underway, those included that nobody waits for any more. */
  get calls(): number {
    return this.#calls.size + this.#lingering.size
  }

  /**
   * Calls the function, once the module is loaded. Any number of calls may be underway.
   * @throws LiminalError `PROCESS_GONE` if the thread is over; DataCloneError for what cannot be copied.
   */
  call(
    { request, context, inParts, resultWanted = true, recordsSteps = false }: ThreadRequest,
    observer: ThreadCallObserver,
  ): ThreadCall {
    const { over } = this.#process
    if (over !== null) throw new LiminalError('PROCESS_GONE', 'The thread is over.', { cause: over })
    this.#lastId++
    const id = this.#lastId
    this.#port.postMessage({ is: 'call', id, request, context, inParts, resultWanted, recordsSteps })
    if (this.#calls.size === 0) this.#worker.ref()
    this.#calls.set(id, observer)
    return {
      take: (count) => {
        if (this.#calls.has(id)) this.#port.postMessage({ is: 'taken', id, count })
      },
      abandon: (error) => this.#abandon(id, error),
    }
  }

  #listen(): void {
    this.#port.on('message', (message: FromThread) => this.#heard(message))
    // A message that cannot be read here may be anything: the answer to a call that would wait for ever.
    this.#port.on('messageerror', (error) => this.#process.end(exitError(error)))
    // Whether the program goes on is up to the worker's own handle.
    this.#port.unref()
    this.#worker.once('error', (error) => this.#process.end(exitError(error)))
    this.#worker.once('exit', (code) => {
      this.#process.end(exitError(new LiminalError('PROCESS_GONE', `The thread ended with code ${code}, by itself.`)))
      this.#terminated.resolve()
    })
  }

  #abandon(id: number, error: LiminalError): void {
    if (!this.#settle(id)) return
    this.#port.postMessage({ is: 'abandon', id, reason: error.message })
    // While it loads it may be busy for `loadMs`.
    if (this.#isLoaded)
      this.#overdue.set(
        id,
        setTimeout(() => this.#late(id, error), this.#graceMs),
      )
  }

  #late(id: number, error: LiminalError): void {
    // It may have reacted in time while this side was held up.
    this.#hearAll()
    if (!this.#overdue.has(id)) return
    const message = `The thread did not react within ${this.#graceMs} ms: it is stuck, and was ended. ${error.message}`
    this.#process.end(exitKilled(new LiminalError('TIMEOUT', message, { cause: error })))
  }

  #heard(message: FromThread): void {
    switch (message.is) {
      case 'ready':
        this.#loaded()
        break
      case 'unfit':
        this.#process.end(exitError(thrownInThread(message.error)))
        break
      case 'alive':
        this.#reacted(message.id, message.isUnderway)
        break
      case 'settled':
        clearTimeout(this.#lingering.get(message.id))
        if (this.#lingering.delete(message.id)) this.#onRoom?.()
        break
      case 'step':
        this.#stepped(message)
        break
      case 'part':
        this.#tell(this.#calls.get(message.id), (observer) => observer.part(message.value))
        break
      default:
        this.#finished(message)
    }
  }

  #stepped({ id, step, ...said }: ThreadStep & { readonly id: number; readonly step: number }): void {
    const answer = (answer: ThreadStepAnswer): void => {
      if (this.#process.over === null) this.#port.postMessage({ id, step, ...answer, is: 'step', does: answer.is })
    }
    const observer = this.#calls.get(id)
    if (observer === undefined) answer(NO_CALL)
    else this.#tell(observer, () => observer.step?.(said, answer))
  }

  /** Hears what has arrived and was not looked at. */
  #hearAll(): void {
    for (let got = receiveMessageOnPort(this.#port); got !== undefined; got = receiveMessageOnPort(this.#port)) {
      this.#heard(got.message)
    }
  }

  #loaded(): void {
    if (this.#process.over !== null) return
    this.#endLoad()
    this.#isLoaded = true
    this.#ready.resolve()
    if (this.#calls.size === 0) this.#worker.unref()
  }

  #reacted(id: number, isUnderway: boolean): void {
    clearTimeout(this.#overdue.get(id))
    const wasOverdue = this.#overdue.delete(id)
    if (isUnderway) {
      const hangs = setTimeout(() => this.#hang(id), this.#settleMs)
      hangs.unref()
      this.#lingering.set(id, hangs)
    }
    if (wasOverdue && this.#overdue.size === 0) this.#onRoom?.()
  }

  #hang(id: number): void {
    this.#hearAll()
    if (!this.#lingering.has(id)) return
    const message = `A call in the thread went on for ${this.#settleMs} ms after its signal was aborted: it hangs, and the thread was ended.`
    this.#process.end(exitKilled(new LiminalError('TIMEOUT', message)))
  }

  #finished(message: Exclude<FromThread, { is: 'ready' | 'unfit' | 'alive' | 'settled' | 'part' }>): void {
    const observer = this.#calls.get(message.id)
    if (!this.#settle(message.id)) return
    this.#tell(observer, (told) => {
      if (message.is === 'value') told.returned(message.value)
      else if (message.is === 'end') told.ended(message.value)
      else if (message.is === 'threw') told.threw(message.error)
      else told.inParts()
    })
  }

  #tell(observer: ThreadCallObserver | undefined, what: (observer: ThreadCallObserver) => void): void {
    if (observer === undefined) return
    try {
      what(observer)
    } catch (error) {
      sayStrayError(this.#process.pid, this.#process.name, error)
    }
  }

  #settle(id: number): boolean {
    if (!this.#calls.delete(id)) return false
    if (this.#calls.size === 0 && this.#isLoaded) this.#worker.unref()
    return true
  }

  #exited({ reason }: Exit): void {
    this.#endLoad()
    // What it sent before is heard before: a call that was answered is not lost.
    this.#hearAll()
    this.#port.close()
    this.#ready.reject(reason.cause ?? new LiminalError('PROCESS_GONE', 'The thread was ended.'))
    for (const timer of this.#overdue.values()) clearTimeout(timer)
    this.#overdue.clear()
    for (const timer of this.#lingering.values()) clearTimeout(timer)
    this.#lingering.clear()
    const observers = this.#calls.values()
    this.#calls.clear()
    void this.#worker.terminate()
    for (const observer of observers) this.#tell(observer, (told) => told.lost(reason))
  }

  #endLoad(): void {
    if (this.#load !== null) clearTimeout(this.#load)
    this.#load = null
  }
}

/** @throws LiminalError `INVALID_ARGUMENT`. The process system checks what is the process's. */
function checkThreadOptions(options: ThreadOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, KNOWN)
  if (!(options.module instanceof URL)) throw invalidArgument('module', 'a URL', options.module)
  checkInteger('memoryMb', options.memoryMb, 1)
  checkInteger('window', options.window, 1)
  checkOneOf('answers', options.answers, ['copies', 'json'])
  for (const name of ['loadMs', 'graceMs', 'settleMs'] as const) {
    checkInteger(name, options[name], 1)
    if ((options[name] ?? 1) > MAX_TIMEOUT_MS) throw invalidArgument(name, `at most ${MAX_TIMEOUT_MS}`, options[name])
  }
}

function tooSlow(module: URL, loadMs: number): LiminalError {
  return new LiminalError('TIMEOUT', `The thread did not load ${module.pathname} within ${loadMs} ms.`)
}
