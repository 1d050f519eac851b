/** Median, 99th percentile and maximum of some times, rounded to three digits behind the point. */
export function summary(times) {
  const sorted = Float64Array.from(times).sort()
  return { p50: at(sorted, 0.5), p99: at(sorted, 0.99), max: at(sorted, 1) }
}

function at(sorted, share) {
  if (sorted.length === 0) return null
  const index = Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)
  return Math.round(sorted[Math.max(0, index)] * 1000) / 1000
}
