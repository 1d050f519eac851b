import { Deferred } from '../deferred.ts'
import {
  type Exit,
  type ExitObserver,
  type ExitReason,
  exitNormal,
  type Monitor,
  type Process,
  type ProcessSystem,
} from '../process/index.ts'
import type { ParticipantSource } from './participant.ts'
import type { Seat } from './seat.ts'

/** How a source is registered. */
export interface RegisterOptions {
  /** The process that the source lives and dies with. Default: one of its own. */
  readonly process?: Process | undefined
  /** Whose child its own process is. Default: nobody's. */
  readonly parent?: Process | undefined
}

/** A source's claim to a subject. */
export interface Registration {
  /** Its exit is the exit of every participant of the source. */
  readonly process: Process
  /** No new conversation goes to the source; running ones go on. Idempotent. */
  withdraw(): void
  /** Ends the process, if it is the registration's own: a crash leaves what is underway to the crash policy of each conversation. */
  exit(reason: ExitReason): void
  /** Resolves once nothing is underway with the source, or it is over. */
  idle(): Promise<void>
  /** Changes how many dispatched messages may be in flight to the source. */
  resize(capacity: number): void
}

/** What the registry does for its registrations. */
export interface RegistrationKeeper {
  /** No new conversation goes to it. Called once. */
  withdrawn(registration: SourceRegistration): void
  resized(registration: SourceRegistration, capacity: number): void
}

/** A source, its process, and its participants. */
export class SourceRegistration implements Registration {
  readonly subject: string
  readonly source: ParticipantSource
  readonly process: Process
  /** Unique in the bus: the pid of its own process, or one that no process has. */
  readonly number: number
  readonly #processes: ProcessSystem
  readonly #keeper: RegistrationKeeper
  readonly #isOwn: boolean
  /** The seats, linked: they come and go 100,000 times a second. */
  #first: Seat | null = null
  #registered = true
  #idle: Deferred<void> | null = null
  /** Of a process that is not its own. */
  readonly #monitor: Monitor | null

  constructor(
    processes: ProcessSystem,
    subject: string,
    source: ParticipantSource,
    keeper: RegistrationKeeper,
    options: RegisterOptions,
  ) {
    this.#processes = processes
    this.subject = subject
    this.source = source
    this.#keeper = keeper
    const { process, parent } = options
    this.#isOwn = process === undefined
    if (process === undefined) {
      const onExit = (exit: Exit): void => this.#gone(exit)
      const about = (): string => (source.id === undefined ? subject : `${source.id} of ${subject}`)
      this.process = processes.spawnPassive({
        name: 'responder',
        about,
        onExit,
        ...(parent === undefined ? {} : { parent }),
      })
      this.number = this.process.pid
      this.#monitor = null
    } else {
      this.process = process
      this.number = processes.reservePid()
      this.#monitor = processes.monitor(process, (exit) => this.#gone(exit))
    }
  }

  /** Whether it is over, and its participants with it. */
  get isOver(): boolean {
    return this.process.over !== null
  }

  withdraw(): void {
    if (!this.#registered) return
    this.#registered = false
    this.#keeper.withdrawn(this)
    this.#endIfIdle()
  }

  exit(reason: ExitReason): void {
    if (this.#isOwn) this.process.exit(reason)
  }

  idle(): Promise<void> {
    this.#idle ??= new Deferred()
    if (this.#first === null) this.#idle.resolve()
    return this.#idle.promise
  }

  resize(capacity: number): void {
    if (this.#registered) this.#keeper.resized(this, capacity)
  }

  /** Tells of its exit, once, at once if it is over. */
  watch(observer: ExitObserver): Monitor {
    return this.#processes.monitor(this.process, observer)
  }

  /** See Seat. */
  seated(seat: Seat): void {
    const second = this.#first
    seat.after = second
    if (second !== null) second.before = seat
    this.#first = seat
  }

  /** See Seat. Called once for each. */
  released(seat: Seat): void {
    const { before, after } = seat
    if (before !== null) before.after = after
    else if (this.#first === seat) this.#first = after
    if (after !== null) after.before = before
    seat.before = null
    seat.after = null
    if (this.#first !== null) return
    this.#idle?.resolve()
    if (!this.#registered) this.#endIfIdle()
  }

  #endIfIdle(): void {
    if (this.#first !== null) return
    // A process that is somebody else's goes on, and has nothing to tell here any more.
    if (this.#isOwn) this.process.exit(exitNormal())
    else this.#monitor?.cancel()
  }

  #gone({ reason }: Exit): void {
    // Those who came first are told first.
    const seats: Seat[] = []
    for (let seat = this.#first; seat !== null; seat = seat.after) seats.push(seat)
    this.withdraw()
    this.#idle?.resolve()
    for (const seat of seats.reverse()) seat.lost(reason)
  }
}
