import { HAS_HEAD, withHead } from '../protocol/index.ts'
import { Call } from './backlog.ts'
import type { Connection } from './connection.ts'
import type { InboundPush } from './inbound-push.ts'
import type { InboundPushes } from './inbound-pushes.ts'
import { EMPTY_PUSH_REPLY_BYTES, writePushReply } from './push-reply.ts'

/** Bytes of an extension's head, at most. */
const EXTENSION_BYTES = EMPTY_PUSH_REPLY_BYTES + 64

const NOTHING = new Uint8Array(0)

/** An extension of a lease, which may have to wait for room. It belongs to one connection and is dropped with it, or once the push is settled. */
export class PushExtension extends Call {
  readonly what = 'The extension of a lease'
  readonly bytes = EXTENSION_BYTES
  /** What it is extended by: the last word counts. */
  leaseMs: number
  readonly #pushes: InboundPushes
  readonly #push: InboundPush

  constructor(pushes: InboundPushes, push: InboundPush, leaseMs: number) {
    super()
    this.#pushes = pushes
    this.#push = push
    this.leaseMs = leaseMs
  }

  override survives(): boolean {
    return false
  }

  write(connection: Connection): void {
    if (!this.#pushes.holds(this.#push)) return
    const head = withHead({ status: 'extend', leaseMs: this.leaseMs }, NOTHING)
    writePushReply(connection, this.#push.key, HAS_HEAD, head)
  }

  /** The bus is closed, and the push is handed back. */
  end(): void {}
}
