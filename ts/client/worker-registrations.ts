import { Deferred } from '../deferred.ts'
import type { LiminalError } from '../errors.ts'
import { Capability, WORKER_LEAVE, type WorkerRegisterAck } from '../protocol/index.ts'
import type { Connection } from './connection.ts'
import type { WorkerLink } from './worker-link.ts'

/**
 * Who works on one connection. The server holds one registration of it at a time, and an answer does not say to which question it is: they come in the order of the
 * questions, those that take a registration back marked by their flag.
 */
export class WorkerRegistrations {
  readonly #connection: Connection
  /** Registrations that wait for their answer, in order. */
  #asked: WorkerLink[] = []
  /** Withdrawals that wait for theirs. */
  #leaving: WorkerLink[] = []
  /** Whose registration the server holds, by all that is known. */
  #held: WorkerLink | null = null
  #left: Deferred<void> | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Who takes work now; `null` if there is nobody. */
  get worker(): WorkerLink | null {
    return this.#held?.working ? this.#held : null
  }

  /** Asks the server to take a worker in place of the one it has. */
  register(link: WorkerLink): void {
    this.#asked.push(link)
    this.#connection.write({ type: 'WorkerRegister', flags: 0, streamId: 0, registration: link.registration })
  }

  /** A worker takes no more work. The server is told unless it is about to learn of another one. */
  withdraw(link: WorkerLink): void {
    if (link !== this.#held && !this.#asked.includes(link)) link.left()
    this.#settleHeld()
  }

  /**
   * The bus says goodbye to the server: whatever it still answers has nobody to tell. Resolves once it holds no registration, as far as it can be told: what it pushed
   * before came before.
   */
  leave(): Promise<void> {
    if (this.#held !== null && !this.#leaving.includes(this.#held)) this.#take(this.#held)
    for (const link of this.#all()) link.left()
    const left = new Deferred<void>()
    this.#left = left
    this.#settleLeft()
    return left.promise
  }

  acknowledged({ flags, outcome }: WorkerRegisterAck): void {
    if ((flags & WORKER_LEAVE) !== 0 && this.#connection.granted(Capability.WORK)) this.#taken()
    else {
      const link = this.#asked.shift()
      if (link === undefined) {
        this.#connection.violated('the server answered a registration of a worker that was not made')
        return
      }
      if (outcome.status === 'Accepted') this.#accepted(link)
      else {
        link.refused(outcome.reason)
        link.left()
      }
    }
    this.#settleHeld()
    this.#settleLeft()
  }

  /** The connection is gone. */
  lost(error: LiminalError): void {
    const links = this.#all()
    this.#asked = []
    this.#leaving = []
    this.#held = null
    for (const link of links) {
      link.lost(error)
      link.left()
    }
  }

  #accepted(link: WorkerLink): void {
    const before = this.#held
    this.#held = link
    link.accepted(this.#connection)
    if (before === null || before === link) return
    before.replaced(link)
    before.left()
  }

  #taken(): void {
    const link = this.#leaving.shift()
    if (link === undefined) {
      this.#connection.violated('the server took back a registration of a worker that was not withdrawn')
      return
    }
    if (this.#held === link) this.#held = null
    link.left()
  }

  /** Takes back the registration of a worker that is over, unless a question underway may replace it. */
  #settleHeld(): void {
    const held = this.#held
    if (held === null || held.working || this.#asked.length > 0 || this.#leaving.includes(held)) return
    if (this.#connection.granted(Capability.WORK)) this.#take(held)
    // There is no way to tell such a server: it goes on, and what it pushes stays unanswered.
    else held.left()
  }

  #settleLeft(): void {
    if (!this.#connection.granted(Capability.WORK) || this.#all().size === 0) this.#left?.resolve()
  }

  #take(link: WorkerLink): void {
    if (!this.#connection.granted(Capability.WORK) || !this.#connection.open) return
    this.#leaving.push(link)
    this.#connection.write({
      type: 'WorkerRegister',
      flags: WORKER_LEAVE,
      streamId: 0,
      registration: link.registration,
    })
  }

  #all(): Set<WorkerLink> {
    const links = new Set([...this.#asked, ...this.#leaving])
    if (this.#held !== null) links.add(this.#held)
    return links
  }
}
