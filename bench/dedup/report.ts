import type { Measurement } from './child.ts'

/** What a restart costs. */
export interface Restored {
  readonly subject: string
  readonly keys: number
  readonly ms: number
}

/** A number that was promised, and what came of it. */
export interface Verdict {
  readonly threshold: string
  readonly keys: number
  readonly measured: number
  readonly met: boolean
}

export interface Report {
  readonly node: string
  readonly platform: string
  readonly measurements: readonly Measurement[]
  readonly restored: readonly Restored[]
  /** The longest pause of a process beside it that only computes, in turns of the same length: what the machine adds. */
  readonly control: { readonly longestPauseMs: number }
  readonly verdicts: readonly Verdict[]
}

const PAUSE = 'longest pause of the event loop below 20 ms while inserting'

/** Whether the one promise was broken that a busy machine can break. */
export function pauseMissed(verdicts: readonly Verdict[]): boolean {
  return verdicts.some(({ threshold, met }) => threshold === PAUSE && !met)
}

/** The promises, for every size that was measured; the pause for the largest, at the best of its attempts. */
export function judge(measurements: readonly Measurement[]): Verdict[] {
  const verdicts: Verdict[] = []
  const sizes = [...new Set(measurements.map(({ keys }) => keys))].sort((a, b) => a - b)
  for (const keys of sizes) {
    const native = find(measurements, 'native', keys)
    const map = find(measurements, 'map', keys)
    const ratio = native.claimsPerSecond / map.claimsPerSecond
    const bytes = native.mostBytesPerKey ?? native.bytesPerKey
    verdicts.push({
      threshold: 'native claims/s at least 2 times those of a Map',
      keys,
      measured: ratio,
      met: ratio >= 2,
    })
    verdicts.push({ threshold: 'at most 40 bytes a key', keys, measured: bytes, met: bytes <= 40 })
    if (keys === sizes.at(-1)) {
      const attempts = measurements.filter((one) => one.subject === 'native' && one.keys === keys)
      const measured = Math.min(...attempts.map(({ longestPauseMs }) => longestPauseMs))
      verdicts.push({ threshold: PAUSE, keys, measured, met: measured < 20 })
    }
  }
  return verdicts
}

/** The report for people. */
export function print({ node, platform, measurements, restored, control, verdicts }: Report): void {
  console.log(`Node ${node}, ${platform}; keys of 36 bytes in runs of 64, claimed and completed\n`)
  console.log(
    'keys        subject     mixed/s     inserts/s   single/s    B/key   RSS B/key  longest pause   computing   longest call   computing',
  )
  for (const row of measurements) {
    const numbers = [row.claimsPerSecond, row.insertsPerSecond, row.singleClaimsPerSecond]
    const rates = numbers.map((rate) => Math.round(rate).toLocaleString('en').padStart(10)).join('  ')
    const bytes = `${row.bytesPerKey.toFixed(1).padStart(7)}  ${row.residentBytesPerKey.toFixed(1).padStart(8)}`
    const start = `${String(row.keys).padEnd(11)} ${row.subject.padEnd(10)}`
    const times = [row.longestPauseMs, row.longestComputingMs, row.longestCallMs, row.longestCallComputingMs]
    const pauses = times.map((ms) => `${ms.toFixed(1).padStart(9)} ms`)
    console.log(`${start}${rates}  ${bytes}  ${pauses.join(' ')}`)
  }
  for (const { subject, keys, ms } of restored) console.log(`\nrestoring ${keys} keys, ${subject}: ${ms.toFixed(0)} ms`)
  console.log(`\nlongest pause of a process that only computes: ${control.longestPauseMs.toFixed(1)} ms\n`)
  for (const { threshold, keys, measured, met } of verdicts) {
    console.log(`${met ? 'met   ' : 'MISSED'} ${threshold} (${keys} keys): ${measured.toFixed(2)}`)
  }
}

function find(measurements: readonly Measurement[], subject: string, keys: number): Measurement {
  const found = measurements.find((one) => one.subject === subject && one.keys === keys)
  if (found === undefined) throw new Error(`Nobody measured ${subject} with ${keys} keys.`)
  return found
}
