import benny from 'benny'
import type { Codec } from '../../ts/codec/index.ts'
import type { Case } from './cases.ts'
import type { Contender } from './comparison.ts'

/** What a case came to. Operations are frames (or schemas). */
export interface Result {
  readonly case: string
  readonly nativeOpsPerSecond: number
  readonly typescriptOpsPerSecond: number
  /** Native over TypeScript; exactly 1 where both codecs run the same function. */
  readonly ratio: number
}

/** How long and how often to measure. */
export interface Effort {
  /** Rounds; a result is the median over them. */
  readonly rounds: number
  /** Seconds of one measurement. */
  readonly seconds: number
  /** Samples of one measurement, at least. */
  readonly samples: number
}

/** Whether both codecs run one and the same function in a case. */
export function isShared(one: Case, native: Codec, typescript: Codec): boolean {
  return one.path(native) === one.path(typescript)
}

/**
 * Measures every case with both codecs. The two take turns within a round and the rounds take turns over the cases, so that a machine that gets
 * slower or faster meanwhile does so for both; which one goes first alternates.
 *
 * Where both codecs run the same function it is measured once and stands for both: comparing it with itself would report noise as a ratio.
 */
export async function measure(
  cases: readonly Case[],
  native: Codec,
  typescript: Codec,
  { rounds, seconds, samples: least }: Effort,
  onProgress: (round: number, name: string) => void,
): Promise<Result[]> {
  const samples = new Map(cases.map((one) => [one, { native: [] as number[], typescript: [] as number[] }]))
  for (let round = 1; round <= rounds; round++) {
    for (const [one, times] of samples) {
      onProgress(round, one.name)
      if (isShared(one, native, typescript)) {
        const [taken] = await secondsPerCall([one.prepare(typescript)], seconds, least)
        times.native.push(taken)
        times.typescript.push(taken)
        continue
      }
      const turns = [
        { into: times.native, call: one.prepare(native) },
        { into: times.typescript, call: one.prepare(typescript) },
      ]
      if (round % 2 === 0) turns.reverse()
      const taken = await secondsPerCall(
        turns.map(({ call }) => call),
        seconds,
        least,
      )
      turns.forEach(({ into }, index) => {
        into.push(taken[index])
      })
    }
  }
  return [...samples].map(([one, times]) => {
    const nativeOpsPerSecond = one.framesPerCall / median(times.native)
    const typescriptOpsPerSecond = one.framesPerCall / median(times.typescript)
    return {
      case: one.name,
      nativeOpsPerSecond: Math.round(nativeOpsPerSecond),
      typescriptOpsPerSecond: Math.round(typescriptOpsPerSecond),
      ratio: Number((nativeOpsPerSecond / typescriptOpsPerSecond).toFixed(2)),
    }
  })
}

/**
 * Seconds of one call of each contender: medians over rounds in which they take turns, each round starting with another one, so that a machine
 * that gets slower or faster meanwhile does so for all.
 */
export async function takeTurns(
  contenders: readonly Contender[],
  { rounds, seconds, samples: least }: Effort,
): Promise<number[]> {
  const samples = contenders.map(() => [] as number[])
  for (let round = 0; round < rounds; round++) {
    const order = contenders.map((_contender, index) => (index + round) % contenders.length)
    const taken = await secondsPerCall(
      order.map((index) => contenders[index].call),
      seconds,
      least,
    )
    order.forEach((index, position) => {
      samples[index].push(taken[position])
    })
  }
  return samples.map(median)
}

/** Runs calls one after the other through benny, which chooses how often; the median of its samples each. */
async function secondsPerCall(
  calls: readonly (() => unknown)[],
  seconds: number,
  minSamples: number,
): Promise<number[]> {
  const { results } = await quietly(() =>
    benny.suite(
      'codec',
      ...calls.map((call, index) => benny.add(String(index), () => call)),
      benny.configure({ cases: { minTime: seconds / 20, maxTime: seconds, minSamples } }),
    ),
  )
  return calls.map((_call, index) => {
    const result = results.find(({ name }) => name === String(index))
    if (result === undefined || !result.completed) throw new Error('benny measured nothing')
    return result.details.median
  })
}

/** Without what benny announces on stdout for every suite: that is where the results go. */
async function quietly<Value>(work: () => Promise<Value>): Promise<Value> {
  const { log } = console
  console.log = () => undefined
  try {
    return await work()
  } finally {
    console.log = log
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)]
}
