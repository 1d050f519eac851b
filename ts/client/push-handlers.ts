import { ownBytes } from '../payload.ts'
import type { InboundPush, PushTaker } from './inbound-push.ts'
import { settlePush } from './settle-push.ts'

/**
 * Takes a plain push of a server, one that is no work. A `Uint8Array` that it returns (or that its promise resolves with) is the reply; `undefined` and `null` stand for an empty
 * one. A throw is told to the server, where the extension `WORK` is granted; otherwise the push stays unanswered.
 */
export type PushHandler = (payload: Uint8Array, context: PushContext) => unknown

/** What is known about a push beside its payload. */
export interface PushContext {
  /** Aborted when the reply is of no use any more and will not be sent. Its reason says why. */
  readonly signal: AbortSignal
}

const NO_REPLY = new Uint8Array(0)

/** Who takes the plain pushes of a bus, on all its connections. Several take turns. */
export class PushHandlers {
  #takers: PushTaker[] = []

  /** Returns what takes the handler out again. What it has underway is finished. */
  add(handler: PushHandler): () => void {
    const taker: PushTaker = {
      take: (push, payload) =>
        settlePush(
          push,
          'The push handler',
          'bytes',
          async () => (await handler(ownBytes(payload), contextOf(push))) ?? NO_REPLY,
        ),
    }
    this.#takers.push(taker)
    return () => {
      this.#takers = this.#takers.filter((one) => one !== taker)
    }
  }

  /** Whose turn it is; `null` if there is nobody. */
  next(): PushTaker | null {
    const taker = this.#takers.shift()
    if (taker === undefined) return null
    this.#takers.push(taker)
    return taker
  }

  /** The bus is closed. */
  clear(): void {
    this.#takers = []
  }
}

/** The push itself can do more than its handler is offered. */
function contextOf(push: InboundPush): PushContext {
  return {
    get signal() {
      return push.signal
    },
  }
}
