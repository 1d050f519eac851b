import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkKnownOptions,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { BodyRecord } from './body.ts'
import { checkReason, type Exit, type ExitReason, exitKilled, exitNormal, type Pid } from './exit.ts'
import { Kernel } from './kernel.ts'
import { PassiveRecord } from './passive.ts'
import type { Population } from './population.ts'
import type {
  Body,
  BodyProcess,
  ExitObserver,
  PassiveOptions,
  PassiveProcess,
  Process,
  ProcessInfo,
  ProcessRef,
  SpawnOptions,
} from './process.ts'
import type { Monitor } from './received.ts'
import { goneError, ProcessRecord, titleOf } from './record.ts'
import { checkObserver, recordOf } from './references.ts'
import { BodySelf } from './self.ts'

/** Limits of a {@link ProcessSystem}. */
export interface ProcessSystemOptions {
  /** Processes that may live at once; the next spawn fails with `LIMIT_EXCEEDED`. Default: 1,000,000. */
  readonly maxProcesses?: number
  /**
   * Exits remembered for late links and monitors that only have a pid: the last so many at least, twice as many at most. Each keeps the cause of its reason in
   * memory. Default: 8,192.
   */
  readonly recordedExits?: number
}

const MAX_PROCESSES = 1_000_000
const RECORDED_EXITS = 8_192
const MAILBOX = 1_024
const MAX_NAME_LENGTH = 255
const BODY_OPTIONS = ['name', 'about', 'parent', 'link', 'trapExits', 'mailbox']
const PASSIVE_OPTIONS = ['name', 'about', 'parent', 'link', 'onTrapped', 'onExit']

/**
 * Processes that live and die on their own, and know of each other's end at once (design §7, spec runtime-and-store B1 to B3).
 *
 * - An exit goes through all links in the turn in which it happens, and is seen exactly once by each who is linked or watches, after every message that the
 *   process sent before. Whoever comes late gets the recorded exit.
 * - What a body throws ends its process and nothing else.
 * - A normal exit is not a crash: links live on. `killed` cannot be trapped by the one that it is for.
 *
 * ```ts
 * const processes = new ProcessSystem()
 * const worker = processes.spawn<Job>(async (self) => {
 *   for await (const received of self) if (received.is === 'message') await work(received.message, self.signal)
 * }, { name: 'worker' })
 * processes.monitor(worker, (exit) => console.log(`worker is gone: ${exit.reason.is}`))
 * worker.send(job)
 * ```
 */
export class ProcessSystem implements Disposable {
  readonly #kernel: Kernel
  readonly #maxProcesses: number
  #isClosed = false

  constructor(options: ProcessSystemOptions = {}) {
    checkOptions('options', options)
    checkKnownOptions('options', options, ['maxProcesses', 'recordedExits'])
    checkInteger('maxProcesses', options.maxProcesses, 1)
    checkInteger('recordedExits', options.recordedExits, 0)
    this.#maxProcesses = options.maxProcesses ?? MAX_PROCESSES
    this.#kernel = new Kernel(options.recordedExits ?? RECORDED_EXITS)
  }

  /** How many processes live. */
  get size(): number {
    let size = this.#kernel.living.size
    for (const population of this.#kernel.populations) size += population.size
    return size
  }

  /**
   * Starts a process with a body. The body begins later in this turn, so that the caller can link with the process before its first step.
   *
   * @throws LiminalError `INVALID_ARGUMENT`; `LIMIT_EXCEEDED`: as many processes live as may; `CLOSED`: the system is closed.
   */
  spawn<M = never>(body: Body<M>, options: SpawnOptions = {}): BodyProcess<M> {
    checkFunction('body', body)
    checkOptions('options', options)
    checkKnownOptions('options', options, BODY_OPTIONS)
    checkBoolean('trapExits', options.trapExits)
    checkInteger('mailbox', options.mailbox, 1)
    const { name = null, trapExits = false, mailbox = MAILBOX } = options
    this.#checkSpawn(options)
    const record = new BodyRecord<M>(this.#kernel, name, this.#parentOf(options), trapExits, mailbox)
    record.about = options.about ?? null
    this.#admit(record, options)
    record.start(body, new BodySelf(this, record))
    return record
  }

  /**
   * Makes a process without a body: a session, a channel, a conversation, that lives until something ends it and costs a few hundred bytes.
   *
   * ```ts
   * const session = processes.spawnPassive({ name: 'session', onExit: () => socket.destroy() })
   * socket.on('close', () => session.end(exitNoConnection(new Error('the socket was closed'))))
   * ```
   *
   * @throws LiminalError `INVALID_ARGUMENT`; `LIMIT_EXCEEDED`: as many processes live as may; `CLOSED`: the system is closed.
   */
  spawnPassive(options: PassiveOptions = {}): PassiveProcess {
    checkOptions('options', options)
    checkKnownOptions('options', options, PASSIVE_OPTIONS)
    const { name = null, onTrapped = null, onExit = null } = options
    if (onTrapped !== null) checkFunction('onTrapped', onTrapped)
    if (onExit !== null) checkFunction('onExit', onExit)
    this.#checkSpawn(options)
    const record = new PassiveRecord(this.#kernel, name, this.#parentOf(options), onTrapped, onExit)
    record.about = options.about ?? null
    this.#admit(record, options)
    return record
  }

  /** A pid for a member of a {@link Population}. */
  reservePid(): Pid {
    return this.#kernel.nextPid()
  }

  /** Adds processes that become known when somebody names them. */
  populate(population: Population): void {
    this.#kernel.populations.push(population)
  }

  /**
   * Makes a member of a population known, under the pid that was reserved for it.
   * @param about what it stands for. @param startedAt when it was born, in milliseconds of `performance.now()`.
   */
  adopt(pid: Pid, name: string, about: string, startedAt: number, onExit: (exit: Exit) => unknown): PassiveProcess {
    const record = new PassiveRecord(this.#kernel, name, null, null, onExit, pid, startedAt)
    record.about = about
    this.#kernel.add(record)
    return record
  }

  /** Sends a message, see {@link BodyProcess.send}. @throws LiminalError `NOT_SUPPORTED` if the process has no mailbox. */
  send<M>(target: BodyProcess<M> | Pid, message: M): void {
    const found = this.#kernel.find(recordOf(this.#kernel, target))
    if (!(found instanceof ProcessRecord)) throw goneError(found, 'the message was not delivered')
    if (!(found instanceof BodyRecord)) {
      throw new LiminalError(
        'NOT_SUPPORTED',
        `${titleOf(found)} is passive and has no mailbox. Call what it stands for.`,
      )
    }
    found.send(message)
  }

  /** Links two processes both ways, see `Self.link`. If one is over, the other gets its recorded exit. */
  link(one: ProcessRef, other: ProcessRef): void {
    this.#kernel.link(recordOf(this.#kernel, one), recordOf(this.#kernel, other))
  }

  /** Takes a link away: no exit goes through it from now on. Idempotent. */
  unlink(one: ProcessRef, other: ProcessRef): void {
    this.#kernel.unlink(recordOf(this.#kernel, one), recordOf(this.#kernel, other))
  }

  /**
   * Watches a process: `observer` is called once with its exit, in the turn of the exit, and never before this returns. A process that is over is told from its
   * record; one that nobody remembers, or that never was, with an `error` whose cause is a `PROCESS_GONE`.
   *
   * What the observer throws is nobody's exit and said on {@link PROCESS_STRAY_ERROR}.
   */
  monitor(target: ProcessRef, observer: ExitObserver): Monitor {
    checkObserver(observer)
    return this.#kernel.monitor(recordOf(this.#kernel, target), null, observer)
  }

  /** Asks a process to end, see {@link Process.exit}. Without effect if it is over. @param reason Default: normal. */
  exit(target: ProcessRef, reason: ExitReason = exitNormal()): void {
    checkReason(reason)
    this.#kernel.request(recordOf(this.#kernel, target), reason, null)
  }

  /** The living process of that pid. */
  get(pid: Pid): Process | undefined {
    const found = this.#kernel.find(recordOf(this.#kernel, pid))
    return found instanceof ProcessRecord ? found : undefined
  }

  /** The exit of a process, `null` if it lives, never was or is not remembered. */
  exitOf(target: ProcessRef): Exit | null {
    const ref = recordOf(this.#kernel, target)
    return ref instanceof ProcessRecord ? ref.over : (this.#kernel.recorded.get(ref) ?? null)
  }

  /** What lives now, in spawn order. Reads every process: for people and for diagnostics, not for a hot path. */
  list(): ProcessInfo[] {
    this.#nameAll()
    return Array.from(this.#kernel.living.values(), (record) => record.info)
  }

  /** What there is to say about one living process. */
  info(target: ProcessRef): ProcessInfo | null {
    const found = this.#kernel.find(recordOf(this.#kernel, target))
    return found instanceof ProcessRecord ? found.info : null
  }

  /** Kills all processes, the youngest first, and spawns no more. For an end in good order stop the supervisors before. Idempotent. */
  close(): void {
    this.#isClosed = true
    this.#nameAll()
    for (const record of [...this.#kernel.living.values()].reverse()) {
      this.#kernel.end(record, exitKilled(new LiminalError('CLOSED', 'The process system was closed.')))
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #nameAll(): void {
    for (const population of this.#kernel.populations) {
      for (const pid of [...population.pids()]) population.name(pid)
    }
  }

  #checkSpawn(options: SpawnOptions | PassiveOptions): void {
    const { name, about, parent, link } = options
    if (this.#isClosed) throw new LiminalError('CLOSED', 'The process system is closed; it spawns nothing more.')
    if (this.#kernel.living.size >= this.#maxProcesses) {
      const message = `${this.#maxProcesses} processes live already. End some, or raise maxProcesses.`
      throw new LiminalError('LIMIT_EXCEEDED', message)
    }
    if (name !== undefined && !(typeof name === 'string' && name.length > 0 && name.length <= MAX_NAME_LENGTH)) {
      throw invalidArgument('name', `a string of 1 to ${MAX_NAME_LENGTH} characters`, name)
    }
    if (about !== undefined && typeof about !== 'string' && typeof about !== 'function') {
      throw invalidArgument('about', 'a string, or a function that returns one', about)
    }
    checkBoolean('link', link)
    if (link && parent === undefined) throw invalidArgument('parent', 'given if link is true', parent)
  }

  #parentOf(options: SpawnOptions | PassiveOptions): ProcessRecord | null {
    if (options.parent === undefined) return null
    const found = this.#kernel.find(recordOf(this.#kernel, options.parent))
    return found instanceof ProcessRecord ? found : null
  }

  #admit(record: ProcessRecord, options: SpawnOptions | PassiveOptions): void {
    this.#kernel.add(record)
    if (options.link && options.parent !== undefined) {
      this.#kernel.link(record, recordOf(this.#kernel, options.parent))
    }
  }
}
