import type { WaitLimits } from '../waiting.ts'
import type { Exit, ExitReason, Pid } from './exit.ts'
import type { Monitor, Received, TrappedExit } from './received.ts'

/** A process or its pid. A handle knows its exit for ever; a pid only as long as the exit is remembered (`ProcessSystemOptions.recordedExits`). */
export type ProcessRef = Process | Pid

/** A process as everybody sees it. */
export interface Process {
  readonly pid: Pid
  /** What it is called in listings and errors, `null` if nothing. Names need not be unique. */
  readonly name: string | null
  /** Its exit, `null` as long as it lives. */
  readonly over: Exit | null
  /** Resolves with its exit. Never rejects. */
  readonly exited: Promise<Exit>
  /** The living processes that were spawned with this one as their parent, in spawn order. */
  readonly children: readonly Process[]

  /**
   * Asks it to end: it is over when this returns, unless it traps exits; then it receives an `exit-request` and ends when it is ready. `killed` asks nobody.
   * Without effect on a process that is over. @param reason Default: normal.
   */
  exit(reason?: ExitReason): void
}

/** A process with a body and a mailbox of `M`. */
export interface BodyProcess<M = never> extends Process {
  /**
   * Puts a message into its mailbox. The message is not copied: do not change it afterwards.
   *
   * @throws LiminalError `MAILBOX_FULL`: as many messages as its mailbox takes wait already. Nothing was put; try later, or receive faster.
   * @throws LiminalError `PROCESS_GONE`: it is over; the cause is its {@link Exit}.
   */
  send(message: M): void
}

/**
 * A process without a body: a resource that lives until something ends it. Whoever made it holds this handle and acts as the process; hand out a
 * {@link Process} to let others only see it.
 */
export interface PassiveProcess extends Process, Disposable {
  /** Ends it, trapping or not: it is over when this returns. Without effect if it is over. @param reason Default: normal. */
  end(reason?: ExitReason): void

  /**
   * Runs a piece of code as part of this process: what it throws or rejects with is the exit of the process, and never reaches the caller.
   * @throws LiminalError `PROCESS_GONE` if the process is over; the code was not run.
   */
  run(work: () => unknown): void

  /** See {@link Self.requestExit}. */
  requestExit(other: ProcessRef, reason?: ExitReason): void
  /** See {@link Self.link}. */
  link(other: ProcessRef): void
  /** See {@link Self.unlink}. */
  unlink(other: ProcessRef): void

  /**
   * Watches another process: `observer` is called once with its exit, in the turn of the exit, and never before this returns. What it throws is the exit of
   * this process. The monitor is over with this process.
   * @throws LiminalError `PROCESS_GONE` if this process is over.
   */
  monitor(other: ProcessRef, observer: ExitObserver): Monitor
}

/** Called with the exit of a monitored process. */
export type ExitObserver = (exit: Exit) => unknown

/** The code of a process. It ends with the body: `normal` when it returns, `error` when it throws or rejects. */
export type Body<M> = (self: Self<M>) => unknown

/**
 * What a body has of its own process. Every call throws `PROCESS_GONE` once the process is over: a body that goes on after its exit reaches nobody.
 *
 * ```ts
 * const counter = processes.spawn<number>(async (self) => {
 *   let sum = 0
 *   for await (const received of self) if (received.is === 'message') sum += received.message
 * })
 * counter.send(1)
 * ```
 */
export interface Self<M> extends AsyncIterable<Received<M>> {
  readonly pid: Pid
  readonly name: string | null
  /** The process as others see it, to hand out. */
  readonly process: BodyProcess<M>
  /** Aborted at the exit of the process, its reason the `PROCESS_GONE` with the {@link Exit} as its cause. Pass it to whatever the body waits for. */
  readonly signal: AbortSignal
  /** The living processes that it spawned, in spawn order. */
  readonly children: readonly Process[]

  /**
   * The next of its mailbox, in the order of arrival. Iterating over `self` does the same without limits. One call at a time.
   *
   * @throws LiminalError `TIMEOUT`, `ABORTED`: nothing was taken from the mailbox. `NOT_SUPPORTED`: another call waits already.
   * @throws LiminalError `PROCESS_GONE`: the process is over, or ended while it waited.
   */
  next(limits?: WaitLimits): Promise<Received<M>>

  /** Sends as this process, see {@link BodyProcess.send}. @throws LiminalError `NOT_SUPPORTED` if the target has no mailbox. */
  send<Other>(target: BodyProcess<Other> | Pid, message: Other): void

  /** Spawns a process whose parent is this one, see `ProcessSystem.spawn`. */
  spawn<Other = never>(body: Body<Other>, options?: ChildOptions): BodyProcess<Other>
  /** Makes a passive process whose parent is this one, see `ProcessSystem.spawnPassive`. */
  spawnPassive(options?: Omit<PassiveOptions, 'parent'>): PassiveProcess

  /**
   * Links the two both ways: a crash of one ends the other in the same turn, with the same reason, or is told to it if it traps exits. Linking twice is linking
   * once; linking with itself does nothing. If the other is over, this process gets its recorded exit now; if nobody remembers it, an `error` with `PROCESS_GONE`.
   */
  link(other: ProcessRef): void
  /** Takes the link away. An exit that is in the mailbox already stays there. Idempotent. */
  unlink(other: ProcessRef): void
  /** Watches the other: a `down` comes into the mailbox when it is over, at once if it is already. */
  monitor(other: ProcessRef): Monitor

  /** Asks another process to end, see {@link Process.exit}; it is told who asked. */
  requestExit(other: ProcessRef, reason?: ExitReason): void
  /** Ends this process now, also if it traps exits. The body may go on, but reaches nobody. @param reason Default: normal. */
  end(reason?: ExitReason): void
  /** Whether exits are received instead of suffered. @param on Default: true. */
  trapExits(on?: boolean): void
  /** Runs a piece of code as part of this process, a callback say: what it throws or rejects with is the exit of the process. */
  run(work: () => unknown): void
}

/** What a process stands for: text, or what makes it when somebody wants to know. */
export type About = string | (() => string)

/** How a process is spawned. */
export interface SpawnOptions {
  /** What it is called in listings and errors: 1 to 255 characters. Default: no name. */
  readonly name?: string
  /** What it stands for, as listings say it: a subject, a channel, who is connected. A function is asked each time when somebody looks. Default: nothing. */
  readonly about?: About
  /** Whose child it is. Default: nobody's. */
  readonly parent?: Process
  /** Links it with its parent, before anything else can happen to either. Default: false. */
  readonly link?: boolean
  /** Receives exits instead of suffering them, from birth. Default: false. */
  readonly trapExits?: boolean
  /** Messages that may wait in its mailbox; the next is refused with `MAILBOX_FULL`. Default: 1,024. */
  readonly mailbox?: number
}

/** How a body spawns a process: it is the parent. */
export type ChildOptions = Omit<SpawnOptions, 'parent'>

/** How a passive process is made. */
export interface PassiveOptions {
  /** What it is called in listings and errors: 1 to 255 characters. Default: no name. */
  readonly name?: string
  /** What it stands for, as listings say it: a subject, a channel, who is connected. A function is asked each time when somebody looks. Default: nothing. */
  readonly about?: About
  /** Whose child it is. Default: nobody's. */
  readonly parent?: Process
  /** Links it with its parent, before anything else can happen to either. Default: false. */
  readonly link?: boolean
  /**
   * Makes it trap exits: called with each, in the turn of the exit. What it throws or rejects with is the exit of this process. Default: it does not trap.
   */
  readonly onTrapped?: (trapped: TrappedExit) => unknown
  /** Called once, in the turn of its exit and before anybody else is told: the place to let go of what it holds. */
  readonly onExit?: (exit: Exit) => unknown
}

/** What a process is at: `starting` until its body begins, `receiving` while it waits for its mailbox. A passive one is `passive`. */
export type ProcessStatus = 'starting' | 'running' | 'receiving' | 'passive'

/** One line of the listing of processes. */
export interface ProcessInfo {
  readonly pid: Pid
  readonly name: string | null
  /** What it stands for: the subject of a responder or a conversation, the connection of a session, the identity of a worker. `null` if nobody said. */
  readonly about: string | null
  readonly status: ProcessStatus
  /** Pid of its parent, `null` if it has none that lives. */
  readonly parent: Pid | null
  /** Messages and exits that wait in its mailbox; 0 if it has none. */
  readonly mailboxSize: number
  /** Messages that its mailbox takes; 0 if it has none. */
  readonly mailboxCapacity: number
  /** Pids of the processes that it is linked with, in the order of linking. */
  readonly links: readonly Pid[]
  /** How many monitors watch it. */
  readonly monitoredBy: number
  readonly trapsExits: boolean
  /** When it was spawned, in milliseconds since the epoch. */
  readonly startedAt: number
}
