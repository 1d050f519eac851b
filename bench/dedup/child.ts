/**
 * Measures one subject at one size, in a process of its own whose heap nothing else has touched: `child.ts <subject> <keys>`. Prints JSON.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { KeyRun, RUN_KEYS, randomBelow, TURN_RUNS } from './keys.ts'
import { makeSubject, SUBJECTS, type Subject } from './subjects.ts'

/** What a child prints. Rates are of keys that are claimed, and completed if they were fresh. */
export interface Measurement {
  readonly subject: string
  readonly keys: number
  /** Inserting all keys, each fresh. */
  readonly insertsPerSecond: number
  /** At this size, in runs of 64 half of whose keys are known: the median of the rounds. */
  readonly claimsPerSecond: number
  /** The same, one key a call. */
  readonly singleClaimsPerSecond: number
  /** By its own account, or what the heap grew by; at the end, and the most while the second half was inserted (`null` where only the heap knows). */
  readonly bytesPerKey: number
  readonly mostBytesPerKey: number | null
  /** What the process grew by. */
  readonly residentBytesPerKey: number
  /**
   * Longest turn of the event loop while the keys were inserted, 320 a turn; what the process computed in the turn in which it computed longest; the longest delay that Node's monitor saw; the
   * longest claim and completion of a run; what the process computed in the one in which it computed longest. Computing is the CPU time of all threads, V8's own included: unlike the others it
   * leaves out what else the machine did.
   */
  readonly longestPauseMs: number
  readonly longestComputingMs: number
  readonly loopDelayMs: number
  readonly longestCallMs: number
  readonly longestCallComputingMs: number
}

const ROUNDS = 15
const ROUND_RUNS = 256
/** Room for what the rounds add, so that no key gives way. */
const MORE_KEYS = 200_000

const [name, keysText] = process.argv.slice(2)
const subjectName = SUBJECTS.find((known) => known === name)
const keys = Number(keysText)
if (subjectName === undefined || !Number.isSafeInteger(keys)) throw new Error(`child.ts ${name} ${keysText}`)
if (globalThis.gc === undefined) throw new Error('child.ts must be run with --expose-gc.')
const collect = globalThis.gc

collect()
const heapBefore = heap()
const residentBefore = process.memoryUsage.rss()
const subject = makeSubject(subjectName, keys + MORE_KEYS)
const inserted = await insert(subject)
// The runs of keys above are garbage by now.
collect()
const heapGrowth = heap() - heapBefore
const resident = process.memoryUsage.rss() - residentBefore
const state = { seed: 1, next: subject.size }
const measurement: Measurement = {
  subject: subjectName,
  keys,
  ...inserted,
  bytesPerKey: (subject.bytes() ?? heapGrowth) / subject.size,
  residentBytesPerKey: resident / subject.size,
  claimsPerSecond: median(Array.from({ length: ROUNDS }, () => mixedRound(RUN_KEYS, ROUND_RUNS))),
  singleClaimsPerSecond: median(Array.from({ length: ROUNDS }, () => mixedRound(1, ROUND_RUNS * 16))),
}
console.log(JSON.stringify(measurement))

async function insert(subject: Subject) {
  const runs = Array.from({ length: TURN_RUNS }, () => new KeyRun())
  const delay = monitorEventLoopDelay({ resolution: 1 })
  let [longestPauseMs, longestComputingMs, longestCallMs, longestCallComputingMs] = [0, 0, 0, 0]
  let [busyMs, mostBytesPerKey] = [0, 0]
  let next = 0
  await nextTurn()
  delay.enable()
  while (next < keys) {
    // Making the keys is not part of the turn.
    for (const run of runs) {
      for (let row = 0; row < run.count; row++) run.set(row, next++)
    }
    const computed = computedMs()
    const start = performance.now()
    for (const run of runs) {
      const computedBefore = computedMs()
      const before = performance.now()
      if (subject.publish(run, next, 0) !== RUN_KEYS) throw new Error('A fresh key was known.')
      const callMs = performance.now() - before
      busyMs += callMs
      longestCallMs = Math.max(longestCallMs, callMs)
      longestCallComputingMs = Math.max(longestCallComputingMs, computedMs() - computedBefore)
    }
    await nextTurn()
    longestPauseMs = Math.max(longestPauseMs, performance.now() - start)
    longestComputingMs = Math.max(longestComputingMs, computedMs() - computed)
    const bytes = next * 2 > keys ? subject.bytes() : null
    if (bytes !== null) mostBytesPerKey = Math.max(mostBytesPerKey, bytes / subject.size)
  }
  delay.disable()
  return {
    insertsPerSecond: subject.size / (busyMs / 1_000),
    longestPauseMs,
    longestComputingMs,
    loopDelayMs: delay.max / 1e6,
    longestCallMs,
    longestCallComputingMs,
    mostBytesPerKey: mostBytesPerKey === 0 ? null : mostBytesPerKey,
  }
}

/** Claims and completes runs, half of whose keys are known. */
function mixedRound(runKeys: number, count: number): number {
  const runs = Array.from({ length: count }, () => new KeyRun(runKeys))
  const known = state.next
  let fresh = 0
  for (const [index, run] of runs.entries()) {
    for (let row = 0; row < runKeys; row++) {
      const isFresh = ((index + row) & 1) === 0
      run.set(row, isFresh ? state.next++ : randomBelow(known, state))
      if (isFresh) fresh++
    }
  }
  let completed = 0
  const start = performance.now()
  for (let index = 0; index < count; index++) completed += subject.publish(runs[index], known + index, 0)
  const seconds = (performance.now() - start) / 1_000
  if (completed !== fresh) throw new Error(`${fresh} keys were fresh, but ${completed} completed.`)
  return (count * runKeys) / seconds
}

/** CPU time of the process so far, in milliseconds. */
function computedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

function heap(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]
}
