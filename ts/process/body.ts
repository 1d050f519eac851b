import { LiminalError } from '../errors.ts'
import { sayStrayError } from './diagnostics.ts'
import { exitNormal } from './exit.ts'
import type { Kernel } from './kernel.ts'
import { Mailbox, type MailboxOwner } from './mailbox.ts'
import type { MonitorRecord } from './monitor.ts'
import type { Body, BodyProcess, ProcessStatus, Self } from './process.ts'
import { type Down, Signal, type TrappedExit } from './received.ts'
import { goneError, ProcessRecord, titleOf } from './record.ts'

/** A process whose code is an async function. */
export class BodyRecord<M> extends ProcessRecord implements BodyProcess<M>, MailboxOwner {
  traps: boolean
  readonly mailbox: Mailbox<M>
  #hasBegun = false
  #isAsked = false
  #abort: AbortController | null = null
  #gone: LiminalError | null = null

  constructor(kernel: Kernel, name: string | null, parent: ProcessRecord | null, traps: boolean, capacity: number) {
    super(kernel, name, parent, kernel.nextPid(), performance.now())
    this.traps = traps
    this.mailbox = new Mailbox(capacity, kernel.turn, this)
  }

  /** Has the body begin later in this turn: whoever spawned the process can link with it before. */
  start(body: Body<M>, self: Self<M>): void {
    queueMicrotask(() => {
      if (this.over === null) this.#begin(body, self)
    })
  }

  send(message: M): void {
    if (this.over !== null) throw goneError(this.over, 'the message was not delivered')
    if (this.mailbox.put(message)) return
    const most = this.mailbox.capacity
    throw new LiminalError(
      'MAILBOX_FULL',
      `The mailbox of ${titleOf(this)} is full: ${most} messages wait. Send again later, or raise its mailbox.`,
    )
  }

  /** Aborted at the exit. Made when somebody asks for it: most never do. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController()
      if (this.over !== null) this.#abort.abort(this.gone)
    }
    return this.#abort.signal
  }

  /** What a body gets that goes on after its exit: always the same error, so that it is known when it comes back. */
  get gone(): LiminalError {
    if (this.#gone === null && this.over !== null) this.#gone = goneError(this.over, 'it can do nothing more')
    return this.#gone ?? new LiminalError('INTERNAL', `${titleOf(this)} is not over.`)
  }

  override checkAlive(): void {
    if (this.over !== null) throw this.gone
  }

  get hasHook(): boolean {
    return this.#abort !== null
  }

  takeTrapped(trapped: TrappedExit): void {
    if (this.over !== null) return
    if (trapped.is === 'exit-request') {
      // Who asks again before the first request was received has nothing new to say; the mailbox would have no bound.
      if (this.#isAsked) return
      this.#isAsked = true
    }
    this.mailbox.putSignal(new Signal(trapped))
  }

  takeDown(down: Down, monitor: MonitorRecord): void {
    if (this.over === null) this.mailbox.putSignal(new Signal(down, monitor))
  }

  /** A request to exit was taken out of the mailbox. */
  asked(): void {
    this.#isAsked = false
  }

  tell(): void {
    this.#abort?.abort(this.gone)
  }

  protected get status(): ProcessStatus {
    if (!this.#hasBegun) return 'starting'
    return this.mailbox.isAwaited ? 'receiving' : 'running'
  }

  protected override get mailboxSize(): number {
    return this.mailbox.size
  }

  protected override get mailboxCapacity(): number {
    return this.mailbox.capacity
  }

  protected release(): void {
    this.mailbox.close(() => this.gone)
  }

  #begin(body: Body<M>, self: Self<M>): void {
    this.#hasBegun = true
    let result: Promise<unknown>
    try {
      result = Promise.resolve(body(self))
    } catch (error) {
      this.#failed(error)
      return
    }
    result.then(
      () => this.kernel.end(this, exitNormal()),
      (error: unknown) => this.#failed(error),
    )
  }

  #failed(error: unknown): void {
    if (this.over === null) this.kernel.fail(this, error)
    // That a body ends with what told it that it is over is how it should be.
    else if (error !== this.#gone) sayStrayError(this.pid, this.name, error)
  }
}
