import { pathToFileURL } from 'node:url'
import { checkInteger, checkKnownOptions, checkName, checkOptions, invalidArgument } from '../arguments.ts'
import { Deferred } from '../deferred.ts'
import { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { type Exit, isExit, type Process, type RestartBackoff, Supervisor, Thread } from '../process/index.ts'
import { asLiminalError, asSentence, textOf } from '../thrown.ts'
import { MAX_TIMEOUT_MS, settledWithin } from '../waiting.ts'
import type { ConversationRegistry } from './conversation-registry.ts'
import type { Registration } from './source-registration.ts'
import { ThreadSource } from './thread-source.ts'

/** How a behaviour is run in worker threads. */
export interface IsolationOptions {
  /** Threads, each of which answers by itself. Default: 1. */
  readonly threads?: number | undefined
  /** Messages that one thread is at, at a time; a thread that dies takes all of them along. Default: 1. */
  readonly concurrency?: number | undefined
  /** Mebibytes of heap of each thread; past it the thread ends and is replaced. Default: 64. */
  readonly memoryMb?: number | undefined
  /** Milliseconds that a thread may take to start and load the module. Default: 10,000. */
  readonly loadMs?: number | undefined
  /** Milliseconds in which a thread has to react when nobody waits for it any more, or it is killed. Default: 100. */
  readonly graceMs?: number | undefined
  /** Milliseconds that a behaviour has to come to its end after its signal was aborted; its thread is killed if it goes on. Default: 1,000. */
  readonly settleMs?: number | undefined
  /** Lost threads within `restartWindowMs` that are replaced; one more ends the responder with `RESTARTS_EXCEEDED`. Default: 10. */
  readonly maxRestarts?: number | undefined
  /** Milliseconds for which a lost thread counts. Default: 10,000. */
  readonly restartWindowMs?: number | undefined
  /** Waits before a lost thread is replaced. Default: none. */
  readonly restartBackoff?: RestartBackoff | undefined
  /** Milliseconds that closing waits for what is underway; what is still there then crashes with its thread. Default: 5,000. */
  readonly closeGraceMs?: number | undefined
}

const KNOWN = Object.keys({
  threads: true,
  concurrency: true,
  memoryMb: true,
  loadMs: true,
  graceMs: true,
  settleMs: true,
  maxRestarts: true,
  restartWindowMs: true,
  restartBackoff: true,
  closeGraceMs: true,
} satisfies Record<keyof IsolationOptions, true>)
const MOST_THREADS = 256
const CLOSE_GRACE_MS = 5_000

/** What an isolated responder is told of. */
export interface IsolatedOwner {
  /** It is over: too many threads were lost, or its supervisor was ended from outside. Not called after {@link IsolatedResponder.close}. */
  ended(error: LiminalError): void
}

/** @throws LiminalError `INVALID_ARGUMENT`. */
export function checkIsolation(options: IsolationOptions): void {
  checkOptions('isolated', options)
  checkKnownOptions('isolated', options, KNOWN)
  checkInteger('isolated.threads', options.threads, 1)
  if ((options.threads ?? 1) > MOST_THREADS)
    throw invalidArgument('isolated.threads', `at most ${MOST_THREADS}`, options.threads)
  checkInteger('isolated.concurrency', options.concurrency, 1)
  checkInteger('isolated.memoryMb', options.memoryMb, 1)
  checkInteger('isolated.maxRestarts', options.maxRestarts, 0)
  for (const name of ['loadMs', 'graceMs', 'settleMs', 'restartWindowMs', 'closeGraceMs'] as const) {
    checkInteger(`isolated.${name}`, options[name], name === 'closeGraceMs' ? 0 : 1)
    if ((options[name] ?? 1) > MAX_TIMEOUT_MS)
      throw invalidArgument(`isolated.${name}`, `at most ${MAX_TIMEOUT_MS}`, options[name])
  }
}

/** The module of an isolated behaviour. @throws LiminalError `INVALID_ARGUMENT` unless it is a file. */
export function moduleUrl(module: URL | string): URL {
  if (typeof module !== 'string' && !(module instanceof URL)) throw invalidArgument('module', 'a URL or a path', module)
  const url = typeof module === 'string' && !module.startsWith('file:') ? pathToFileURL(module) : new URL(module)
  if (url.protocol !== 'file:') throw invalidArgument('module', 'a file', url.href)
  return url
}

/**
 * A behaviour in worker threads: one source, whose process is the supervisor of the threads. A thread that is lost takes along what it was at, as any participant that
 * crashes, and is replaced; what it had not begun waits for another one.
 */
export class IsolatedResponder {
  readonly #registry: ConversationRegistry
  readonly #subject: string
  readonly #module: URL
  readonly #options: IsolationOptions
  readonly #owner: IsolatedOwner
  readonly #supervisor: Supervisor
  readonly #ready = new Deferred<void>()
  readonly #source: ThreadSource
  readonly #registration: Registration
  readonly #threads = new Set<Thread>()
  #isClosing = false

  /** Starts the threads. @throws LiminalError `INVALID_ARGUMENT`. */
  constructor(
    registry: ConversationRegistry,
    subject: string,
    module: URL,
    payload: PayloadKind,
    options: IsolationOptions,
    owner: IsolatedOwner,
  ) {
    checkName('subject', subject)
    this.#registry = registry
    this.#subject = subject
    this.#module = module
    this.#options = options
    this.#owner = owner
    const { threads = 1, concurrency = 1, maxRestarts = 10, restartWindowMs = 10_000, restartBackoff } = options
    this.#source = new ThreadSource(threads, concurrency, payload)
    this.#supervisor = new Supervisor(registry.processes, {
      name: 'isolated',
      about: subject,
      children: Array.from({ length: threads }, (_, index) => ({
        id: `thread-${index + 1}`,
        start: (parent: Process) => this.#start(parent),
        shutdownMs: 0,
      })),
      maxRestarts,
      periodMs: restartWindowMs,
      ...(restartBackoff === undefined ? {} : { backoff: restartBackoff }),
    })
    this.#registration = registry.register(subject, this.#source, { process: this.#supervisor.process })
    registry.processes.monitor(this.#supervisor.process, (exit) => this.#over(exit))
  }

  /** The supervisor of its threads. */
  get process(): Process {
    return this.#supervisor.process
  }

  /** Resolves once the first thread answers. Rejects if none ever will. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Gets no new conversations from now on. Ends the threads once those that it has are over, at the latest after the grace. @param graceMs Default: `closeGraceMs`. */
  async close(graceMs: number = this.#options.closeGraceMs ?? CLOSE_GRACE_MS): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#ready.reject(new LiminalError('CLOSED', `The responder of '${this.#subject}' was closed.`))
    this.#registration.withdraw()
    // Whoever is still at it then hears of it by the end of the threads.
    await settledWithin(this.#registration.idle(), graceMs)
    const terminated = [...this.#threads].map((thread) => thread.terminated)
    await this.#supervisor.stop()
    await Promise.all(terminated)
  }

  #start(parent: Process): Process {
    const { memoryMb, loadMs, graceMs, settleMs } = this.#options
    const thread = new Thread(this.#registry.processes, {
      module: this.#module,
      parent,
      answers: this.#source.payload === 'json' ? 'json' : 'copies',
      onRoom: () => this.#source.advance(),
      ...(memoryMb === undefined ? {} : { memoryMb }),
      ...(loadMs === undefined ? {} : { loadMs }),
      ...(graceMs === undefined ? {} : { graceMs }),
      ...(settleMs === undefined ? {} : { settleMs }),
    })
    this.#threads.add(thread)
    void thread.terminated.then(() => this.#threads.delete(thread))
    this.#registry.processes.monitor(thread.process, () => this.#source.remove(thread))
    thread.ready.then(
      () => {
        if (thread.process.over === null) this.#source.add(thread)
        this.#ready.resolve()
      },
      // Its exit tells the supervisor, which says why in the end.
      () => {},
    )
    return thread.process
  }

  #over({ reason }: Exit): void {
    if (this.#isClosing) return
    this.#isClosing = true
    const error = this.#overError(reason.cause)
    this.#ready.reject(error)
    this.#owner.ended(error)
  }

  /** Names the module, and what its threads were lost by: that is where there is something to mend. */
  #overError(cause: unknown): LiminalError {
    const known = asLiminalError(cause)
    if (known?.code !== 'RESTARTS_EXCEEDED') {
      const text = `The threads of the responder of '${this.#subject}' were ended.`
      return known ?? new LiminalError('PROCESS_GONE', text, { cause })
    }
    const root = rootOf(known.cause)
    const why = root === undefined ? 'a thread ended by itself.' : asSentence(textOf(root))
    const text = `The responder of '${this.#subject}' lost its threads too often. The module ${this.#module.href}: ${why} Mend the module, or raise maxRestarts.`
    return new LiminalError('RESTARTS_EXCEEDED', text, { cause: root ?? known })
  }
}

/** What an exit came of in the end: the error of the thread. */
function rootOf(cause: unknown): unknown {
  return isExit(cause) ? cause.reason.cause : cause
}
