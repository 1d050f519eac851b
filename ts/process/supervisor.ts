import { checkInteger, checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { Child, type ChildInfo, type ChildSpec } from './child.ts'
import { sayRestart } from './diagnostics.ts'
import { checkReason, type Exit, type ExitReason, exitError, exitKilled, exitNormal, type Pid } from './exit.ts'
import type { About, PassiveProcess, Process } from './process.ts'
import type { TrappedExit } from './received.ts'
import { ProcessRecord, titleOf } from './record.ts'
import { checkBackoff, type RestartBackoff, restartDelay } from './restart-backoff.ts'
import { RestartIntensity } from './restart-intensity.ts'
import type { ProcessSystem } from './system.ts'

/** How a {@link Supervisor} works. */
export interface SupervisorOptions {
  /** Name of its process. Default: `'supervisor'`. */
  readonly name?: string
  /** What it stands for, see `SpawnOptions.about`. */
  readonly about?: About
  /** Parent of its process, and linked with it: a crash of the parent ends the supervisor in good order. Default: none. */
  readonly parent?: Process
  /** The first children, started in this order. Default: none. */
  readonly children?: readonly ChildSpec[]
  /** Restarts of all children together that `periodMs` may see; with one more the supervisor gives up. 0: the first gives up. Default: 3. */
  readonly maxRestarts?: number
  /** Milliseconds of the sliding window of `maxRestarts`; also how long a child has to live until its next failure counts as its first. Default: 5,000. */
  readonly periodMs?: number
  /** Waits before each restart. Default: none, a child is back in the turn of its exit. */
  readonly backoff?: RestartBackoff
}

const OPTIONS = ['name', 'about', 'parent', 'children', 'maxRestarts', 'periodMs', 'backoff']
const MAX_RESTARTS = 3
const PERIOD_MS = 5_000

/**
 * A process that starts others and starts those anew that end when they should not, each on its own (one for one). If that happens too often it ends its children in
 * reverse order and exits with an `error` whose cause is `RESTARTS_EXCEEDED`: its own supervisor, or whoever watches it, has to know better.
 *
 * ```ts
 * const supervisor = new Supervisor(processes, {
 *   children: [{ id: 'mailer', start: (parent) => processes.spawn(mailer, { name: 'mailer', parent }) }],
 *   backoff: { baseMs: 100, maxMs: 10_000 },
 * })
 * supervisor.start({ id: 'job-1', restart: 'temporary', start: (parent) => processes.spawn(job, { parent }) })
 * await supervisor.stop()
 * ```
 */
export class Supervisor implements AsyncDisposable {
  readonly #process: PassiveProcess
  readonly #children = new Map<string, Child>()
  readonly #byPid = new Map<Pid, Child>()
  readonly #intensity: RestartIntensity
  readonly #periodMs: number
  readonly #backoff: RestartBackoff | undefined
  #isStopping = false

  /** @throws LiminalError `INVALID_ARGUMENT`, or whatever the start of a first child throws: those before it are killed, and the supervisor is over. */
  constructor(processes: ProcessSystem, options: SupervisorOptions = {}) {
    checkOptions('options', options)
    checkKnownOptions('options', options, OPTIONS)
    checkInteger('maxRestarts', options.maxRestarts, 0)
    checkInteger('periodMs', options.periodMs, 1)
    checkBackoff(options.backoff)
    const { name = 'supervisor', parent, children = [], maxRestarts = MAX_RESTARTS, periodMs = PERIOD_MS } = options
    if (!Array.isArray(children)) throw invalidArgument('children', 'an array', children)
    this.#periodMs = periodMs
    this.#backoff = options.backoff
    this.#intensity = new RestartIntensity(maxRestarts, periodMs)
    const family = parent === undefined ? {} : { parent, link: true }
    this.#process = processes.spawnPassive({
      name,
      ...(options.about === undefined ? {} : { about: options.about }),
      ...family,
      onTrapped: (trapped) => this.#trapped(trapped),
      onExit: () => this.#killChildren(),
    })
    try {
      for (const spec of children) this.start(spec)
    } catch (error) {
      this.#process.end(exitError(error))
      throw error
    }
  }

  /** The process that it is: to link with, to watch, to be the child of another supervisor. */
  get process(): Process {
    return this.#process
  }

  /**
   * Starts a child.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, also if there is a child of that id; `SHUTTING_DOWN` if the supervisor stops or is over.
   * @throws whatever its `start` throws. The child is none then.
   */
  start(spec: ChildSpec): Process {
    const child = new Child(spec)
    if (this.#isDone()) throw stoppedError(child)
    if (this.#children.has(child.id)) throw invalidArgument('id', 'not the id of another child', child.id)
    this.#children.set(child.id, child)
    try {
      return this.#launch(child)
    } catch (error) {
      this.#forget(child)
      throw error
    }
  }

  /**
   * Asks a child to end, kills it at its deadline, and forgets it. @returns once it is over, whether there was such a child.
   */
  async stopChild(id: string): Promise<boolean> {
    const child = this.#children.get(id)
    if (child === undefined) return false
    await this.#end(child)
    return true
  }

  /** Its children in the order in which they were started first. */
  children(): ChildInfo[] {
    return Array.from(this.#children.values(), (child) => child.info)
  }

  /**
   * Ends the children, the youngest first, each after the one before is over, then the supervisor. The deadlines of the children bound how long that takes. Starts and
   * restarts nothing from now on. Later calls change nothing. @param reason of its exit. Default: normal. @returns the exit.
   */
  stop(reason: ExitReason = exitNormal()): Promise<Exit> {
    checkReason(reason)
    if (!this.#isDone()) {
      this.#isStopping = true
      this.#process.run(() => this.#stopChildren().then(() => this.#process.end(reason)))
    }
    return this.#process.exited
  }

  /** Stops it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #isDone(): boolean {
    return this.#isStopping || this.#process.over !== null
  }

  #trapped(trapped: TrappedExit): void {
    if (trapped.is === 'exit-request') {
      this.stop(trapped.reason)
      return
    }
    const { exit } = trapped
    const child = this.#byPid.get(exit.pid)
    if (child !== undefined) this.#childExited(child, exit)
    else if (exit.reason.is !== 'normal') this.stop(exit.reason)
  }

  #childExited(child: Child, exit: Exit): void {
    this.#byPid.delete(exit.pid)
    child.process = null
    child.lastExit = exit
    // Whoever stops it waits for this exit, and forgets it.
    if (child.status === 'stopping') return
    if (this.#isDone() || !child.returnsAfter(exit)) {
      this.#forget(child)
      return
    }
    if (exit.at - child.startedAt >= this.#periodMs) child.attempts = 0
    this.#restart(child, exit)
  }

  /** @param failure the exit of its process, or what its start threw. */
  #restart(child: Child, failure: unknown): void {
    for (let cause = failure; ; ) {
      child.status = 'waiting'
      if (!this.#intensity.allows(performance.now())) {
        this.#giveUp(child, cause)
        return
      }
      child.attempts++
      const delay = this.#backoff === undefined ? 0 : restartDelay(this.#backoff, child.attempts)
      if (delay > 0) {
        child.timer = setTimeout(() => this.#restartNow(child), delay)
        child.timer.unref()
        return
      }
      try {
        this.#relaunch(child)
        return
      } catch (error) {
        if (this.#children.get(child.id) !== child) return
        child.lastExit = null
        cause = error
      }
    }
  }

  #restartNow(child: Child): void {
    try {
      this.#relaunch(child)
    } catch (error) {
      if (this.#children.get(child.id) !== child) return
      child.lastExit = null
      this.#restart(child, error)
    }
  }

  #relaunch(child: Child): void {
    const exit = child.lastExit
    child.restarts++
    child.status = 'starting'
    const { pid } = this.#launch(child)
    sayRestart({ supervisor: this.#process.pid, child: child.id, pid, exit })
  }

  #launch(child: Child): Process {
    child.startedAt = performance.now()
    const process = child.start(this.#process)
    if (!(process instanceof ProcessRecord) || process.pid === this.#process.pid || this.#byPid.has(process.pid)) {
      throw invalidArgument('What start returns', 'a process of this system that is nobody else', process)
    }
    // The start may have stopped the child, or everything.
    if (this.#isDone() || this.#children.get(child.id) !== child) {
      process.exit(exitKilled(stoppedError(child)))
      throw stoppedError(child)
    }
    this.#process.link(process)
    this.#byPid.set(process.pid, child)
    child.process = process
    child.status = 'running'
    return process
  }

  #giveUp(child: Child, cause: unknown): void {
    const message = `${titleOf(this.#process)} gave up: restarting its child '${child.id}' would exceed its limit of restarts. Look at the cause, or raise maxRestarts.`
    this.stop(exitError(new LiminalError('RESTARTS_EXCEEDED', message, { cause })))
  }

  async #stopChildren(): Promise<void> {
    for (const child of [...this.#children.values()].reverse()) await this.#end(child)
  }

  #end(child: Child): Promise<void> {
    if (child.stopped !== null) return child.stopped
    const { process } = child
    clearTimeout(child.timer)
    if (process === null) {
      this.#forget(child)
      return Promise.resolve()
    }
    child.status = 'stopping'
    child.stopped = process.exited.then(() => {
      clearTimeout(child.timer)
      this.#forget(child)
    })
    if (child.shutdownMs === 0) process.exit(exitKilled())
    else this.#process.requestExit(process)
    if (process.over === null && child.shutdownMs !== null) {
      const message = `Child '${child.id}' did not end within ${child.shutdownMs} ms of being asked to.`
      child.timer = setTimeout(() => process.exit(exitKilled(new LiminalError('TIMEOUT', message))), child.shutdownMs)
    }
    return child.stopped
  }

  /** The supervisor is over: whatever is left goes with it. */
  #killChildren(): void {
    for (const child of [...this.#children.values()].reverse()) {
      clearTimeout(child.timer)
      this.#forget(child)
      child.process?.exit(exitKilled(stoppedError(child)))
    }
  }

  #forget(child: Child): void {
    if (child.process !== null) this.#byPid.delete(child.process.pid)
    if (this.#children.get(child.id) === child) this.#children.delete(child.id)
  }
}

function stoppedError(child: Child): LiminalError {
  return new LiminalError('SHUTTING_DOWN', `Child '${child.id}' is stopped, or its supervisor is; it does not live on.`)
}
