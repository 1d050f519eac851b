import type { FrameBatch } from '../codec/index.ts'
import type { LiminalError } from '../errors.ts'
import { IntegerMap } from '../integer-map.ts'

/** What a stream of a connection belongs to. */
export interface StreamOwner {
  /** Takes `count` rows of one frame type, from `row` on. More than one only for PublishAck and Deliver. Must not throw for what the peer sent. */
  receive(batch: FrameBatch, row: number, count: number): void
  /** The connection is gone, and this stream with it. */
  lost(error: LiminalError): void
  /** The coarse clock moved on. Returns whether it still waits for a tick. */
  expire?(tick: number): boolean
}

const LAST_STREAM = 0xffff_ffff

/** The streams that a client opened on one connection: odd ids, rising, used again only after all were used once. */
export class StreamTable {
  readonly #owners = new IntegerMap<StreamOwner>(2)
  #next: number
  #wrapped = false

  /** @param first Odd; where to begin. */
  constructor(first = 1) {
    this.#next = first
  }

  /** Streams open now. */
  get size(): number {
    return this.#owners.size
  }

  /** Opens a stream and returns its id. */
  open(owner: StreamOwner): number {
    let stream = this.#take()
    while (this.#wrapped && this.#owners.has(stream)) stream = this.#take()
    this.#owners.set(stream, owner)
    return stream
  }

  /** Who a stream belongs to; `undefined` once it is closed. */
  owner(stream: number): StreamOwner | undefined {
    return this.#owners.get(stream)
  }

  /** Forgets a stream. What still arrives on it is ignored. */
  close(stream: number): void {
    this.#owners.delete(stream)
  }

  /** Tells all owners the tick. Returns whether any still waits for one. */
  expire(tick: number): boolean {
    let waiting = false
    for (const owner of this.#owners.values()) waiting = owner.expire?.(tick) === true || waiting
    return waiting
  }

  /** Closes all streams, but those whose owners are to be kept, and tells their owners. */
  lose(error: LiminalError, kept?: (owner: StreamOwner) => boolean): void {
    const lost = this.#owners.entries().filter(([, owner]) => !kept?.(owner))
    for (const [stream] of lost) this.#owners.delete(stream)
    for (const [, owner] of lost) owner.lost(error)
  }

  #take(): number {
    const stream = this.#next
    if (stream === LAST_STREAM) {
      this.#next = 1
      this.#wrapped = true
    } else this.#next = stream + 2
    return stream
  }
}
