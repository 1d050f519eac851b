/** A histogram to send between processes: pairs of bucket and count. */
export type HistogramCounts = readonly (readonly [bucket: number, count: number])[]

// Each power of two is cut into this many buckets: a value is off by 1.6 % at most.
const STEPS = 64
const STEP_BITS = 6
const EXACT = STEPS * 2
const BUCKETS = EXACT + (32 - STEP_BITS - 1) * STEPS

/** Counts u32 values, exactly below 128 and within 1.6 % above, in fixed memory. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0
  #largest = 0

  get total(): number {
    return this.#total
  }

  record(value: number): void {
    this.#counts[bucketOf(value)] += 1
    this.#total += 1
    if (value > this.#largest) this.#largest = value
  }

  add(counts: HistogramCounts): void {
    for (const [bucket, count] of counts) {
      this.#counts[bucket] += count
      this.#total += count
      this.#largest = Math.max(this.#largest, largestOf(bucket))
    }
  }

  /** The value that a share of all values (0 to 1) does not exceed; null if there are none. */
  quantile(share: number): number | null {
    if (this.#total === 0) return null
    const rank = Math.max(1, Math.ceil(share * this.#total))
    let seen = 0
    const bucket = this.#counts.findIndex((count) => {
      seen += count
      return seen >= rank
    })
    return Math.min(largestOf(bucket), this.#largest)
  }

  toCounts(): HistogramCounts {
    const counts: [number, number][] = []
    this.#counts.forEach((count, bucket) => {
      if (count > 0) counts.push([bucket, count])
    })
    return counts
  }
}

function bucketOf(value: number): number {
  if (value < EXACT) return value
  const shift = 31 - Math.clz32(value) - STEP_BITS
  return EXACT + (shift - 1) * STEPS + ((value >>> shift) - STEPS)
}

/** The largest value that a bucket counts. */
function largestOf(bucket: number): number {
  if (bucket < EXACT) return bucket
  const shift = Math.floor((bucket - EXACT) / STEPS) + 1
  const step = ((bucket - EXACT) % STEPS) + STEPS
  return (step + 1) * 2 ** shift - 1
}
