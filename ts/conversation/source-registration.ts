import { type Few, itemsOf, withItem, withoutItem } from '../few.ts'
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
}

/** What the registry does for its registrations. */
export interface RegistrationKeeper {
  /** No new conversation goes to it. Called once. */
  withdrawn(registration: SourceRegistration): void
}

/** A source, its process, and its participants. */
export class SourceRegistration implements Registration {
  readonly subject: string
  readonly source: ParticipantSource
  readonly process: Process
  readonly #processes: ProcessSystem
  readonly #keeper: RegistrationKeeper
  readonly #isOwn: boolean
  #seats: Few<Seat> = null
  #registered = true

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
      this.process = processes.spawnPassive({ name: 'responder', onExit, ...(parent === undefined ? {} : { parent }) })
    } else {
      this.process = process
      processes.monitor(process, (exit) => this.#gone(exit))
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

  /** Tells of its exit, once, at once if it is over. */
  watch(observer: ExitObserver): Monitor {
    return this.#processes.monitor(this.process, observer)
  }

  /** See Seat. */
  seated(seat: Seat): void {
    this.#seats = withItem(this.#seats, seat)
  }

  /** See Seat. */
  released(seat: Seat): void {
    if (this.#seats === null) return
    this.#seats = withoutItem(this.#seats, seat)
    if (!this.#registered) this.#endIfIdle()
  }

  #endIfIdle(): void {
    if (this.#isOwn && this.#seats === null) this.process.exit(exitNormal())
  }

  #gone({ reason }: Exit): void {
    const seats = itemsOf(this.#seats)
    this.#seats = null
    this.withdraw()
    for (const seat of seats) seat.lost(reason)
  }
}
