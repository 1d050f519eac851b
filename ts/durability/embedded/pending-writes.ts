import { Deferred } from '../../deferred.ts'
import { Deque } from '../../deque.ts'
import type { StoreWrite } from '../event-store.ts'

/** A write that waits for its commit. */
export interface PendingWrite {
  readonly changes: readonly StoreWrite[]
  /** The encoded keys of the changes. */
  readonly storeKeys: readonly Uint8Array[]
  /** Roughly what it takes up while it waits. */
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** The writes that wait for their commit, in the order of the calls, and whoever waits for them to become less. */
export class PendingWrites {
  readonly #writes = new Deque<PendingWrite>()
  readonly #maxBytes: number
  #bytes = 0
  #room: Deferred<void> | null = null

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Whether one more may wait: unless the others fill the room, whatever its own size. A large one would otherwise find room only when nothing waits at all, which is never while others write
   * steadily. So what waits is more than the room by one write at most, and no write is refused while {@link hold} is `null`.
   */
  get hasRoom(): boolean {
    return this.#bytes < this.#maxBytes
  }

  /** Resolves once at most half of what may wait does; `null` if that is so. */
  hold(): Promise<void> | null {
    if (this.#bytes <= this.#maxBytes / 2) return null
    this.#room ??= new Deferred()
    return this.#room.promise
  }

  push(write: PendingWrite): void {
    this.#writes.push(write)
    this.#bytes += write.bytes
  }

  /** The oldest so many, which do not wait any longer. */
  take(count: number): PendingWrite[] {
    const taken: PendingWrite[] = []
    for (let index = 0; index < count; index++) {
      const write = this.#writes.shift()
      if (write === undefined) break
      this.#bytes -= write.bytes
      taken.push(write)
    }
    if (this.#bytes <= this.#maxBytes / 2) {
      this.#room?.resolve()
      this.#room = null
    }
    return taken
  }

  takeAll(): PendingWrite[] {
    return this.take(this.#writes.size)
  }
}
