import { invalidArgument } from '../arguments.ts'
import { checkWait, type WaitLimits } from '../waiting.ts'
import type { BodyRecord } from './body.ts'
import { contain } from './contain.ts'
import { checkReason, type ExitReason, exitNormal, type Pid } from './exit.ts'
import type {
  Body,
  BodyProcess,
  ChildOptions,
  PassiveOptions,
  PassiveProcess,
  Process,
  ProcessRef,
  Self,
} from './process.ts'
import type { Monitor, Received } from './received.ts'
import { recordOf } from './references.ts'
import type { ProcessSystem } from './system.ts'

const NO_LIMITS: WaitLimits = {}

/** What a body has of its process: acts as long as the process lives, throws afterwards. */
export class BodySelf<M> implements Self<M> {
  readonly #system: ProcessSystem
  readonly #record: BodyRecord<M>

  constructor(system: ProcessSystem, record: BodyRecord<M>) {
    this.#system = system
    this.#record = record
  }

  get pid(): Pid {
    return this.#record.pid
  }

  get name(): string | null {
    return this.#record.name
  }

  get process(): BodyProcess<M> {
    return this.#record
  }

  get signal(): AbortSignal {
    return this.#record.signal
  }

  get children(): readonly Process[] {
    return this.#record.children
  }

  next(limits: WaitLimits = NO_LIMITS): Promise<Received<M>> {
    try {
      this.#record.checkAlive()
      if (limits !== NO_LIMITS) checkWait(limits)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#record.mailbox.next(limits)
  }

  [Symbol.asyncIterator](): AsyncIterator<Received<M>> {
    return { next: () => this.next().then((value) => ({ done: false, value })) }
  }

  send<Other>(target: BodyProcess<Other> | Pid, message: Other): void {
    this.#record.checkAlive()
    this.#system.send(target, message)
  }

  spawn<Other = never>(body: Body<Other>, options?: ChildOptions): BodyProcess<Other> {
    this.#record.checkAlive()
    return this.#system.spawn(body, { ...options, parent: this.#record })
  }

  spawnPassive(options?: Omit<PassiveOptions, 'parent'>): PassiveProcess {
    this.#record.checkAlive()
    return this.#system.spawnPassive({ ...options, parent: this.#record })
  }

  link(other: ProcessRef): void {
    this.#record.checkAlive()
    this.#record.kernel.link(this.#record, recordOf(this.#record.kernel, other))
  }

  unlink(other: ProcessRef): void {
    this.#record.checkAlive()
    this.#record.kernel.unlink(this.#record, recordOf(this.#record.kernel, other))
  }

  monitor(other: ProcessRef): Monitor {
    this.#record.checkAlive()
    return this.#record.kernel.monitor(recordOf(this.#record.kernel, other), this.#record, null)
  }

  requestExit(other: ProcessRef, reason: ExitReason = exitNormal()): void {
    this.#record.checkAlive()
    checkReason(reason)
    this.#record.kernel.request(recordOf(this.#record.kernel, other), reason, this.#record)
  }

  end(reason: ExitReason = exitNormal()): void {
    this.#record.checkAlive()
    checkReason(reason)
    this.#record.kernel.end(this.#record, reason)
  }

  trapExits(on = true): void {
    this.#record.checkAlive()
    if (typeof on !== 'boolean') throw invalidArgument('on', 'a boolean', on)
    this.#record.traps = on
  }

  run(work: () => unknown): void {
    this.#record.checkAlive()
    contain(work, (error) => this.#record.kernel.fail(this.#record, error))
  }
}
