/** Quantiles of times in milliseconds, as microseconds. */
export function latency(times) {
  const sorted = Float64Array.from(times).sort()
  return { p50Us: at(sorted, 0.5), p99Us: at(sorted, 0.99), maxUs: at(sorted, 1) }
}

export function median(numbers) {
  const sorted = Float64Array.from(numbers).sort()
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The medians of what several runs measured, field by field. */
export function medians(runs) {
  return Object.fromEntries(
    Object.keys(runs[0]).map((field) => [field, rounded(median(runs.map((run) => run[field])))]),
  )
}

/** Four digits at most. */
export function rounded(value) {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(4))
}

function at(sorted, share) {
  return sorted.length === 0 ? 0 : sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] * 1_000
}
