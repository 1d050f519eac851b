import { ClaimStatus } from '../durability/index.ts'
import { type ClaimSource, claimRun, claimTime } from './claims.ts'
import type { MessageRun, PublishObserver } from './run.ts'

/** Delivers messages at once, and says how that went. */
export type DeliverLive = (run: MessageRun) => { readonly messageId: bigint; readonly deliveredTo: number }

/** Publishes the rows of a run of a channel that is not durable whose idempotency keys are new, and tells of the originals of the others. */
export function publishClaimed(
  source: ClaimSource,
  run: MessageRun,
  observer: PublishObserver,
  deliver: DeliverLive,
): void {
  const { index } = source
  const owner = source.nextOwner()
  claimRun(source, run, owner, {
    fresh: (part, claims, from) => {
      const { messageId, deliveredTo } = deliver(part)
      index.complete(claims, from, part.count, owner, messageId, deliveredTo, claimTime())
      observer.accepted(messageId, part.count, deliveredTo, null)
    },
    duplicate: (_row, claims, at) => {
      // The original may be a row of this very run, which was published just now.
      if (claims.status(at) !== ClaimStatus.COMPLETED) index.look(claims, at, 1, claimTime())
      observer.duplicate(claims.value(at), claims.deliveredTo(at), null)
    },
    refused: (error) => observer.refused(error),
  })
}
