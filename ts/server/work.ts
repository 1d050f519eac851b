import { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import type { PushReply } from '../protocol/index.ts'
import { throwIfAborted, type WaitLimits } from '../waiting.ts'
import type { SessionContext } from './context.ts'
import { Workers } from './handlers/worker.ts'
import { type PushAwaiter, WaitingPush } from './push-awaiter.ts'
import { type Correlations, Pushes } from './pushes.ts'

/** What one session pushes to its peer: the messages of its worker, and those of the server's owner. */
export class Work {
  readonly workers: Workers
  readonly #context: SessionContext
  readonly #pushes: Pushes
  #plain = 0

  constructor(context: SessionContext, correlations: Correlations) {
    this.#context = context
    this.#pushes = new Pushes(context, correlations)
    this.workers = new Workers(context, this.#pushes)
  }

  /** Pushes without an answer. */
  get pending(): number {
    return this.#pushes.size
  }

  /** @throws LiminalError `ABORTED`, `LIMIT_EXCEEDED`, `OUTBOX_FULL`, `CONNECTION_LOST`: nothing was sent. */
  push(payload: Uint8Array, limits: WaitLimits): PushAwaiter {
    throwIfAborted(limits.signal, 'The push')
    const most = this.#context.options.limits.pushesPerConnection
    if (this.#plain >= most) {
      const text = `The connection has ${most} pushes to answer already; wait for some of them, or raise limits.pushesPerConnection.`
      throw new LiminalError('LIMIT_EXCEEDED', text)
    }
    const push = new WaitingPush(this.#pushes, () => {
      this.#plain--
    })
    push.send(payload, limits)
    this.#plain++
    return push
  }

  /** PushReply. Id 0 is given out to nobody: the worker speaks of itself. */
  reply(frame: PushReply): void {
    if (frame.correlationId === 0n) this.workers.announce(frame)
    else this.#pushes.reply(frame)
  }

  /** The connection is over: what was pushed to it is helped at once. */
  gone(reason: ExitReason): void {
    this.#pushes.fade()
    this.workers.gone(reason)
    this.#pushes.gone(reason)
  }
}
