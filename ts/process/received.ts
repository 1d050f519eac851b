import type { Exit, ExitReason, Pid } from './exit.ts'

/** What somebody sent. */
export interface Message<M> {
  readonly is: 'message'
  /** The value itself, not a copy. */
  readonly message: M
}

/** A linked process is over, told instead of ending this one, because it traps exits. */
export interface LinkExit {
  readonly is: 'link-exit'
  readonly exit: Exit
}

/** Somebody wants this process to end, and it traps exits: it ends when it is ready. */
export interface ExitRequest {
  readonly is: 'exit-request'
  readonly reason: ExitReason
  /** Who asked, `null` if no process did. */
  readonly from: Pid | null
}

/** What a process that traps exits is told about them. */
export type TrappedExit = LinkExit | ExitRequest

/** A monitored process is over. */
export interface Down {
  readonly is: 'down'
  /** What `self.monitor` gave. */
  readonly monitor: Monitor
  readonly exit: Exit
}

/** What a process receives. Branch on `is`. */
export type Received<M> = Message<M> | TrappedExit | Down

/** One process watches another. It is over once it has told the exit. */
export interface Monitor extends Disposable {
  /** The watched process. */
  readonly pid: Pid
  /** Ends it: nothing of it is seen from now on, not even what has arrived and was not received. Idempotent. */
  cancel(): void
}

/** Marks what the system put into a mailbox: what a user sends can never pass for it. */
export class Signal {
  readonly received: TrappedExit | Down
  readonly #monitor: { readonly isCancelled: boolean } | null

  constructor(received: TrappedExit | Down, monitor: { readonly isCancelled: boolean } | null = null) {
    this.received = received
    this.#monitor = monitor
  }

  get isCancelled(): boolean {
    return this.#monitor?.isCancelled ?? false
  }
}
