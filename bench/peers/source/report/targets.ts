import type { Metric } from '../run/measurement.ts'
import type { Result } from './report.ts'

/** What a target came to. `holds` is null where something that it compares was not measured. */
export interface Verdict {
  readonly workload: string
  readonly target: string
  /** What the target says of the value. */
  readonly wanted: string
  readonly value: number | null
  readonly holds: boolean | null
}

interface Competitor {
  readonly name: string
  readonly kind: 'liminal' | 'floor' | 'broker' | 'library'
}

/** The medians of all results. */
class Medians {
  readonly #results: readonly Result[]
  readonly #competitors: readonly Competitor[]

  constructor(results: readonly Result[], competitors: readonly Competitor[]) {
    this.#results = results
    this.#competitors = competitors
  }

  of(workload: string, system: string, metric: Metric): number | null {
    const found = this.#results.find((result) => result.workload === workload && result.system === system)
    return found?.metrics[metric]?.median ?? null
  }

  /** liminal over another system. */
  over(workload: string, system: string, metric: Metric = 'rate'): number | null {
    return divide(this.of(workload, 'liminal', metric), this.of(workload, system, metric))
  }

  /** liminal over the highest rate of some kinds of systems. */
  overFastest(workload: string, ...kinds: Competitor['kind'][]): number | null {
    const rates = this.#all(workload, kinds, 'rate')
    return rates.length === 0 ? null : divide(this.of(workload, 'liminal', 'rate'), Math.max(...rates))
  }

  /** liminal over the lowest value of a metric among some kinds of systems. */
  overLowest(workload: string, metric: Metric, ...kinds: Competitor['kind'][]): number | null {
    const values = this.#all(workload, kinds, metric)
    return values.length === 0 ? null : divide(this.of(workload, 'liminal', metric), Math.min(...values))
  }

  #all(workload: string, kinds: readonly Competitor['kind'][], metric: Metric): number[] {
    return this.#competitors
      .filter(({ kind }) => kinds.includes(kind))
      .flatMap(({ name }) => this.of(workload, name, metric) ?? [])
  }
}

interface Target {
  readonly workload: string
  readonly target: string
  readonly least?: number
  readonly most?: number
  readonly unit?: string
  readonly value: (medians: Medians) => number | null
}

/** A server that uses less than this of a processor, in microseconds each second, counts as doing nothing. */
const IDLE = 1_000

/** Microseconds of server CPU that an idempotency key may add, its acknowledgement included: W1 has none. */
const MOST_FOR_A_KEY = 0.7

const TARGETS: readonly Target[] = [
  { workload: 'W1', target: 'messages/s over NATS', least: 4, value: (all) => all.over('W1', 'nats') },
  {
    workload: 'W1',
    target: 'server CPU for each message over NATS',
    most: 0.4,
    value: (all) => all.over('W1', 'nats', 'serverCpu'),
  },
  { workload: 'W1', target: 'messages/s over the raw floor', least: 0.65, value: (all) => all.over('W1', 'raw') },
  { workload: 'W2', target: 'deliveries/s over NATS', least: 4, value: (all) => all.over('W2', 'nats') },
  {
    workload: 'W2',
    target: 'server CPU for each delivery over NATS',
    most: 0.3,
    value: (all) => all.over('W2', 'nats', 'serverCpu'),
  },
  { workload: 'W2', target: 'deliveries/s over the raw floor', least: 0.5, value: (all) => all.over('W2', 'raw') },
  {
    workload: 'W3',
    target: 'acknowledgements/s over the best peer',
    least: 4,
    value: (all) => all.overFastest('W3', 'broker', 'library'),
  },
  {
    workload: 'W3',
    target: 'acknowledgements/s over the raw floor',
    least: 0.3,
    value: (all) => all.over('W3', 'raw'),
  },
  {
    workload: 'W4',
    target: 'requests/s at 64 in flight over the best broker',
    least: 2.5,
    value: (all) => all.overFastest('W4', 'broker'),
  },
  {
    workload: 'W4-single',
    target: 'p99 at 1 in flight over the best broker',
    most: 1,
    value: (all) => all.overLowest('W4-single', 'p99', 'broker'),
  },
  {
    workload: 'W4',
    target: 'requests/s at 64 in flight over the raw floor',
    least: 0.4,
    value: (all) => all.over('W4', 'raw'),
  },
  {
    workload: 'W5',
    target: 'acknowledgements/s over Redis streams with fsync always',
    least: 2,
    value: (all) => all.over('W5', 'redis-streams'),
  },
  {
    workload: 'W5',
    target: 'acknowledgements/s over JetStream in files',
    least: 4,
    value: (all) => all.over('W5', 'jetstream'),
  },
  {
    workload: 'W5',
    target: 'acknowledgements/s over the raw log',
    least: 0.6,
    value: (all) => all.over('W5', 'raw'),
  },
  { workload: 'W6', target: 'MB/s over Mosquitto', least: 0.9, value: (all) => all.over('W6', 'mosquitto') },
  { workload: 'W6', target: 'MB/s over NATS', least: 3, value: (all) => all.over('W6', 'nats') },
  { workload: 'W6', target: 'MB/s over the raw floor', least: 0.9, value: (all) => all.over('W6', 'raw') },
  {
    workload: 'W7',
    target: 'memory for each connection over NATS',
    most: 0.7,
    value: (all) => all.over('W7', 'nats', 'connectionMemory'),
  },
  {
    workload: 'W7',
    target: 'memory for each connection over the raw floor',
    most: 1.8,
    value: (all) => all.over('W7', 'raw', 'connectionMemory'),
  },
  {
    workload: 'W7',
    target: 'CPU while idle',
    most: IDLE,
    unit: ' us/s',
    value: (all) => all.of('W7', 'liminal', 'idleCpu'),
  },
  {
    workload: 'W8',
    target: 'server CPU for each message more than in W1',
    most: MOST_FOR_A_KEY,
    unit: ' us',
    value: (all) => subtract(all.of('W8', 'liminal', 'serverCpu'), all.of('W1', 'liminal', 'serverCpu')),
  },
  ...['W1', 'W2', 'W6'].map((workload) => ({
    workload,
    target: 'acknowledged publish and iterator over send and handler',
    least: 0.5,
    value: (all: Medians) =>
      divide(all.of(workload, 'liminal-acknowledged', 'rate'), all.of(workload, 'liminal', 'rate')),
  })),
]

/** The native codec must be worth its while in one way or the other. */
const CODECS = { least: 1.3, most: 0.7 } as const

/** Holds the results against what liminal promises: ratios within one run, over medians. */
export function judge(results: readonly Result[], competitors: readonly Competitor[]): Verdict[] {
  const medians = new Medians(results, competitors)
  const measured = new Set(results.filter(({ system }) => system === 'liminal').map(({ workload }) => workload))
  const verdicts = TARGETS.filter(({ workload }) => measured.has(workload)).map(
    ({ workload, target, least, most, unit = 'x', value }): Verdict => {
      const found = value(medians)
      const wanted = least === undefined ? `<= ${most}${unit}` : `>= ${least}${unit}`
      const holds = found === null ? null : found >= (least ?? Number.NEGATIVE_INFINITY) && found <= (most ?? Infinity)
      return { workload, target, wanted, value: found, holds }
    },
  )
  return measured.has('W1') ? [...verdicts, codecs(medians)] : verdicts
}

function codecs(medians: Medians): Verdict {
  const rate = medians.over('W1', 'liminal-typescript')
  const cpu = medians.over('W1', 'liminal-typescript', 'serverCpu')
  const byRate = rate !== null && rate >= CODECS.least
  const byCpu = cpu !== null && cpu <= CODECS.most
  // Show the one that holds, or else the rate.
  const inCpu = byCpu && !byRate
  return {
    workload: 'W1',
    target: `native codec over the TypeScript codec, ${inCpu ? 'server CPU for each message' : 'messages/s'}`,
    wanted: `>= ${CODECS.least}x, or CPU <= ${CODECS.most}x`,
    value: inCpu ? cpu : rate,
    holds: rate === null || cpu === null ? null : byRate || byCpu,
  }
}

function subtract(left: number | null, right: number | null): number | null {
  return left === null || right === null ? null : left - right
}

function divide(left: number | null, right: number | null): number | null {
  return left === null || right === null || right === 0 ? null : left / right
}
