import { ClaimRows, ClaimStatus } from '../durability/index.ts'
import { type ClaimSource, claimRun } from './claims.ts'
import type { MessageRun, PublishObserver } from './run.ts'

/** Delivers messages at once, and says how that went. */
export type DeliverLive = (run: MessageRun) => { readonly messageId: bigint; readonly deliveredTo: number }

/** What a claim of one row is written to. */
const one = new ClaimRows(1)

/** Publishes the rows of a run of a channel that is not durable whose idempotency keys are new, and tells of the originals of the others. */
export function publishClaimed(
  source: ClaimSource,
  run: MessageRun,
  observer: PublishObserver,
  deliver: DeliverLive,
): void {
  const { index, scope } = source
  const owner = source.nextOwner()
  claimRun(source, run, owner, {
    fresh: (part, claims, from) => {
      const { messageId, deliveredTo } = deliver(part)
      index.complete(claims, from, part.count, owner, messageId, deliveredTo, Date.now())
      observer.accepted(messageId, part.count, deliveredTo, null)
    },
    duplicate: (row, claims, at) => {
      if (claims.status(at) === ClaimStatus.COMPLETED) {
        observer.duplicate(claims.value(at), claims.deliveredTo(at), null)
        return
      }
      // Its original is a row of this very run, and was published just now.
      index.claim(scope, run.bytes, run.columns, row, 1, source.nextOwner(), Date.now(), one)
      observer.duplicate(one.value(0), one.deliveredTo(0), null)
    },
    refused: (error) => observer.refused(error),
  })
}
