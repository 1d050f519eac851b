import type { LiminalError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** A call that needs the connection: written at once where there is room, else parked in the {@link Backlog} until there is. */
export abstract class Call {
  /** Links of the backlog that it waits in; no one else touches them. */
  previous: Call | null = null
  next: Call | null = null
  backlog: Backlog | null = null

  /** Bytes of its frames, at most. */
  abstract readonly bytes: number
  /** The subject of its errors' sentences, e.g. "The publish to 'orders'". */
  abstract readonly what: string
  /** Writes its frames. The connection is open and has room. */
  abstract write(connection: Connection): void
  /** It will never be written. */
  abstract end(error: LiminalError): void

  /** Whether a connection may take it now, apart from room in the outbox. */
  admitted(_connection: Connection): boolean {
    return true
  }

  /** It has to wait: keep what may change meanwhile. */
  park(): void {}

  /** Its connection is gone while it was waiting. Returns whether it goes on waiting, for the next connection. */
  survives(_error: LiminalError): boolean {
    return true
  }

  /** The bus is closed while it was waiting. Returns whether the connection takes it still, before the goodbye and without regard to room. */
  owed(_connection: Connection): boolean {
    return false
  }

  /** The coarse clock moved on. Returns whether it still waits for a tick. */
  expire(_tick: number): boolean {
    return false
  }

  /** Leaves the backlog, if it waits there. */
  unpark(): void {
    this.backlog?.remove(this)
  }
}

/** What waits to be written, first come first served: bounded in calls and bytes. Calls that give up leave it at once. */
export class Backlog {
  readonly #maxCalls: number
  readonly #maxBytes: number
  #first: Call | null = null
  #last: Call | null = null
  #size = 0
  #bytes = 0

  constructor(maxCalls: number, maxBytes: number) {
    this.#maxCalls = maxCalls
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#size
  }

  /** Payload bytes held, about. */
  get bytes(): number {
    return this.#bytes
  }

  get first(): Call | null {
    return this.#first
  }

  /** Whether one more may wait. A call larger than the whole cap may wait alone. */
  fits(call: Call): boolean {
    return this.#size === 0 || (this.#size < this.#maxCalls && this.#bytes + call.bytes <= this.#maxBytes)
  }

  /** Adds at the end. */
  push(call: Call): void {
    this.#insert(call, this.#last, null)
  }

  /** Adds before all others, keeping the order of `calls`. They were admitted before, so no cap applies. */
  putBack(calls: readonly Call[]): void {
    let after: Call | null = null
    for (const call of calls) {
      this.#insert(call, after, after === null ? this.#first : after.next)
      after = call
    }
  }

  remove(call: Call): void {
    if (call.backlog !== this) return
    const { previous, next } = call
    if (previous === null) this.#first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
    call.previous = null
    call.next = null
    call.backlog = null
    this.#size--
    this.#bytes -= call.bytes
  }

  /** All that wait now, the oldest first. */
  list(): Call[] {
    const calls: Call[] = []
    for (let call = this.#first; call !== null; call = call.next) calls.push(call)
    return calls
  }

  #insert(call: Call, previous: Call | null, next: Call | null): void {
    call.previous = previous
    call.next = next
    call.backlog = this
    if (previous === null) this.#first = call
    else previous.next = call
    if (next === null) this.#last = call
    else next.previous = call
    this.#size++
    this.#bytes += call.bytes
  }
}
