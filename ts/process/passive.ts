import { contain } from './contain.ts'
import { sayStrayError } from './diagnostics.ts'
import { checkReason, type Exit, type ExitReason, exitNormal, type Pid } from './exit.ts'
import type { Kernel, Notice } from './kernel.ts'
import type { ExitObserver, PassiveProcess, ProcessRef, ProcessStatus } from './process.ts'
import type { Monitor, TrappedExit } from './received.ts'
import { ProcessRecord } from './record.ts'
import { checkObserver, recordOf } from './references.ts'

type OnTrapped = (trapped: TrappedExit) => unknown
type OnExit = (exit: Exit) => unknown

/** A process without a body. */
export class PassiveRecord extends ProcessRecord implements PassiveProcess {
  readonly #onTrapped: OnTrapped | null
  readonly #onExit: OnExit | null

  constructor(
    kernel: Kernel,
    name: string | null,
    parent: ProcessRecord | null,
    onTrapped: OnTrapped | null,
    onExit: OnExit | null,
    pid: Pid = kernel.nextPid(),
    startedAt: number = performance.now(),
  ) {
    super(kernel, name, parent, pid, startedAt)
    this.#onTrapped = onTrapped
    this.#onExit = onExit
  }

  end(reason: ExitReason = exitNormal()): void {
    checkReason(reason)
    this.kernel.end(this, reason)
  }

  run(work: () => unknown): void {
    this.checkAlive()
    contain(work, (error) => this.kernel.fail(this, error))
  }

  requestExit(other: ProcessRef, reason: ExitReason = exitNormal()): void {
    this.checkAlive()
    checkReason(reason)
    this.kernel.request(recordOf(this.kernel, other), reason, this)
  }

  link(other: ProcessRef): void {
    this.checkAlive()
    this.kernel.link(this, recordOf(this.kernel, other))
  }

  unlink(other: ProcessRef): void {
    this.kernel.unlink(this, recordOf(this.kernel, other))
  }

  monitor(other: ProcessRef, observer: ExitObserver): Monitor {
    this.checkAlive()
    checkObserver(observer)
    return this.kernel.monitor(recordOf(this.kernel, other), this, observer)
  }

  [Symbol.dispose](): void {
    this.end()
  }

  get traps(): boolean {
    return this.#onTrapped !== null
  }

  get hasHook(): boolean {
    return this.#onExit !== null
  }

  takeTrapped(trapped: TrappedExit): void {
    this.kernel.post(new TrappedNotice(this, trapped))
  }

  takeDown(): void {
    // Its monitors have observers: nothing comes here.
  }

  /** Runs the code for a trapped exit. */
  trapped(trapped: TrappedExit): void {
    const onTrapped = this.#onTrapped
    if (this.over !== null || onTrapped === null) return
    contain(
      () => onTrapped(trapped),
      (error) => this.kernel.fail(this, error),
    )
  }

  tell(): void {
    const { over } = this
    const onExit = this.#onExit
    if (over === null || onExit === null) return
    contain(
      () => onExit(over),
      (error) => sayStrayError(this.pid, this.name, error),
    )
  }

  protected get status(): ProcessStatus {
    return 'passive'
  }

  protected release(): void {
    // Nothing but what `onExit` lets go of.
  }
}

class TrappedNotice implements Notice {
  readonly #record: PassiveRecord
  readonly #trapped: TrappedExit

  constructor(record: PassiveRecord, trapped: TrappedExit) {
    this.#record = record
    this.#trapped = trapped
  }

  tell(): void {
    this.#record.trapped(this.#trapped)
  }
}
