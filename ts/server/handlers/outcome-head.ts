import { LARGEST_HEAD_BYTES, type OutcomeHead, type RerouteHead } from '../../protocol/index.ts'
import type { DispatchOutcome } from '../../routing/index.ts'

/** What the asker is told of a dispatch. Of a message that went through so many hands that they do not fit, the first ones are left out. */
export function outcomeHeadOf(outcome: Omit<DispatchOutcome, 'value'>): OutcomeHead {
  const { deliveredTo, attempts, queuedMs, durationMs } = outcome
  const reroutedFrom: RerouteHead[] = outcome.reroutedFrom.map(({ consumer, attempt, reason, microseconds }) => {
    return { consumer, attempt, reason, microseconds }
  })
  const head = { deliveredTo, attempts, reroutedFrom, queuedMs, durationMs }
  while (reroutedFrom.length > 0 && Buffer.byteLength(JSON.stringify({ outcome: head })) > LARGEST_HEAD_BYTES) {
    reroutedFrom.splice(0, Math.ceil(reroutedFrom.length / 2))
  }
  return head
}
