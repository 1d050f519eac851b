/** What several runs of the same thing came to. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @param values at least one. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('There is nothing to summarize.')
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1] }
}

/** Times in microseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

/** The quantiles of times given in milliseconds; null where there are none. */
export function latencyOf(milliseconds: readonly number[]): Latency | null {
  if (milliseconds.length === 0) return null
  const sorted = Float64Array.from(milliseconds).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] * 1_000
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}
