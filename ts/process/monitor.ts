import { withItem, withoutItem } from '../few.ts'
import { contain } from './contain.ts'
import { sayStrayError } from './diagnostics.ts'
import type { Exit, Pid } from './exit.ts'
import type { Kernel, Notice } from './kernel.ts'
import type { ExitObserver } from './process.ts'
import type { Monitor } from './received.ts'
import type { ProcessRecord } from './record.ts'

/** One watch of a process, either for the mailbox of its owner or for an observer. */
export class MonitorRecord implements Monitor, Notice {
  readonly pid: Pid
  isCancelled = false
  readonly #kernel: Kernel
  readonly #observer: ExitObserver | null
  #owner: ProcessRecord | null
  #target: ProcessRecord | null = null
  #exit: Exit | null = null

  /** @param owner whose it is, `null` if no process's. @param observer who is told, `null`: the mailbox of the owner. */
  constructor(kernel: Kernel, pid: Pid, owner: ProcessRecord | null, observer: ExitObserver | null) {
    this.#kernel = kernel
    this.pid = pid
    this.#owner = owner
    this.#observer = observer
    if (owner !== null) owner.watching = withItem(owner.watching, this)
  }

  /** Watches a process that lives. */
  watch(target: ProcessRecord): void {
    this.#target = target
    target.monitors = withItem(target.monitors, this)
  }

  /** The watched process is over. */
  fire(exit: Exit): void {
    this.#target = null
    this.#exit = exit
    if (this.#observer !== null) {
      this.#kernel.post(this)
      return
    }
    const owner = this.#owner
    this.#leaveOwner()
    owner?.takeDown({ is: 'down', monitor: this, exit }, this)
  }

  tell(): void {
    const observer = this.#observer
    const exit = this.#exit
    if (this.isCancelled || observer === null || exit === null) return
    const owner = this.#owner
    this.#leaveOwner()
    contain(
      () => observer(exit),
      (error) => {
        if (owner === null) sayStrayError(exit.pid, exit.name, error)
        else this.#kernel.fail(owner, error)
      },
    )
  }

  cancel(): void {
    this.isCancelled = true
    this.#leaveOwner()
    const target = this.#target
    if (target === null) return
    this.#target = null
    target.monitors = withoutItem(target.monitors, this)
  }

  [Symbol.dispose](): void {
    this.cancel()
  }

  #leaveOwner(): void {
    const owner = this.#owner
    if (owner === null) return
    this.#owner = null
    owner.watching = withoutItem(owner.watching, this)
  }
}
