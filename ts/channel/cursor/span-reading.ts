import type { DueRange } from './positions.ts'
import type { RecordedSpan } from './record.ts'
import type { SpanList } from './spans.ts'

/** Spans as a store is to keep them. */
export function recordedSpans(spans: SpanList): readonly RecordedSpan[] {
  const recorded: { count: number; attempts: number }[] = []
  for (const { start, end, attempts } of spans) {
    const last = recorded[recorded.length - 1]
    if (last !== undefined && last.attempts === attempts) last.count += end - start
    else recorded.push({ count: end - start, attempts })
  }
  return recorded
}

/** The lowest messages that are to be handed out again by now, and those that begin within so many positions behind the first of them. */
export function dueRanges(spans: SpanList, now: number, within: number): readonly DueRange[] {
  const due: DueRange[] = []
  if (spans.count('waiting') === 0) return due
  for (const { state, at, start, end, attempts } of spans) {
    if (due.length > 0 && start - due[0].start >= within) break
    if (state === 'waiting' && at <= now) due.push({ start, end, attempts })
  }
  return due
}
